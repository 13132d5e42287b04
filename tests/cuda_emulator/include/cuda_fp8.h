// FP8 (E4M3) as in CUDA, on the CPU.
#pragma once

#include "cuda_fp16.h"

using __nv_fp8_storage_t = unsigned char;
using __nv_fp8x2_storage_t = unsigned short;
enum __nv_saturation_t { __NV_NOSAT, __NV_SATFINITE };
enum __nv_fp8_interpretation_t { __NV_E4M3, __NV_E5M2 };
struct __half2_raw {
  unsigned short x, y;
};

// The smallest exponent is -6, steps are an eighth of the power of two below.
inline __nv_fp8_storage_t __nv_cvt_float_to_fp8(float x, __nv_saturation_t, __nv_fp8_interpretation_t) {
  const unsigned char sign = __float_as_uint(x) >> 31 != 0 ? 0x80 : 0;
  const float magnitude = std::fabs(x);
  if (std::isnan(x)) return 0x7f;
  if (magnitude >= 448.0f) return sign | 0x7e;
  const int exponent = magnitude < std::ldexp(1.0f, -6) ? -6 : std::ilogb(magnitude);
  int steps = static_cast<int>(std::nearbyint(std::ldexp(magnitude, 3 - exponent)));  // of 8 to the power of two
  int field = exponent + 7;
  if (steps == 16) {
    steps = 8;
    ++field;
  }
  if (steps < 8) return static_cast<unsigned char>(sign | steps);  // subnormal
  return static_cast<unsigned char>(sign | field << 3 | (steps - 8));
}

inline unsigned short HalfOfE4m3(unsigned code) {
  const unsigned sign = (code & 0x80) << 8, exponent = code >> 3 & 15, mantissa = code & 7;
  if (exponent == 15 && mantissa == 7) return static_cast<unsigned short>(sign | 0x7fff);
  if (exponent != 0) return static_cast<unsigned short>(sign | (exponent + 8) << 10 | mantissa << 7);
  if (mantissa == 0) return static_cast<unsigned short>(sign);
  const unsigned top = mantissa >= 4 ? 2 : mantissa >= 2 ? 1 : 0;  // mantissa 2^-9, a normal number in fp16
  return static_cast<unsigned short>(sign | (top + 6) << 10 | (mantissa << (10 - top) & 1023));
}
inline __half2_raw __nv_cvt_fp8x2_to_halfraw2(__nv_fp8x2_storage_t codes, __nv_fp8_interpretation_t) {
  return {HalfOfE4m3(codes & 0xff), HalfOfE4m3(codes >> 8)};
}
