// Matrix: a strided row-major matrix of kF32, kBF16 or kF16 in device memory, not owned; what every kernel launcher of
// this folder takes. Plain value, thread-safe.
//
// Launchers: enqueue on `stream` and return at once, with the error of the launch; device memory must live until the
// stream has passed. Like kernels/kernels.h they trust their arguments. Letters as there: R rows, C columns, H heads,
// G KV heads, D head width, N output features, K input features.
#pragma once

#include <cstdint>

#include "kernels/cuda/stream.h"
#include "kernels/quant.h"

namespace lastro::kernels::cuda {

struct Matrix {
  void* data = nullptr;
  DataType type = DataType::kF32;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t stride = 0;  // in elements
};

}  // namespace lastro::kernels::cuda
