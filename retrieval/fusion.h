// Fusion of the dense and the lexical list into one. Pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "retrieval/chunk_store.h"

namespace lastro::retrieval {

// A chunk found by one or both searches. Ranks are from 1; 0: not found by that search.
struct ScoredChunk {
  int64_t chunk = 0;
  int64_t document = 0;  // row of the document
  double dense_score = 0;
  double lexical_score = 0;
  int dense_rank = 0;
  int lexical_rank = 0;
  double score = 0;
  int rank = 0;  // by score
};

struct LexicalCandidate {
  int64_t chunk = 0;
  int64_t document = 0;
  double score = 0;  // BM25, larger is better
};

struct FusionRule {
  SearchMode mode = SearchMode::kHybrid;
  Fusion fusion = Fusion::kConvex;
  double dense_weight = 0.5;  // w
  int rrf_k = 60;             // k
};

// Sets `score`, in [0, 1], orders best first, ties by chunk id, and sets `rank`.
//   kDense    (1 + cosine) / 2
//   kLexical  BM25 / largest BM25 of the list
//   kHybrid   kConvex: w * max(0, cosine) + (1 - w) * BM25 / largest: a convex combination of scores normalised by their
//             theoretical least and (cosine) theoretical or (BM25) observed largest value, after Bruch, Gai and Ingber,
//             "An Analysis of Fusion Functions for Hybrid Retrieval", 2022. Cosines are clamped at 0, because passages
//             that point away from the question are all equally useless.
//             kReciprocalRank: (w / (k + dense rank) + (1 - w) / (k + lexical rank)) (k + 1), a list that lacks the chunk
//             adding nothing, after Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion", 2009.
void ScoreAndSort(const FusionRule& rule, std::vector<ScoredChunk>* chunks);

// The first `limit` with at most `max_per_document` of a document (0: no cap).
std::vector<ScoredChunk> SelectTop(absl::Span<const ScoredChunk> sorted, size_t limit, int max_per_document);

}  // namespace lastro::retrieval
