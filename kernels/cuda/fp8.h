// Matrices in FP8: numbers of 8 bits, E4M3 (4 bits of exponent, 3 of mantissa, at most 448, no infinities; "FP8 Formats
// for Deep Learning", arXiv:2209.05433), each row on a scale of its own. See matrix.h for what holds of every launcher.
#pragma once

#include "kernels/cuda/matrix.h"

namespace lastro::kernels::cuda {

// Element = scales[row] * codes[row, col]; rows without padding, 16-byte aligned.
struct Fp8Matrix {
  uint8_t* codes = nullptr;
  float* scales = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;  // a multiple of kFp8Multiple
};
inline constexpr int64_t kFp8Multiple = 16;
inline constexpr float kFp8Limit = 448.0f;

// out = x, to nearest, ties to even; the largest magnitude of a row becomes kFp8Limit. What is not finite makes what it
// meets in a product NaN.
cudaError_t RoundToFp8(Matrix x, Fp8Matrix out, Stream stream);

// out = rows [first, first + R) of `m`, in out's type.
cudaError_t ReadFp8Rows(const Fp8Matrix& m, int64_t first, Matrix out, Stream stream);

// out = x W^T + bias for at most kMaxFewRows rows (weights.h), which are not rounded; `bias` is [N] or null.
cudaError_t FewRowsFp8Product(const Fp8Matrix& weights, const float* bias, Matrix x, Matrix out, Stream stream);

}  // namespace lastro::kernels::cuda
