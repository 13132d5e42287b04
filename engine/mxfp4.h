// MXFP4 (OCP Microscaling Formats 1.0) as gpt-oss checkpoints store it: for each run of 32 numbers of a row, 16 bytes
// of two E2M1 values each (the lower half first) in one tensor, and one E8M0 scale, 2^(byte - 127), in another.
#pragma once

#include <cstdint>

namespace lastro::engine {

inline constexpr int64_t kMxfp4Run = 32;
inline constexpr int64_t kMxfp4RunBytes = 16;
inline constexpr int64_t kMxfp4BlockBytes = 17;

// The same numbers as one block of DataType::kMXFP4 (kernels/quant.h): the scale, then bytes whose lower halves are the
// first 16 values and whose upper halves are the others.
void RepackMxfp4Run(const uint8_t* values, uint8_t scale, uint8_t* block);

}  // namespace lastro::engine
