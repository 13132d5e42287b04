// PieceLattice: the Unigram model of SentencePiece 0.2.3; see viterbi.h. Sums are rounded to float, as there. Const
// after construction and thread-safe.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/tokenizers/piece_trie.h"
#include "engine/tokenizers/viterbi.h"
#include "engine/tokenizers/vocabulary_spec.h"

namespace lastro::engine::tokenizers {

class PieceLattice {
 public:
  // `spec` must outlive this.
  PieceLattice(const VocabularySpec& spec, int32_t unknown_id);

  // As PieceMerger::Segment.
  void Segment(absl::string_view text, std::vector<PathPiece>* pieces) const;

 private:
  float ScoreOf(int32_t id, size_t length) const;

  const VocabularySpec& spec_;
  PieceTrie trie_;
  int32_t unknown_id_;
  float unknown_score_ = 0;
};

}  // namespace lastro::engine::tokenizers
