// DenseProducts in plain loops, in cuBLASLt's place.
#include "kernels/cuda/dense_product.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>

#include <vector>

namespace lastro::kernels::cuda {
namespace {

float At(const void* data, DataType type, int64_t i) {
  if (type == DataType::kBF16) return __bfloat162float(static_cast<const __nv_bfloat16*>(data)[i]);
  if (type == DataType::kF16) return __half2float(static_cast<const __half*>(data)[i]);
  return static_cast<const float*>(data)[i];
}

class EmulatedProducts : public DenseProducts {
 public:
  cudaError_t Run(const void* weights, const void* bias, Matrix x, Matrix out, cudaStream_t stream) override {
    const int64_t row_bytes = RowBytes(x.type, x.cols);
    if (!Aligned(weights, row_bytes) || !Aligned(x.data, RowBytes(x.type, x.stride)) || !Aligned(bias, 0) ||
        !Aligned(out.data, RowBytes(out.type, out.stride))) {
      error_ = "a matrix that is not aligned";
      return cudaErrorInvalidValue;
    }
    CudaEmulatorEnqueue(stream, [=] { Multiply(weights, bias, x, out); });
    return cudaSuccess;
  }
  // Through the conversions of cuda_fp8.h, of which the results of fp32 are left to the caller's other way.
  cudaError_t RunFp8(const Fp8Matrix& weights, const void* bias, const Fp8Matrix& x, Matrix out,
                     cudaStream_t stream) override {
    if (out.type != DataType::kBF16) return cudaErrorNotSupported;
    if (!Aligned(weights.codes, weights.cols) || !Aligned(x.codes, x.cols) || !Aligned(bias, 0) ||
        !Aligned(out.data, RowBytes(out.type, out.stride))) {
      error_ = "a matrix that is not aligned";
      return cudaErrorInvalidValue;
    }
    CudaEmulatorEnqueue(stream, [=] {
      const std::vector<float> left = Values(x), right = Values(weights);
      for (int64_t row = 0; row < x.rows; ++row) {
        for (int64_t n = 0; n < out.cols; ++n) {
          float sum = 0;
          for (int64_t k = 0; k < x.cols; ++k) {
            sum += left[static_cast<size_t>(row * x.cols + k)] * right[static_cast<size_t>(n * x.cols + k)];
          }
          if (bias != nullptr) sum += At(bias, DataType::kBF16, n);
          static_cast<__nv_bfloat16*>(out.data)[row * out.stride + n] = __float2bfloat16_rn(sum);
        }
      }
    });
    return cudaSuccess;
  }
  const std::string& error() const override { return error_; }

 private:
  static std::vector<float> Values(const Fp8Matrix& m) {
    std::vector<float> values;
    for (int64_t i = 0; i < m.rows * m.cols; ++i) {
      const __half2_raw pair = __nv_cvt_fp8x2_to_halfraw2(m.codes[i], __NV_E4M3);
      values.push_back(__half2float(__ushort_as_half(pair.x)) * m.scales[i / m.cols]);
    }
    return values;
  }
  static bool Aligned(const void* data, int64_t row_bytes) {
    return reinterpret_cast<uintptr_t>(data) % kAlignmentBytes == 0 && row_bytes % kAlignmentBytes == 0;
  }
  static void Multiply(const void* weights, const void* bias, const Matrix& x, const Matrix& out) {
    for (int64_t row = 0; row < x.rows; ++row) {
      for (int64_t n = 0; n < out.cols; ++n) {
        float sum = 0;
        for (int64_t k = 0; k < x.cols; ++k) {
          sum += At(x.data, x.type, row * x.stride + k) * At(weights, x.type, n * x.cols + k);
        }
        if (bias != nullptr) sum += At(bias, out.type, n);
        const int64_t at = row * out.stride + n;
        if (out.type == DataType::kBF16) {
          static_cast<__nv_bfloat16*>(out.data)[at] = __float2bfloat16_rn(sum);
        } else if (out.type == DataType::kF16) {
          static_cast<__half*>(out.data)[at] = __float2half_rn(sum);
        } else {
          static_cast<float*>(out.data)[at] = sum;
        }
      }
    }
  }

  std::string error_;
};

}  // namespace

std::unique_ptr<DenseProducts> DenseProducts::Create(void*, std::string*) {
  return std::make_unique<EmulatedProducts>();
}

}  // namespace lastro::kernels::cuda
