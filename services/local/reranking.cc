#include "services/local/reranking.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace lastro::services {
namespace {

constexpr int kMaxTexts = 1'024;
constexpr size_t kMaxBytes = 16u << 20;

absl::Status CheckRequest(const v1::RerankRequest& request) {
  if (request.query().empty()) return absl::InvalidArgumentError("query is empty");
  if (request.texts().empty()) return absl::InvalidArgumentError("texts is empty");
  if (request.texts_size() > kMaxTexts) {
    return absl::InvalidArgumentError(
        absl::StrCat("texts has ", request.texts_size(), " entries; the limit is ", kMaxTexts));
  }
  if (request.ByteSizeLong() > kMaxBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("query and texts have ", request.ByteSizeLong(), " bytes; the limit is ", kMaxBytes));
  }
  if (request.top_n() < 0) return absl::InvalidArgumentError(absl::StrCat("top_n is ", request.top_n()));
  return absl::OkStatus();
}

std::vector<int32_t> BestFirst(const google::protobuf::RepeatedField<double>& scores, int top_n) {
  std::vector<int32_t> order(static_cast<size_t>(scores.size()));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return scores.Get(a) > scores.Get(b); });
  if (top_n > 0 && static_cast<size_t>(top_n) < order.size()) order.resize(static_cast<size_t>(top_n));
  return order;
}

}  // namespace

absl::StatusOr<v1::RerankResponse> Rerank(const engine::SequenceClassifier& model, const v1::RerankRequest& request,
                                          const CallContext& context) {
  LASTRO_RETURN_IF_ERROR(CheckRequest(request));
  const size_t labels = static_cast<size_t>(model.info().labels);
  if (labels > 2) {
    return absl::FailedPreconditionError(
        absl::StrCat(model.info().name, " tells ", labels, " labels apart; a reranker has one, or two (no, yes)"));
  }
  std::vector<engine::TextPair> pairs;
  for (const std::string& text : request.texts()) pairs.push_back({request.query(), text});
  LASTRO_ASSIGN_OR_RETURN(engine::ClassifierScores scored, model.Score(pairs, request.truncate(), context));
  v1::RerankResponse response;
  for (size_t i = 0; i < pairs.size(); ++i) {
    const float* row = scored.logits.data() + i * labels;
    const double score = labels == 1 ? row[0] : static_cast<double>(row[1]) - row[0];
    response.add_scores(score);
    response.add_probabilities(1 / (1 + std::exp(-score)));
  }
  const std::vector<int32_t> order = BestFirst(response.scores(), request.top_n());
  *response.mutable_order() = {order.begin(), order.end()};
  *response.mutable_truncated() = {scored.truncated.begin(), scored.truncated.end()};
  response.set_model(model.info().name);
  response.set_fingerprint(model.info().fingerprint);
  response.mutable_usage()->set_prompt_tokens(static_cast<int32_t>(scored.tokens));
  return response;
}

}  // namespace lastro::services
