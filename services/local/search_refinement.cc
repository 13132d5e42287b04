#include "services/local/search_refinement.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "ingest/chunker.h"
#include "retrieval/diversity.h"
#include "retrieval/validation.h"

namespace lastro::services {
namespace {

constexpr int kMmrCandidates = 50;  // at least

void Reorder(absl::Span<const size_t> order, std::vector<retrieval::SearchHit>* hits) {
  std::vector<retrieval::SearchHit> ordered;
  for (size_t i : order) ordered.push_back(std::move((*hits)[i]));
  *hits = std::move(ordered);
}

}  // namespace

int SearchRefinement::CandidatesFor(int limit) const {
  if (rerank) limit = std::max(limit, rerank_candidates);
  if (mmr_lambda.has_value()) limit = std::max(2 * limit, kMmrCandidates);
  return std::min(limit, retrieval::kMaxSearchLimit);
}

absl::StatusOr<SearchRefinement> RefinementOf(const v1::SearchRequest& request, bool rerank_by_default) {
  SearchRefinement refinement;
  refinement.rerank = request.has_rerank() ? request.rerank() : rerank_by_default;
  if (request.rerank_candidates() < 0 || request.rerank_candidates() > retrieval::kMaxSearchLimit) {
    return absl::InvalidArgumentError(absl::StrCat("rerank_candidates is ", request.rerank_candidates(),
                                                   "; it must be from 0 (the default) to ",
                                                   retrieval::kMaxSearchLimit));
  }
  if (request.rerank_candidates() > 0) refinement.rerank_candidates = request.rerank_candidates();
  if (request.has_rerank_weight()) {
    if (!(request.rerank_weight() >= 0 && request.rerank_weight() <= 1)) {
      return absl::InvalidArgumentError(
          absl::StrCat("rerank_weight is ", request.rerank_weight(), "; it must be from 0 to 1"));
    }
    refinement.rerank_weight = request.rerank_weight();
  }
  if (!request.has_mmr_lambda()) return refinement;
  if (!(request.mmr_lambda() >= 0 && request.mmr_lambda() <= 1)) {
    return absl::InvalidArgumentError(absl::StrCat("mmr_lambda is ", request.mmr_lambda(), "; it must be from 0 to 1"));
  }
  refinement.mmr_lambda = request.mmr_lambda();
  return refinement;
}

absl::Status RerankHits(const std::string& query, double weight, GenerationApi& generation, const CallContext& context,
                        std::vector<retrieval::SearchHit>* hits, v1::SearchExplanation* explanation) {
  if (hits->empty()) return absl::OkStatus();
  v1::RerankRequest request;
  request.set_query(query);
  request.set_truncate(true);
  for (const retrieval::SearchHit& hit : *hits) request.add_texts(ingest::EmbeddedText(hit.chunk));
  LASTRO_ASSIGN_OR_RETURN(v1::RerankResponse response, generation.Rerank(request, context));
  const int count = static_cast<int>(hits->size());
  if (response.scores_size() != count || response.probabilities_size() != count) {
    return absl::InternalError(
        absl::StrCat("the reranker gave ", response.scores_size(), " scores for ", count, " texts"));
  }
  for (int i = 0; i < count; ++i) {
    retrieval::SearchHit& hit = (*hits)[static_cast<size_t>(i)];
    hit.rerank_score = response.scores(i);
    hit.score = weight * response.probabilities(i) + (1 - weight) * hit.score;
  }
  std::stable_sort(hits->begin(), hits->end(), [](const retrieval::SearchHit& a, const retrieval::SearchHit& b) {
    return a.rerank_score > b.rerank_score;
  });
  for (int i = 0; i < count; ++i) (*hits)[static_cast<size_t>(i)].rerank_rank = i + 1;
  std::stable_sort(hits->begin(), hits->end(),
                   [](const retrieval::SearchHit& a, const retrieval::SearchHit& b) { return a.score > b.score; });
  explanation->set_reranked(count);
  explanation->set_reranker(response.model());
  return absl::OkStatus();
}

void DiversifyHits(double lambda, size_t limit, std::vector<retrieval::SearchHit>* hits) {
  std::vector<double> relevance;
  std::vector<std::vector<float>> vectors;
  for (retrieval::SearchHit& hit : *hits) {
    relevance.push_back(hit.score);
    vectors.push_back(std::exchange(hit.chunk.vector, {}));
  }
  Reorder(retrieval::SelectDiverse(relevance, vectors, lambda, limit), hits);
}

}  // namespace lastro::services
