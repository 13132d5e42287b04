#include "engine/expert_routing.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/check.h"

namespace lastro::engine {
namespace {

float Rank(float logit) { return std::isnan(logit) ? -std::numeric_limits<float>::infinity() : logit; }

}  // namespace

std::vector<ExpertRows> RouteToExperts(absl::Span<const float> logits, int64_t experts, int64_t per_token) {
  LASTRO_CHECK(experts > 0 && per_token > 0 && per_token <= experts);
  LASTRO_CHECK(static_cast<int64_t>(logits.size()) % experts == 0);
  std::vector<ExpertRows> routed(static_cast<size_t>(experts));
  std::vector<int32_t> order(static_cast<size_t>(experts));
  const int64_t rows = static_cast<int64_t>(logits.size()) / experts;
  for (int64_t row = 0; row < rows; ++row) {
    const float* of_row = logits.data() + row * experts;
    std::iota(order.begin(), order.end(), 0);
    std::partial_sort(order.begin(), order.begin() + per_token, order.end(), [of_row](int32_t a, int32_t b) {
      return Rank(of_row[a]) != Rank(of_row[b]) ? Rank(of_row[a]) > Rank(of_row[b]) : a < b;
    });
    double sum = 0;
    for (int64_t i = 0; i < per_token; ++i) sum += std::exp(static_cast<double>(of_row[order[i]]) - of_row[order[0]]);
    for (int64_t i = 0; i < per_token; ++i) {
      ExpertRows& expert = routed[static_cast<size_t>(order[i])];
      expert.rows.push_back(static_cast<int32_t>(row));
      expert.factors.push_back(
          static_cast<float>(std::exp(static_cast<double>(of_row[order[i]]) - of_row[order[0]]) / sum));
    }
  }
  return routed;
}

}  // namespace lastro::engine
