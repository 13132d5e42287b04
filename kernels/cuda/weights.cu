#include <type_traits>

#include "kernels/cuda/elements.cuh"
#include "kernels/cuda/weight_products.cuh"
#include "kernels/cuda/weights.h"

namespace lastro::kernels::cuda {
namespace {

template <DataType kType, typename Out>
__global__ void LookUpKernel(const uint8_t* table, int64_t row_bytes, int64_t cols, const int32_t* ids, int64_t first,
                             int64_t rows, bool accumulate, Out* out, int64_t stride) {
  AwaitPriorKernel();
  const int64_t groups = (cols + kGroup - 1) / kGroup, step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < rows * groups; i += step) {
    const int64_t row = i / groups, group = i % groups;
    float w[kGroup];
    LoadAnyGroup<kType>(table + (ids != nullptr ? ids[row] : first + row) * row_bytes, group, cols, false, w);
    Out* to = out + row * stride + group * kGroup;
    for (int j = 0; j < kGroup && group * kGroup + j < cols; ++j) {
      to[j] = FromFloat<Out>(accumulate ? ToFloat(to[j]) + w[j] : w[j]);
    }
  }
}

template <DataType kType, typename X, int kRows>
__global__ void __launch_bounds__(kProductWarps* kWarp)
    FewRowsKernel(const uint8_t* weights, int64_t row_bytes, int64_t n, int64_t k, bool vectors, const float* bias,
                  const X* x, int64_t x_stride, bool x_vectors, int rows, void* out, DataType out_type,
                  int64_t out_stride) {
  AwaitPriorKernel();
  const int64_t feature = static_cast<int64_t>(blockIdx.x) * kProductWarps + threadIdx.x / kWarp;
  if (feature >= n) return;  // the same for the whole warp
  float sums[kRows] = {};
  AddProducts<kType>(weights + feature * row_bytes, k, vectors, x, x_stride, x_vectors, rows, sums);
  WriteSums<kRows>(sums, feature, bias, rows, out, out_type, out_stride);
}

// As FewRowsKernel, of weights without blocks in rows of whole vectors: neighbouring lanes read neighbouring memory,
// and several reads are under way before the first is used.
constexpr int kProductUnroll = 4;

template <typename T, int kRows>
__global__ void __launch_bounds__(kProductWarps* kWarp)
    FewPlainRowsKernel(const T* weights, int64_t n, int64_t k, const float* bias, const T* x, int64_t x_stride,
                       int rows, void* out, DataType out_type, int64_t out_stride) {
  AwaitPriorKernel();
  constexpr int kVector = 16 / sizeof(T);
  const int lane = threadIdx.x % kWarp;
  const int64_t feature = static_cast<int64_t>(blockIdx.x) * kProductWarps + threadIdx.x / kWarp;
  if (feature >= n) return;  // the same for the whole warp
  const T* row_weights = weights + feature * k;
  float sums[kRows] = {};
  for (int64_t begin = lane * kVector; begin < k; begin += kProductUnroll * kWarp * kVector) {
    float w[kProductUnroll][kVector];
#pragma unroll
    for (int i = 0; i < kProductUnroll; ++i) {
      const int64_t at = begin + i * kWarp * kVector;
      if (at < k) LoadPack<kVector>(row_weights + at, w[i]);
    }
#pragma unroll
    for (int i = 0; i < kProductUnroll; ++i) {
      const int64_t at = begin + i * kWarp * kVector;
      if (at >= k) continue;
#pragma unroll
      for (int row = 0; row < kRows; ++row) {
        if (row >= rows) continue;
        float values[kVector];
        LoadPack<kVector>(x + row * x_stride + at, values);
#pragma unroll
        for (int j = 0; j < kVector; ++j) sums[row] += w[i][j] * values[j];
      }
    }
  }
  WriteSums<kRows>(sums, feature, bias, rows, out, out_type, out_stride);
}

template <DataType kType, typename X, int kRows>
cudaError_t StartFewRows(const StoredRows& w, const float* bias, const Matrix& x, const Matrix& out, Stream stream) {
  const int64_t row_bytes = RowBytes(w.type, w.cols);
  const bool vectors = row_bytes % 16 == 0 && reinterpret_cast<uintptr_t>(w.data) % 16 == 0;
  const bool x_vectors = InVectors(x);
  const dim3 grid(static_cast<unsigned>(CeilDiv(w.rows, kProductWarps)));
  const X* from = static_cast<const X*>(x.data);
  const int rows = static_cast<int>(x.rows);
  // At load plain weights become of the activations' type.
  if constexpr (!IsQuantized(kType)) {
    if constexpr (std::is_same_v<typename PlainElement<kType>::type, X>) {
      if (vectors && x_vectors) {
        return Launch(FewPlainRowsKernel<X, kRows>, grid, kProductWarps * kWarp, 0, stream,
                      static_cast<const X*>(w.data), w.rows, w.cols, bias, from, x.stride, rows, out.data, out.type,
                      out.stride);
      }
    }
  }
  return Launch(FewRowsKernel<kType, X, kRows>, grid, kProductWarps * kWarp, 0, stream,
                static_cast<const uint8_t*>(w.data), row_bytes, w.rows, w.cols, vectors, bias, from, x.stride,
                x_vectors, rows, out.data, out.type, out.stride);
}

cudaError_t LookUpRows(const StoredRows& table, const int32_t* ids, int64_t first, bool accumulate, const Matrix& out,
                       Stream stream) {
  if (out.rows == 0) return cudaSuccess;
  return WithStoredType(table.type, [&](auto stored) {
    return WithType(out.type, [&](auto to) {
      using Out = decltype(to);
      return Launch(LookUpKernel<decltype(stored)::value, Out>, ElementGrid(out.rows * CeilDiv(out.cols, kGroup)),
                    kElementThreads, 0, stream, static_cast<const uint8_t*>(table.data),
                    RowBytes(table.type, table.cols), table.cols, ids, first, out.rows, accumulate,
                    static_cast<Out*>(out.data), out.stride);
    });
  });
}

}  // namespace

cudaError_t ReadRows(const StoredRows& weights, int64_t first, Matrix out, Stream stream) {
  return LookUpRows(weights, nullptr, first, false, out, stream);
}

cudaError_t LookUp(const StoredRows& table, const int32_t* ids, bool accumulate, Matrix out, Stream stream) {
  return LookUpRows(table, ids, 0, accumulate, out, stream);
}

cudaError_t FewRowsProduct(const StoredRows& weights, const float* bias, Matrix x, Matrix out, Stream stream) {
  if (x.rows == 0) return cudaSuccess;
  return WithStoredType(weights.type, [&](auto stored) {
    constexpr DataType kType = decltype(stored)::value;
    return WithType(x.type, [&](auto type) {
      using X = decltype(type);
      if (x.rows == 1) return StartFewRows<kType, X, 1>(weights, bias, x, out, stream);
      if (x.rows <= 4) return StartFewRows<kType, X, 4>(weights, bias, x, out, stream);
      return StartFewRows<kType, X, kMaxFewRows>(weights, bias, x, out, stream);
    });
  });
}

}  // namespace lastro::kernels::cuda
