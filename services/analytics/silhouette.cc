#include "services/analytics/silhouette.h"

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "base/status_macros.h"

namespace lastro::services {
namespace {

constexpr int kRowsBetweenChecks = 256;

// The silhouette of one row, given the sums of its distances to each cluster and the clusters' sizes.
double RowSilhouette(absl::Span<const double> sums, absl::Span<const int> sizes, int own) {
  if (sizes[own] < 2) return 0;
  double inner = sums[own] / (sizes[own] - 1);
  double outer = std::numeric_limits<double>::infinity();
  for (size_t c = 0; c < sums.size(); ++c) {
    if (static_cast<int>(c) != own && sizes[c] > 0) outer = std::min(outer, sums[c] / sizes[c]);
  }
  double larger = std::max(inner, outer);
  return larger > 0 ? (outer - inner) / larger : 0;
}

}  // namespace

absl::StatusOr<PairwiseDistances> PairwiseDistances::Compute(const UnitRows& rows, const CallContext& context,
                                                             ThreadPool* pool) {
  PairwiseDistances result;
  result.count_ = rows.count;
  result.distances_.resize(static_cast<size_t>(rows.count) * rows.count);
  auto fill = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      float* out = result.distances_.data() + i * rows.count;
      for (int j = 0; j < rows.count; ++j) {
        out[j] = i == j ? 0.0f : std::max(0.0f, 1.0f - Dot(rows.row(i), rows.row(j), rows.dimension));
      }
    }
  };
  for (int start = 0; start < rows.count; start += kRowsBetweenChecks) {
    LASTRO_RETURN_IF_ERROR(context.Check());
    int64_t size = std::min(kRowsBetweenChecks, rows.count - start);
    auto shifted = [&](int64_t begin, int64_t end) { fill(start + begin, start + end); };
    if (pool != nullptr) {
      pool->ParallelFor(size, 16, shifted);
    } else {
      shifted(0, size);
    }
  }
  return result;
}

double PairwiseDistances::MeanSilhouette(absl::Span<const int32_t> assignments, int k) const {
  LASTRO_CHECK(static_cast<int>(assignments.size()) == count_);
  std::vector<int> sizes(k, 0);
  for (int32_t c : assignments) ++sizes[c];
  if (std::count_if(sizes.begin(), sizes.end(), [](int size) { return size > 0; }) < 2) return 0;
  double total = 0;
  std::vector<double> sums(k);
  for (int i = 0; i < count_; ++i) {
    std::fill(sums.begin(), sums.end(), 0.0);
    const float* row = distances_.data() + static_cast<size_t>(i) * count_;
    for (int j = 0; j < count_; ++j) sums[assignments[j]] += row[j];
    total += RowSilhouette(sums, sizes, assignments[i]);
  }
  return total / count_;
}

}  // namespace lastro::services
