#include "kernels/cuda/elements.cuh"
#include "kernels/cuda/row_kernels.h"

namespace lastro::kernels::cuda {
namespace {

// Elements that one thread moves at once where rows allow it.
constexpr int kRowPack = 4;
constexpr int kMaxRowThreads = 1024;
// Threads of a block that works on a whole row of `cols` columns.
int RowThreads(int64_t cols, int pack) {
  return static_cast<int>(std::min<int64_t>(kMaxRowThreads, RoundUp(CeilDiv(cols, pack), kWarp)));
}

bool Packs(const Matrix& m) {
  const int64_t bytes = kRowPack * RowBytes(m.type, 1);
  return m.stride % kRowPack == 0 && reinterpret_cast<uintptr_t>(m.data) % bytes == 0;
}

template <int kPack, typename X, typename B, typename Out>
__global__ void NormKernel(NormArgs args, const B* branch, int64_t branch_stride, X* x, int64_t x_stride, int width,
                           int groups, Out* out, int64_t out_stride) {
  AwaitPriorKernel();
  const int64_t row = blockIdx.x / groups, column = static_cast<int64_t>(blockIdx.x % groups) * width;
  X* from = x + row * x_stride + column;
  Out* to = out + row * out_stride + column;
  const int first = threadIdx.x * kPack, step = blockDim.x * kPack;
  float sum = 0, values[kPack];
  for (int i = first; i < width; i += step) {
    LoadPack<kPack>(from + i, values);
    if (branch != nullptr) {
      float added[kPack];
      LoadPack<kPack>(branch + row * branch_stride + column + i, added);
#pragma unroll
      for (int j = 0; j < kPack; ++j) values[j] += added[j];
      StorePack<kPack>(values, from + i);
    }
#pragma unroll
    for (int j = 0; j < kPack; ++j) sum += args.rms ? values[j] * values[j] : values[j];
  }
  float mean = 0, square = BlockSum(sum) / width;
  if (!args.rms) {
    mean = square;
    sum = 0;
    for (int i = first; i < width; i += step) {
      LoadPack<kPack>(from + i, values);
#pragma unroll
      for (int j = 0; j < kPack; ++j) sum += (values[j] - mean) * (values[j] - mean);
    }
    square = BlockSum(sum) / width;
  }
  const float factor = 1.0f / sqrtf(square + args.eps);
  for (int i = first; i < width; i += step) {
    LoadPack<kPack>(from + i, values);
#pragma unroll
    for (int j = 0; j < kPack; ++j) {
      values[j] = (values[j] - mean) * factor * args.weight[i + j];
      if (args.bias != nullptr) values[j] += args.bias[i + j];
    }
    StorePack<kPack>(values, to + i);
  }
}

__device__ __forceinline__ float Sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

template <ActivationKind kKind>
__device__ __forceinline__ float Activated(float x) {
  if (kKind == ActivationKind::kSilu) return x * Sigmoid(x);
  if (kKind == ActivationKind::kRelu) return fmaxf(x, 0.0f);
  constexpr float kSqrtHalf = 0.70710678118654752f, kSqrtTwoOverPi = 0.79788456080286536f;
  if (kKind == ActivationKind::kGeluErf) return 0.5f * x * (1.0f + erff(x * kSqrtHalf));
  return 0.5f * x * (1.0f + tanhf(kSqrtTwoOverPi * (x + 0.044715f * x * x * x)));
}

template <ActivationKind kKind>
__device__ __forceinline__ float Gated(float gate, float up) {
  if (kKind != ActivationKind::kClampedSwiglu) return Activated<kKind>(gate) * up;
  gate = fminf(gate, kSwigluLimit);
  up = fminf(fmaxf(up, -kSwigluLimit), kSwigluLimit);
  return gate * Sigmoid(kSwigluAlpha * gate) * (up + 1.0f);
}

// Calls body(row, first column) for every pack of a matrix [rows, cols].
template <int kPack, typename Body>
__device__ __forceinline__ void ForPacks(int64_t rows, int64_t cols, Body body) {
  const int64_t packs = cols / kPack, step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < rows * packs; i += step) {
    body(i / packs, i % packs * kPack);
  }
}

template <int kPack, ActivationKind kKind, typename X, typename Out>
__global__ void ActivateKernel(bool gated, const X* x, int64_t x_stride, int64_t rows, int64_t cols, Out* out,
                               int64_t out_stride) {
  AwaitPriorKernel();
  ForPacks<kPack>(rows, cols, [&](int64_t row, int64_t column) {
    const X* from = x + row * x_stride + column;
    float values[kPack];
    LoadPack<kPack>(from, values);
    if (gated) {
      float up[kPack];
      LoadPack<kPack>(from + cols, up);
#pragma unroll
      for (int j = 0; j < kPack; ++j) values[j] = Gated<kKind>(values[j], up[j]);
    } else {
#pragma unroll
      for (int j = 0; j < kPack; ++j) values[j] = Activated<kKind>(values[j]);
    }
    StorePack<kPack>(values, out + row * out_stride + column);
  });
}

template <int kPack, typename X, typename Out>
__global__ void AddKernel(const X* x, int64_t x_stride, int64_t rows, int64_t cols, Out* inout, int64_t stride) {
  AwaitPriorKernel();
  ForPacks<kPack>(rows, cols, [&](int64_t row, int64_t column) {
    float values[kPack], sums[kPack];
    LoadPack<kPack>(x + row * x_stride + column, values);
    LoadPack<kPack>(inout + row * stride + column, sums);
#pragma unroll
    for (int j = 0; j < kPack; ++j) sums[j] += values[j];
    StorePack<kPack>(sums, inout + row * stride + column);
  });
}

template <int kPack, typename X>
__global__ void MapKernel(MapKind kind, float p, X* x, int64_t stride, int64_t rows, int64_t cols) {
  AwaitPriorKernel();
  ForPacks<kPack>(rows, cols, [&](int64_t row, int64_t column) {
    float values[kPack];
    LoadPack<kPack>(x + row * stride + column, values);
#pragma unroll
    for (int j = 0; j < kPack; ++j) {
      const float v = values[j];
      values[j] = kind == MapKind::kScale ? p * v : kind == MapKind::kClamp ? fminf(fmaxf(v, -p), p) : p * tanhf(v / p);
    }
    StorePack<kPack>(values, x + row * stride + column);
  });
}

// out[i] = x[rows[i]], or x[i] where `rows` is null.
template <int kPack, typename X, typename Out>
__global__ void GatherKernel(const X* x, int64_t x_stride, const int32_t* rows, int64_t count, int64_t cols, Out* out,
                             int64_t out_stride) {
  AwaitPriorKernel();
  ForPacks<kPack>(count, cols, [&](int64_t row, int64_t column) {
    float values[kPack];
    LoadPack<kPack>(x + (rows != nullptr ? rows[row] : row) * x_stride + column, values);
    StorePack<kPack>(values, out + row * out_stride + column);
  });
}

template <int kPack, typename X, typename Out>
__global__ void AddScaledRowsKernel(const X* x, int64_t x_stride, const int32_t* rows, const float* factors,
                                    int64_t count, int64_t cols, Out* out, int64_t out_stride) {
  AwaitPriorKernel();
  ForPacks<kPack>(count, cols, [&](int64_t row, int64_t column) {
    float values[kPack], sums[kPack];
    Out* to = out + rows[row] * out_stride + column;
    LoadPack<kPack>(x + row * x_stride + column, values);
    LoadPack<kPack>(to, sums);
#pragma unroll
    for (int j = 0; j < kPack; ++j) sums[j] += factors[row] * values[j];
    StorePack<kPack>(sums, to);
  });
}

// In double: angles of late positions lose too much in fp32's range reduction.
__global__ void RotaryAnglesKernel(const int32_t* positions, int64_t count, const float* frequencies,
                                   int64_t frequency_count, double factor, float* to_cos, float* to_sin) {
  AwaitPriorKernel();
  ForPacks<1>(count, frequency_count, [&](int64_t row, int64_t i) {
    const double angle = static_cast<float>(positions[row]) * frequencies[i];
    double sine, cosine;
    sincos(angle, &sine, &cosine);
    to_cos[row * frequency_count + i] = static_cast<float>(cosine * factor);
    to_sin[row * frequency_count + i] = static_cast<float>(sine * factor);
  });
}

template <typename X>
__global__ void RopeKernel(const float* cos, const float* sin, int half, int head_dim, int64_t rows, int64_t heads,
                           X* x, int64_t stride) {
  AwaitPriorKernel();
  ForPacks<1>(rows, heads * half, [&](int64_t row, int64_t pair) {
    const int64_t i = pair % half;
    const float c = cos[row * half + i], s = sin[row * half + i];
    X* first = x + row * stride + pair / half * head_dim + i;
    X* second = first + half;
    const float a = ToFloat(*first), b = ToFloat(*second);
    *first = FromFloat<X>(a * c - b * s);
    *second = FromFloat<X>(b * c + a * s);
  });
}

template <typename X, typename Out>
__global__ void PoolKernel(const X* x, int64_t x_stride, const RowRange* ranges, bool normalize, int cols, Out* out,
                           int64_t out_stride) {
  AwaitPriorKernel();
  const RowRange range = ranges[blockIdx.x];
  Out* to = out + blockIdx.x * out_stride;
  float square = 0;
  for (int column = threadIdx.x; column < cols; column += blockDim.x) {
    float sum = 0;
    for (int row = 0; row < range.count; ++row) sum += ToFloat(x[(range.first + row) * x_stride + column]);
    const float mean = sum / range.count;
    square += mean * mean;
    to[column] = FromFloat<Out>(mean);
  }
  if (!normalize) return;
  const float factor = 1.0f / fmaxf(sqrtf(BlockSum(square)), 1e-12f);
  for (int column = threadIdx.x; column < cols; column += blockDim.x) {
    to[column] = FromFloat<Out>(ToFloat(to[column]) * factor);
  }
}

// Calls f(packs of kRowPack or of one, as an integral constant).
template <typename F>
cudaError_t WithPack(bool packs, F f) {
  return packs ? f(std::integral_constant<int, kRowPack>()) : f(std::integral_constant<int, 1>());
}

template <typename F>
cudaError_t WithActivation(ActivationKind kind, F f) {
  switch (kind) {
    case ActivationKind::kSilu:
      return f(std::integral_constant<ActivationKind, ActivationKind::kSilu>());
    case ActivationKind::kGeluErf:
      return f(std::integral_constant<ActivationKind, ActivationKind::kGeluErf>());
    case ActivationKind::kGeluTanh:
      return f(std::integral_constant<ActivationKind, ActivationKind::kGeluTanh>());
    case ActivationKind::kRelu:
      return f(std::integral_constant<ActivationKind, ActivationKind::kRelu>());
    case ActivationKind::kClampedSwiglu:
      return f(std::integral_constant<ActivationKind, ActivationKind::kClampedSwiglu>());
  }
  return cudaErrorInvalidValue;
}

template <typename T>
T* DataOf(const Matrix& m) {
  return static_cast<T*>(m.data);
}

cudaError_t CopyRows(const Matrix& x, const int32_t* rows, const Matrix& out, Stream stream) {
  if (out.rows == 0) return cudaSuccess;
  const auto start = [&](auto from, auto to) {
    using X = decltype(from);
    using Out = decltype(to);
    return WithPack(Packs(x) && Packs(out) && x.cols % kRowPack == 0, [&](auto pack) {
      constexpr int kPack = decltype(pack)::value;
      return Launch(GatherKernel<kPack, X, Out>, ElementGrid(out.rows * x.cols / kPack), kElementThreads, 0, stream,
                    DataOf<X>(x), x.stride, rows, out.rows, x.cols, DataOf<Out>(out), out.stride);
    });
  };
  return WithTypes(start, x.type, out.type);
}

}  // namespace

