// QuantizeBlocks: floats to the blocks of kernels/quant.h, for writing model files. Scales are searched for: each
// format fits a few roundings around the plain one by least squares and keeps the best. Plain C++, pure, thread-safe.
#pragma once

#include <cstdint>

#include "kernels/kernels.h"

namespace lastro::kernels {

// True for the types that QuantizeBlocks writes: Q4_0, Q8_0, Q4_K, Q5_K, Q6_K, MXFP4.
bool CanQuantize(DataType type);

// x [n], a whole number of blocks of finite numbers. REQUIRES: CanQuantize(type).
void QuantizeBlocks(DataType type, const float* x, int64_t n, uint8_t* blocks);

}  // namespace lastro::kernels
