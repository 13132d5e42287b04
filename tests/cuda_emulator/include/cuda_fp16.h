// fp16 as in CUDA, on the CPU.
#pragma once

#include "cuda_runtime.h"
#include "kernels/bfloat16.h"

struct __half {
  uint16_t bits;
};
inline __half __ushort_as_half(unsigned short bits) { return {bits}; }
inline float __half2float(__half x) { return lastro::kernels::Fp16ToFloat(x.bits); }
inline __half __float2half_rn(float x) { return {lastro::kernels::FloatToFp16(x)}; }
