// Products with rows of weights as they are stored, one warp an output feature: what the kernels of weights.cu and
// experts.cu share. Device code.
#pragma once

#include "kernels/cuda/elements.cuh"
#include "kernels/cuda/matrix.h"
#include "kernels/cuda/weight_groups.cuh"

namespace lastro::kernels::cuda {

// Group `index` of a row of `cols` elements of any type; what lies beyond `cols` is 0. `vectors`: rows are 16-byte
// aligned.
template <DataType kType>
__device__ __forceinline__ void LoadAnyGroup(const uint8_t* row, int64_t index, int64_t cols, bool vectors,
                                             float (&w)[kGroup]) {
  if constexpr (IsQuantized(kType)) {
    LoadGroup<kType>(row, index, w);
  } else {
    using T = typename PlainElement<kType>::type;
    constexpr int kVector = 16 / sizeof(T);
    const T* from = reinterpret_cast<const T*>(row) + index * kGroup;
    if (vectors && (index + 1) * kGroup <= cols) {
#pragma unroll
      for (int j = 0; j < kGroup; j += kVector) {
        float some[kVector];
        LoadPack<kVector>(from + j, some);
#pragma unroll
        for (int i = 0; i < kVector; ++i) w[j + i] = some[i];
      }
    } else {
#pragma unroll
      for (int j = 0; j < kGroup; ++j) w[j] = index * kGroup + j < cols ? ToFloat(from[j]) : 0.0f;
    }
  }
}

// Output features of a block.
inline constexpr int kProductWarps = 4;

// With x[0 .. kCount) of a row, zeros from `count` on.
template <typename X, int kCount>
__device__ __forceinline__ float Dot(const float (&w)[kCount], const X* x, int64_t count, bool vectors) {
  constexpr int kVector = 16 / sizeof(X);
  float sum = 0;
  if (vectors && count >= kCount) {
#pragma unroll
    for (int j = 0; j < kCount; j += kVector) {
      float some[kVector];
      LoadPack<kVector>(x + j, some);
#pragma unroll
      for (int i = 0; i < kVector; ++i) sum += w[j + i] * some[i];
    }
  } else {
#pragma unroll
    for (int j = 0; j < kCount; ++j) {
      if (j < count) sum += w[j] * ToFloat(x[j]);
    }
  }
  return sum;
}

// The sums of a warp's lanes, with the bias, as feature `feature` of each row.
template <int kRows>
__device__ __forceinline__ void WriteSums(const float (&sums)[kRows], int64_t feature, const float* bias, int rows,
                                          void* out, DataType out_type, int64_t out_stride) {
#pragma unroll
  for (int row = 0; row < kRows; ++row) {
    if (row >= rows) continue;  // the same for the whole warp
    const float sum = WarpSum(sums[row]);
    if (threadIdx.x % kWarp != 0) continue;
    const float value = bias != nullptr ? sum + bias[feature] : sum;
    const int64_t at = row * out_stride + feature;
    if (out_type == DataType::kF32) {
      static_cast<float*>(out)[at] = value;
    } else if (out_type == DataType::kBF16) {
      static_cast<bf16*>(out)[at] = FromFloat<bf16>(value);
    } else {
      static_cast<__half*>(out)[at] = FromFloat<__half>(value);
    }
  }
}

// Adds to sums[row] what this lane has of the product of a weight's row of `k` elements with each of `rows` rows of x.
template <DataType kType, typename X, int kRows>
__device__ __forceinline__ void AddProducts(const uint8_t* weights, int64_t k, bool vectors, const X* x,
                                            int64_t x_stride, bool x_vectors, int rows, float (&sums)[kRows]) {
  const int64_t groups = (k + kGroup - 1) / kGroup;
  for (int64_t group = threadIdx.x % kWarp; group < groups; group += kWarp) {
    float w[kGroup];
    LoadAnyGroup<kType>(weights, group, k, vectors, w);
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
      if (row < rows) sums[row] += Dot(w, x + row * x_stride + group * kGroup, k - group * kGroup, x_vectors);
    }
  }
}

// Whether rows are 16-byte aligned.
inline bool InVectors(const Matrix& m) {
  return m.stride * RowBytes(m.type, 1) % 16 == 0 && reinterpret_cast<uintptr_t>(m.data) % 16 == 0;
}

}  // namespace lastro::kernels::cuda
