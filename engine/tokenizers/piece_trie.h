// PieceTrie: all pieces of a vocabulary that a text starts with, in one walk. Const after construction and thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace lastro::engine::tokenizers {

class PieceTrie {
 public:
  using Entry = std::pair<absl::string_view, int32_t>;  // piece and id

  PieceTrie() : PieceTrie(std::vector<Entry>()) {}
  // The views are needed during the call only. Empty pieces are left out; of equal pieces the smallest id counts.
  explicit PieceTrie(std::vector<Entry> entries);

  // Calls `found(length, id)` for every piece that `text` starts with, shortest first.
  template <typename Found>
  void ForEachPrefix(absl::string_view text, const Found& found) const;

  // The id of `piece` itself.
  std::optional<int32_t> Find(absl::string_view piece) const;

 private:
  // Children lie next to each other, ordered by label.
  struct Node {
    int32_t id = -1;
    uint32_t first_child = 0;
    uint16_t children = 0;
    uint8_t label = 0;
  };
  // The child of `node` by `label`; 0 (the root, nobody's child) when there is none.
  uint32_t Child(uint32_t node, uint8_t label) const;

  std::vector<Node> nodes_;  // 0 is the root
};

template <typename Found>
void PieceTrie::ForEachPrefix(absl::string_view text, const Found& found) const {
  uint32_t node = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    node = Child(node, static_cast<uint8_t>(text[i]));
    if (node == 0) return;
    if (nodes_[node].id >= 0) found(i + 1, nodes_[node].id);
  }
}

}  // namespace lastro::engine::tokenizers
