// Weights as they are stored, in device memory: rows of any DataType, looked up, converted, or multiplied without being
// converted first. See matrix.h for what holds of every launcher.
#pragma once

#include "kernels/cuda/matrix.h"

namespace lastro::kernels::cuda {

// [N, K] row-major without padding; rows of blocks at even addresses, others aligned to their elements.
struct StoredRows {
  const void* data = nullptr;
  DataType type = DataType::kF32;
  int64_t rows = 0;
  int64_t cols = 0;
};

// out = rows [first, first + R) of `weights`, in out's type.
cudaError_t ReadRows(const StoredRows& weights, int64_t first, Matrix out, Stream stream);

// out[i] = table[ids[i]], or += with `accumulate`. `ids` is device memory.
cudaError_t LookUp(const StoredRows& table, const int32_t* ids, bool accumulate, Matrix out, Stream stream);

// out = x W^T + bias for at most kMaxFewRows rows: each weight is read once, sums are fp32. `bias` is [N] or null.
inline constexpr int64_t kMaxFewRows = 8;
cudaError_t FewRowsProduct(const StoredRows& weights, const float* bias, Matrix x, Matrix out, Stream stream);

}  // namespace lastro::kernels::cuda
