// Routing of rows to the experts of a mixture (Shazeer et al. 2017). Pure functions.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace lastro::engine {

// The rows that one expert gets, in order, and what its output for each is multiplied by.
struct ExpertRows {
  std::vector<int32_t> rows;
  std::vector<float> factors;
};

// logits [rows, experts]: each row goes to the `per_token` experts of the largest logits (the lower index on a tie),
// weighted by the softmax over those. Returns [experts]. A NaN logit is the smallest.
std::vector<ExpertRows> RouteToExperts(absl::Span<const float> logits, int64_t experts, int64_t per_token);

}  // namespace lastro::engine
