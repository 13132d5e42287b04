// The silhouette (Rousseeuw, 1987) of a clustering under cosine distance: how much nearer the items are to their own
// cluster than to the next one. In [-1, 1]; members of one-item clusters count as 0.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/call_context.h"
#include "base/thread_pool.h"
#include "services/analytics/kmeans.h"

namespace lastro::services {

// All pairwise cosine distances, 1 - cos, of a few rows.
class PairwiseDistances {
 public:
  // Memory: 4 * rows.count^2 bytes. CANCELLED, DEADLINE_EXCEEDED.
  static absl::StatusOr<PairwiseDistances> Compute(const UnitRows& rows, const CallContext& context, ThreadPool* pool);

  // The mean silhouette of assignments[i] in [0, k), one a row. 0 when fewer than two clusters occur.
  double MeanSilhouette(absl::Span<const int32_t> assignments, int k) const;

 private:
  int count_ = 0;
  std::vector<float> distances_;  // row-major [count, count]
};

}  // namespace lastro::services