cudaError_t Norm(const NormArgs& args, const Matrix* branch, Matrix x, int64_t width, Matrix out, Stream stream) {
  if (x.rows == 0) return cudaSuccess;
  const int64_t groups = x.cols / width;
  const Matrix added = branch != nullptr ? *branch : Matrix{nullptr, x.type, x.rows, x.cols, x.stride};
  const bool packs = Packs(x) && Packs(out) && Packs(added) && width % kRowPack == 0;
  const auto start = [&](auto x_type, auto branch_type, auto out_type) {
    using X = decltype(x_type);
    using B = decltype(branch_type);
    using Out = decltype(out_type);
    return WithPack(packs, [&](auto pack) {
      constexpr int kPack = decltype(pack)::value;
      return Launch(NormKernel<kPack, X, B, Out>, dim3(static_cast<unsigned>(x.rows * groups)),
                    RowThreads(width, kPack), 0, stream, args, DataOf<B>(added), added.stride, DataOf<X>(x), x.stride,
                    static_cast<int>(width), static_cast<int>(groups), DataOf<Out>(out), out.stride);
    });
  };
  return WithTypes(start, x.type, added.type, out.type);
}

cudaError_t Activate(ActivationKind kind, bool gated, Matrix x, Matrix out, Stream stream) {
  if (out.rows == 0) return cudaSuccess;
  const bool packs = Packs(x) && Packs(out) && out.cols % kRowPack == 0;
  return WithActivation(kind, [&](auto k) {
    const auto start = [&](auto x_type, auto out_type) {
      using X = decltype(x_type);
      using Out = decltype(out_type);
      return WithPack(packs, [&](auto pack) {
        constexpr int kPack = decltype(pack)::value;
        return Launch(ActivateKernel<kPack, decltype(k)::value, X, Out>, ElementGrid(out.rows * out.cols / kPack),
                      kElementThreads, 0, stream, gated, DataOf<X>(x), x.stride, out.rows, out.cols, DataOf<Out>(out),
                      out.stride);
      });
    };
    return WithTypes(start, x.type, out.type);
  });
}

