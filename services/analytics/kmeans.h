// Spherical k-means: Lloyd's iterations on unit vectors with cosine similarity (Dhillon and Modha, 2001), seeded by
// greedy k-means++ (Arthur and Vassilvitskii, 2007, section 5). Deterministic for a seed, whatever the number of
// threads.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/call_context.h"
#include "base/thread_pool.h"

namespace lastro::services {

// Rows of unit (or zero) length; does not own them.
struct UnitRows {
  absl::Span<const float> values;  // row-major [count, dimension]
  int count = 0;
  int dimension = 0;

  const float* row(int i) const { return values.data() + static_cast<size_t>(i) * dimension; }
};

struct KMeansResult {
  std::vector<int32_t> assignments;  // [count], each in [0, k)
  std::vector<float> centres;        // row-major [k, dimension], unit or zero length
  std::vector<float> similarity;     // [count], cosine of each row and its centre
  double objective = 0;              // sum of `similarity`; k-means makes it large
};

// The sum of a[i] * b[i] over i < n, in fixed order.
float Dot(const float* a, const float* b, int n);

// Divides each row by its Euclidean length; zero rows stay. INVALID_ARGUMENT names the first row that is not finite.
absl::StatusOr<std::vector<float>> NormalizeRows(absl::Span<const float> values, int dimension);

// k clusters, none of them empty. REQUIRES: 1 <= k <= rows.count. CANCELLED, DEADLINE_EXCEEDED within one iteration.
absl::StatusOr<KMeansResult> SphericalKMeans(const UnitRows& rows, int k, uint64_t seed, const CallContext& context,
                                             ThreadPool* pool);

// `count` distinct indexes below `total` (all of them when count >= total), ascending, drawn with `seed`.
std::vector<int> SampleIndexes(int total, int count, uint64_t seed);

}  // namespace lastro::services
