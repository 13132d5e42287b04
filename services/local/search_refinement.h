// What a search does with the hits of the store: rerank them, choose unlike ones. Thread-safe functions.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/call_context.h"
#include "lastro/v1/retrieval.pb.h"
#include "retrieval/chunk_store.h"
#include "services/api.h"

namespace lastro::services {

struct SearchRefinement {
  bool rerank = false;
  int rerank_candidates = 30;
  // Of the cross-encoder in the score. Chosen with the built-in reader as one, which is a weak one (BENCHMARKS.md); one
  // that is sure of itself decides with it, too.
  double rerank_weight = 0.3;
  std::optional<double> mmr_lambda;

  // How many hits the store is asked for where `limit` are wanted in the end.
  int CandidatesFor(int limit) const;
};

// INVALID_ARGUMENT names the field.
absl::StatusOr<SearchRefinement> RefinementOf(const v1::SearchRequest& request, bool rerank_by_default);

// Orders `hits` by their scores and, with `weight`, the probability that the cross-encoder gives their chunks with the
// headings above them; ties by the cross-encoder, then by the order before. Sets score, rerank_score and rerank_rank.
// Over-long chunks are cut. Errors of Rerank.
absl::Status RerankHits(const std::string& query, double weight, GenerationApi& generation, const CallContext& context,
                        std::vector<retrieval::SearchHit>* hits, v1::SearchExplanation* explanation);

// Leaves `limit` hits, ordered by maximal marginal relevance (see retrieval/diversity.h), without their vectors.
void DiversifyHits(double lambda, size_t limit, std::vector<retrieval::SearchHit>* hits);

}  // namespace lastro::services