cudaError_t Add(Matrix x, Matrix inout, Stream stream) {
  if (x.rows == 0) return cudaSuccess;
  const auto start = [&](auto x_type, auto out_type) {
    using X = decltype(x_type);
    using Out = decltype(out_type);
    return WithPack(Packs(x) && Packs(inout) && x.cols % kRowPack == 0, [&](auto pack) {
      constexpr int kPack = decltype(pack)::value;
      return Launch(AddKernel<kPack, X, Out>, ElementGrid(x.rows * x.cols / kPack), kElementThreads, 0, stream,
                    DataOf<X>(x), x.stride, x.rows, x.cols, DataOf<Out>(inout), inout.stride);
    });
  };
  return WithTypes(start, x.type, inout.type);
}

cudaError_t Map(MapKind kind, float parameter, Matrix x, Stream stream) {
  if (x.rows == 0) return cudaSuccess;
  return WithType(x.type, [&](auto x_type) {
    return WithPack(Packs(x) && x.cols % kRowPack == 0, [&](auto pack) {
      constexpr int kPack = decltype(pack)::value;
      using X = decltype(x_type);
      return Launch(MapKernel<kPack, X>, ElementGrid(x.rows * x.cols / kPack), kElementThreads, 0, stream, kind,
                    parameter, DataOf<X>(x), x.stride, x.rows, x.cols);
    });
  });
}

