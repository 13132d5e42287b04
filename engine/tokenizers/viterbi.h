// The most probable segmentation of a text under a unigram language model (Kudo 2018, arXiv:1804.10959): one pass over
// the text keeps, for each byte, the best way to end a piece there. O(n times the length of the longest piece).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/utf8.h"
#include "engine/tokenizers/piece_trie.h"

namespace lastro::engine::tokenizers {

inline constexpr double kUnknownPenalty = 10.0;  // below the lowest score of the vocabulary

// The best path to one byte. Score is the type sums are rounded to: libraries differ, and ties hang on it.
template <typename Score>
struct PathNode {
  Score score = 0;
  int32_t id = -1;     // of the last piece
  int32_t begin = -1;  // its first byte; -1: nothing ends here
};

// Subtracts the score of node `begin` from it and from all nodes after it that have been reached, up to `last`.
template <typename Score>
void RebaseScores(size_t begin, size_t last, std::vector<PathNode<Score>>* nodes) {
  const Score base = (*nodes)[begin].score;
  for (size_t i = begin; i <= last; ++i) {
    if (i == begin || (*nodes)[i].begin >= 0) (*nodes)[i].score -= base;
  }
}

// Fills `nodes` (text.size() + 1 of them) for `text` (valid UTF-8, less than 2 GiB). `score_of(id, length)` is the
// score of a piece of `length` bytes; `unknown` and its id stand for one character that is no piece. Sums beyond
// `limit` are counted from there on, lest they lose precision.
template <typename Score, typename ScoreOf>
void FindBestPaths(absl::string_view text, const PieceTrie& trie, const ScoreOf& score_of, Score unknown,
                   int32_t unknown_id, Score limit, std::vector<PathNode<Score>>* nodes) {
  nodes->assign(text.size() + 1, PathNode<Score>());
  size_t last = 0;  // the last node reached
  auto offer = [nodes, &last](size_t begin, size_t end, int32_t id, Score score) {
    last = std::max(last, end);
    PathNode<Score>& node = (*nodes)[end];
    if (node.begin >= 0 && !(score > node.score)) return;
    node = {score, id, static_cast<int32_t>(begin)};
  };
  for (size_t begin = 0; begin < text.size();) {
    if (std::abs((*nodes)[begin].score) > limit) RebaseScores(begin, last, nodes);
    const Score before = (*nodes)[begin].score;
    const size_t rune_bytes = DecodeRune(text.substr(begin)).length;
    bool known = false;
    trie.ForEachPrefix(text.substr(begin), [&](size_t length, int32_t id) {
      offer(begin, begin + length, id, score_of(id, length) + before);
      known = known || length == rune_bytes;
    });
    if (!known) offer(begin, begin + rune_bytes, unknown_id, unknown + before);
    begin += rune_bytes;
  }
}

// A piece of the best path.
struct PathPiece {
  int32_t id;
  uint32_t begin, end;  // bytes
};

// The best path that ends at the end of the text, in order.
template <typename Score>
void ReadBestPath(const std::vector<PathNode<Score>>& nodes, std::vector<PathPiece>* pieces) {
  pieces->clear();
  for (size_t end = nodes.size() - 1; end > 0;) {
    const PathNode<Score>& node = nodes[end];
    pieces->push_back({node.id, static_cast<uint32_t>(node.begin), static_cast<uint32_t>(end)});
    end = static_cast<size_t>(node.begin);
  }
  std::reverse(pieces->begin(), pieces->end());
}

}  // namespace lastro::engine::tokenizers
