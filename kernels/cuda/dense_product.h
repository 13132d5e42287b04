// DenseProducts: matrix products of bf16, fp16, fp32 or FP8 weights for many rows, by cuBLASLt, whose choice of an
// algorithm is kept per shape. Not thread-safe; the device's memory that it is given must outlive it.
#pragma once

#include <cuda_runtime.h>

#include <memory>
#include <string>

#include "kernels/cuda/fp8.h"
#include "kernels/cuda/matrix.h"

namespace lastro::kernels::cuda {

class DenseProducts {
 public:
  // What cuBLAS asks for on Hopper.
  static constexpr int64_t kWorkspaceBytes = int64_t{32} << 20;
  // Of every matrix and of its rows.
  static constexpr int64_t kAlignmentBytes = 16;

  // For the current device; null with `error` when cuBLASLt cannot be used.
  static std::unique_ptr<DenseProducts> Create(void* workspace, std::string* error);
  virtual ~DenseProducts() = default;

  // out = x W^T + bias, or without bias. W is `weights` [N, K], row-major without padding, of x's type; `bias` is [N]
  // of out's type or null. REQUIRES: matrices and rows aligned to kAlignmentBytes. out may be fp32 whatever x is.
  // Products are fp32 sums, without TF32. An error other than cudaSuccess has its text in `error()`.
  virtual cudaError_t Run(const void* weights, const void* bias, Matrix x, Matrix out, cudaStream_t stream) = 0;
  // As Run of numbers in FP8; `bias` is [N] of kBF16 or null. cudaErrorNotSupported where cuBLASLt has no such product
  // for this device and shape.
  virtual cudaError_t RunFp8(const Fp8Matrix& weights, const void* bias, const Fp8Matrix& x, Matrix out,
                             cudaStream_t stream) = 0;
  virtual const std::string& error() const = 0;
};

}  // namespace lastro::kernels::cuda