cudaError_t Convert(Matrix x, Matrix out, Stream stream) { return CopyRows(x, nullptr, out, stream); }

cudaError_t GatherRows(Matrix x, const int32_t* rows, Matrix out, Stream stream) {
  return CopyRows(x, rows, out, stream);
}

cudaError_t AddScaledRows(Matrix x, const int32_t* rows, const float* factors, Matrix out, Stream stream) {
  if (x.rows == 0) return cudaSuccess;
  const auto start = [&](auto x_type, auto out_type) {
    using X = decltype(x_type);
    using Out = decltype(out_type);
    return WithPack(Packs(x) && Packs(out) && x.cols % kRowPack == 0, [&](auto pack) {
      constexpr int kPack = decltype(pack)::value;
      return Launch(AddScaledRowsKernel<kPack, X, Out>, ElementGrid(x.rows * x.cols / kPack), kElementThreads, 0,
                    stream, DataOf<X>(x), x.stride, rows, factors, x.rows, x.cols, DataOf<Out>(out), out.stride);
    });
  };
  return WithTypes(start, x.type, out.type);
}

cudaError_t RotaryAngles(const int32_t* positions, int64_t count, const float* frequencies, int64_t frequency_count,
                         double factor, float* cos, float* sin, Stream stream) {
  if (count == 0 || frequency_count == 0) return cudaSuccess;
  return Launch(RotaryAnglesKernel, ElementGrid(count * frequency_count), kElementThreads, 0, stream, positions, count,
                frequencies, frequency_count, factor, cos, sin);
}

cudaError_t Rope(const float* cos, const float* sin, int64_t rotary_dim, int64_t head_dim, Matrix x, Stream stream) {
  const int64_t half = rotary_dim / 2, heads = x.cols / head_dim;
  if (x.rows == 0 || half == 0) return cudaSuccess;
  return WithType(x.type, [&](auto x_type) {
    using X = decltype(x_type);
    return Launch(RopeKernel<X>, ElementGrid(x.rows * heads * half), kElementThreads, 0, stream, cos, sin,
                  static_cast<int>(half), static_cast<int>(head_dim), x.rows, heads, DataOf<X>(x), x.stride);
  });
}

cudaError_t PoolRows(Matrix x, const RowRange* ranges, bool normalize, Matrix out, Stream stream) {
  if (out.rows == 0) return cudaSuccess;
  const auto start = [&](auto x_type, auto out_type) {
    using X = decltype(x_type);
    using Out = decltype(out_type);
    return Launch(PoolKernel<X, Out>, dim3(static_cast<unsigned>(out.rows)), RowThreads(x.cols, 1), 0, stream,
                  DataOf<X>(x), x.stride, ranges, normalize, static_cast<int>(x.cols), DataOf<Out>(out), out.stride);
  };
  return WithTypes(start, x.type, out.type);
}

}  // namespace lastro::kernels::cuda
