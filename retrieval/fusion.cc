#include "retrieval/fusion.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"

namespace lastro::retrieval {
namespace {

double FusedScore(SearchMode mode, double dense_weight, double cosine, double lexical) {
  switch (mode) {
    case SearchMode::kDense:
      return std::clamp((1 + cosine) / 2, 0.0, 1.0);
    case SearchMode::kLexical:
      return lexical;
    default:
      return dense_weight * std::clamp(cosine, 0.0, 1.0) + (1 - dense_weight) * lexical;
  }
}

}  // namespace

void ScoreAndSort(SearchMode mode, double dense_weight, std::vector<ScoredChunk>* chunks) {
  double largest = 0;
  for (const ScoredChunk& chunk : *chunks) largest = std::max(largest, chunk.lexical_score);
  for (ScoredChunk& chunk : *chunks) {
    double lexical = largest > 0 ? chunk.lexical_score / largest : 0;
    chunk.score = FusedScore(mode, dense_weight, chunk.dense_score, lexical);
  }
  std::sort(chunks->begin(), chunks->end(), [](const ScoredChunk& a, const ScoredChunk& b) {
    return a.score != b.score ? a.score > b.score : a.chunk < b.chunk;
  });
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
