// PieceMerger: the BPE of SentencePiece. Neighbouring pieces whose concatenation is a piece are merged, the best score
// first, the leftmost first among equals; there is no list of merges. Const after construction and thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "engine/tokenizers/piece_trie.h"
#include "engine/tokenizers/viterbi.h"
#include "engine/tokenizers/vocabulary_spec.h"

namespace lastro::engine::tokenizers {

class PieceMerger {
 public:
  // `spec` and `user_defined` (pieces that are never merged) must outlive this.
  PieceMerger(const VocabularySpec& spec, int32_t unknown_id, const PieceTrie& user_defined);

  // The pieces of `text` (valid UTF-8), in order; unknown characters have the unknown id.
  void Segment(absl::string_view text, std::vector<PathPiece>* pieces) const;

 private:
  class Merging;
  struct Known {
    int32_t id;
    bool unused;  // may be merged into, but not come out: it is cut up again
  };

  const std::vector<float>& scores_;
  const PieceTrie& user_defined_;
  int32_t unknown_id_;
  absl::flat_hash_map<absl::string_view, Known> pieces_;
  size_t longest_ = 0;
};

}  // namespace lastro::engine::tokenizers
