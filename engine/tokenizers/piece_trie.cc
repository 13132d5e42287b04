#include "engine/tokenizers/piece_trie.h"

#include <algorithm>

namespace lastro::engine::tokenizers {

PieceTrie::PieceTrie(std::vector<Entry> entries) {
  std::sort(entries.begin(), entries.end());
  // Breadth first: range [begin, end) of the entries shares `depth` bytes, those of the path to `node`.
  struct Range {
    size_t begin, end, depth;
    uint32_t node;
  };
  nodes_.emplace_back();
  std::vector<Range> ranges = {{0, entries.size(), 0, 0}};
  for (size_t next = 0; next < ranges.size(); ++next) {
    Range range = ranges[next];
    const uint32_t first_child = static_cast<uint32_t>(nodes_.size());
    while (range.begin < range.end && entries[range.begin].first.size() == range.depth) {
      int32_t& id = nodes_[range.node].id;
      if (id < 0 && range.depth > 0) id = entries[range.begin].second;
      ++range.begin;
    }
    while (range.begin < range.end) {
      const char label = entries[range.begin].first[range.depth];
      size_t end = range.begin + 1;
      while (end < range.end && entries[end].first[range.depth] == label) ++end;
      ranges.push_back({range.begin, end, range.depth + 1, static_cast<uint32_t>(nodes_.size())});
      nodes_.push_back({-1, 0, 0, static_cast<uint8_t>(label)});
      range.begin = end;
    }
    nodes_[range.node].first_child = first_child;
    nodes_[range.node].children = static_cast<uint16_t>(nodes_.size() - first_child);
  }
}

uint32_t PieceTrie::Child(uint32_t node, uint8_t label) const {
  const Node* first = nodes_.data() + nodes_[node].first_child;
  const Node* last = first + nodes_[node].children;
  const Node* child = std::lower_bound(first, last, label, [](const Node& a, uint8_t b) { return a.label < b; });
  return child != last && child->label == label ? static_cast<uint32_t>(child - nodes_.data()) : 0;
}

std::optional<int32_t> PieceTrie::Find(absl::string_view piece) const {
  std::optional<int32_t> result;
  ForEachPrefix(piece, [&](size_t length, int32_t id) {
    if (length == piece.size()) result = id;
  });
  return result;
}

}  // namespace lastro::engine::tokenizers
