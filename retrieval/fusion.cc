#include "retrieval/fusion.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"

namespace lastro::retrieval {
namespace {

double ReciprocalRank(int rank, int k) { return rank > 0 ? (k + 1.0) / (k + rank) : 0; }

double FusedScore(const FusionRule& rule, const ScoredChunk& chunk, double lexical) {
  const double w = rule.dense_weight;
  switch (rule.mode) {
    case SearchMode::kDense:
      return std::clamp((1 + chunk.dense_score) / 2, 0.0, 1.0);
    case SearchMode::kLexical:
      return lexical;
    default:
      if (rule.fusion == Fusion::kConvex) return w * std::clamp(chunk.dense_score, 0.0, 1.0) + (1 - w) * lexical;
      return w * ReciprocalRank(chunk.dense_rank, rule.rrf_k) + (1 - w) * ReciprocalRank(chunk.lexical_rank, rule.rrf_k);
  }
}

}  // namespace

void ScoreAndSort(const FusionRule& rule, std::vector<ScoredChunk>* chunks) {
  double largest = 0;
  for (const ScoredChunk& chunk : *chunks) largest = std::max(largest, chunk.lexical_score);
  for (ScoredChunk& chunk : *chunks) {
    chunk.score = FusedScore(rule, chunk, largest > 0 ? chunk.lexical_score / largest : 0);
  }
  std::sort(chunks->begin(), chunks->end(), [](const ScoredChunk& a, const ScoredChunk& b) {
    return a.score != b.score ? a.score > b.score : a.chunk < b.chunk;
  });
  for (size_t i = 0; i < chunks->size(); ++i) (*chunks)[i].rank = static_cast<int>(i) + 1;
}

std::vector<ScoredChunk> SelectTop(absl::Span<const ScoredChunk> sorted, size_t limit, int max_per_document) {
  std::vector<ScoredChunk> selected;
  absl::flat_hash_map<int64_t, int> taken;
  for (const ScoredChunk& chunk : sorted) {
    if (selected.size() == limit) break;
    if (max_per_document > 0 && taken[chunk.document]++ >= max_per_document) continue;
    selected.push_back(chunk);
  }
  return selected;
}

}  // namespace lastro::retrieval
