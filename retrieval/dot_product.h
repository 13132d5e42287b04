// The inner product behind every dense score of the store, in the widest SIMD the machine has (chosen once; set
// LASTRO_SIMD=scalar for the plain version). Thread-safe. One implementation for stored, indexed and unindexed vectors,
// so that the same pair always has the same score.
#pragma once

#include <cstddef>

namespace lastro::retrieval {

// sum of a[i] * b[i] over i < n; a, b: [n], any alignment.
float DotProduct(const float* a, const float* b, size_t n);

}  // namespace lastro::retrieval
