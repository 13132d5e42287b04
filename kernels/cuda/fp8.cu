#include <cuda_fp8.h>

#include <cfloat>

#include "kernels/cuda/elements.cuh"
#include "kernels/cuda/fp8.h"
#include "kernels/cuda/weight_products.cuh"
#include "kernels/cuda/weights.h"

namespace lastro::kernels::cuda {
namespace {

constexpr int kCodes = 16;  // that a thread reads at once
static_assert(kCodes == kFp8Multiple);

__device__ __forceinline__ void FromCodes(const Pack<__nv_fp8x2_storage_t, kCodes / 2>& codes, float (&w)[kCodes]) {
#pragma unroll
  for (int i = 0; i < kCodes / 2; ++i) {
    const __half2_raw pair = __nv_cvt_fp8x2_to_halfraw2(codes.values[i], __NV_E4M3);
    w[2 * i] = __half2float(__ushort_as_half(pair.x));
    w[2 * i + 1] = __half2float(__ushort_as_half(pair.y));
  }
}

__device__ __forceinline__ Pack<__nv_fp8x2_storage_t, kCodes / 2> LoadCodes(const uint8_t* codes) {
  return *reinterpret_cast<const Pack<__nv_fp8x2_storage_t, kCodes / 2>*>(codes);
}

template <typename X>
__global__ void RoundKernel(const X* x, int64_t stride, int64_t cols, uint8_t* codes, float* scales) {
  AwaitPriorKernel();
  const X* from = x + blockIdx.x * stride;
  float largest = 0;
  for (int64_t i = threadIdx.x; i < cols; i += blockDim.x) largest = fmaxf(largest, fabsf(ToFloat(from[i])));
  // Not below the smallest normal number, so that nothing is divided by zero.
  const float scale = fmaxf(BlockMax(largest) / kFp8Limit, FLT_MIN);
  for (int64_t i = threadIdx.x; i < cols; i += blockDim.x) {
    codes[blockIdx.x * cols + i] = __nv_cvt_float_to_fp8(ToFloat(from[i]) / scale, __NV_SATFINITE, __NV_E4M3);
  }
  if (threadIdx.x == 0) scales[blockIdx.x] = scale;
}

template <typename Out>
__global__ void ReadKernel(const uint8_t* codes, const float* scales, int64_t rows, int64_t cols, Out* out,
                           int64_t stride) {
  AwaitPriorKernel();
  const int64_t packs = cols / kCodes, step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < rows * packs; i += step) {
    const int64_t row = i / packs;
    float w[kCodes];
    FromCodes(LoadCodes(codes + i * kCodes), w);
    Out* to = out + row * stride + i % packs * kCodes;
#pragma unroll
    for (int j = 0; j < kCodes; ++j) to[j] = FromFloat<Out>(w[j] * scales[row]);
  }
}

// One warp an output feature; neighbouring lanes read neighbouring memory, and several reads are under way before the
// first is used.
constexpr int kCodeUnroll = 4;

template <typename X, int kRows>
__global__ void __launch_bounds__(kProductWarps* kWarp)
    FewRowsKernel(const uint8_t* codes, const float* scales, int64_t n, int64_t k, const float* bias, const X* x,
                  int64_t x_stride, bool x_vectors, int rows, void* out, DataType out_type, int64_t out_stride) {
  AwaitPriorKernel();
  const int lane = threadIdx.x % kWarp;
  const int64_t feature = static_cast<int64_t>(blockIdx.x) * kProductWarps + threadIdx.x / kWarp;
  if (feature >= n) return;  // the same for the whole warp
  float sums[kRows] = {};
  for (int64_t begin = lane * kCodes; begin < k; begin += kCodeUnroll * kWarp * kCodes) {
    Pack<__nv_fp8x2_storage_t, kCodes / 2> read[kCodeUnroll];
#pragma unroll
    for (int i = 0; i < kCodeUnroll; ++i) {
      const int64_t at = begin + i * kWarp * kCodes;
      if (at < k) read[i] = LoadCodes(codes + feature * k + at);
    }
#pragma unroll
    for (int i = 0; i < kCodeUnroll; ++i) {
      const int64_t at = begin + i * kWarp * kCodes;
      if (at >= k) continue;
      float w[kCodes];
      FromCodes(read[i], w);
#pragma unroll
      for (int row = 0; row < kRows; ++row) {
        if (row < rows) sums[row] += Dot(w, x + row * x_stride + at, kCodes, x_vectors);
      }
    }
  }
#pragma unroll
  for (int row = 0; row < kRows; ++row) sums[row] *= scales[feature];
  WriteSums<kRows>(sums, feature, bias, rows, out, out_type, out_stride);
}

template <typename X, int kRows>
cudaError_t StartFewRows(const Fp8Matrix& w, const float* bias, const Matrix& x, const Matrix& out, Stream stream) {
  const dim3 grid(static_cast<unsigned>(CeilDiv(w.rows, kProductWarps)));
  return Launch(FewRowsKernel<X, kRows>, grid, kProductWarps * kWarp, 0, stream, w.codes, w.scales, w.rows, w.cols,
                bias, static_cast<const X*>(x.data), x.stride, InVectors(x), static_cast<int>(x.rows), out.data,
                out.type, out.stride);
}

}  // namespace

cudaError_t RoundToFp8(Matrix x, Fp8Matrix out, Stream stream) {
  if (x.rows == 0) return cudaSuccess;
  return WithType(x.type, [&](auto type) {
    using X = decltype(type);
    return Launch(RoundKernel<X>, dim3(static_cast<unsigned>(x.rows)), kElementThreads, 0, stream,
                  static_cast<const X*>(x.data), x.stride, x.cols, out.codes, out.scales);
  });
}

cudaError_t ReadFp8Rows(const Fp8Matrix& m, int64_t first, Matrix out, Stream stream) {
  if (out.rows == 0) return cudaSuccess;
  return WithType(out.type, [&](auto type) {
    using Out = decltype(type);
    return Launch(ReadKernel<Out>, ElementGrid(out.rows * (m.cols / kCodes)), kElementThreads, 0, stream,
                  m.codes + first * m.cols, m.scales + first, out.rows, m.cols, static_cast<Out*>(out.data),
                  out.stride);
  });
}

cudaError_t FewRowsFp8Product(const Fp8Matrix& weights, const float* bias, Matrix x, Matrix out, Stream stream) {
  if (x.rows == 0) return cudaSuccess;
  return WithType(x.type, [&](auto type) {
    using X = decltype(type);
    if (x.rows == 1) return StartFewRows<X, 1>(weights, bias, x, out, stream);
    if (x.rows <= 4) return StartFewRows<X, 4>(weights, bias, x, out, stream);
    return StartFewRows<X, kMaxFewRows>(weights, bias, x, out, stream);
  });
}

}  // namespace lastro::kernels::cuda
