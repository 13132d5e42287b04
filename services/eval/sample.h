// A sample of a dataset's questions. Pure function, thread-safe.
#pragma once

#include <cstdint>

#include "services/eval/dataset.h"

namespace lastro::services::eval {

// Leaves `limit` questions, in their order, drawn by `seed` alike on every machine; all when `limit` is 0. Passages
// stay.
void TakeSample(size_t limit, uint64_t seed, Dataset* dataset);

}  // namespace lastro::services::eval
