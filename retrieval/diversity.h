// Diversity: choosing hits that do not repeat each other. Pure function, thread-safe.
#pragma once

#include <cstddef>
#include <vector>

#include "absl/types/span.h"

namespace lastro::retrieval {

// Up to `limit` indexes in the order of choice, by maximal marginal relevance (Carbonell and Goldstein 1998): the next
// is the one with the largest
//   lambda * relevance - (1 - lambda) * its largest cosine with those chosen,  cosines below 0 counting as 0,
// ties by index. `relevance` in [0, 1]; `vectors`: one each, of unit length and one dimension. O(limit * n *
// dimension).
std::vector<size_t> SelectDiverse(absl::Span<const double> relevance, absl::Span<const std::vector<float>> vectors,
                                  double lambda, size_t limit);

}  // namespace lastro::retrieval
