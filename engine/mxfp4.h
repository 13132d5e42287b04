// MXFP4 (OCP Microscaling Formats 1.0) as gpt-oss checkpoints store it: for each run of 32 numbers of a row, 16 bytes
// of two E2M1 values each (the lower half first) in one tensor, and one E8M0 scale, 2^(byte - 127), in another.
#pragma once

#include <cstdint>

namespace lastro::engine {

inline constexpr int64_t kMxfp4Run = 32;
inline constexpr int64_t kMxfp4RunBytes = 16;

// out[0:32] as bf16, exactly: the values have two significant bits. A scale of 255 (NaN) gives NaN; products below the
// smallest normal bf16 become zero.
void DecodeMxfp4Run(const uint8_t* values, uint8_t scale, uint16_t* out);

}  // namespace lastro::engine
