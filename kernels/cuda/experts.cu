#include "kernels/cuda/elements.cuh"
#include "kernels/cuda/experts.h"
#include "kernels/cuda/weight_products.cuh"

namespace lastro::kernels::cuda {
namespace {

// One warp a row: the best expert below the last one found, again and again.
__global__ void RouteKernel(const float* logits, int64_t stride, int64_t experts, int per_token, ExpertRoute* routes) {
  AwaitPriorKernel();
  const float* of_row = logits + blockIdx.x * stride;
  routes += static_cast<int64_t>(blockIdx.x) * per_token;
  uint64 last = ~uint64{0};
  double first = 0, sum = 0;
  for (int i = 0; i < per_token; ++i) {
    uint64 best = 0;
    for (int64_t e = threadIdx.x; e < experts; e += kWarp) {
      const uint64 key = KeyOf(isnan(of_row[e]) ? -INFINITY : of_row[e], e);
      if (key < last && key > best) best = key;
    }
    last = WarpMax(best);
    const int32_t expert = IdOf(last);
    const double logit = of_row[expert];
    if (i == 0) first = logit;
    sum += exp(logit - first);
    if (threadIdx.x == 0) routes[i].expert = expert;
  }
  __syncwarp();
  for (int i = threadIdx.x; i < per_token; i += kWarp) {
    routes[i].factor = static_cast<float>(exp(of_row[routes[i].expert] - first) / sum);
  }
}

template <DataType kType, typename X>
__global__ void __launch_bounds__(kProductWarps* kWarp)
    ExpertProductKernel(const ExpertRows* experts, const ExpertRoute* routes, int pairs_per_row, int64_t row_bytes,
                        int64_t n, int64_t k, bool vectors, const X* x, int64_t x_stride, bool x_vectors, void* out,
                        DataType out_type, int64_t out_stride) {
  AwaitPriorKernel();
  const int64_t feature = static_cast<int64_t>(blockIdx.y) * kProductWarps + threadIdx.x / kWarp, pair = blockIdx.x;
  if (feature >= n) return;  // the same for the whole warp
  const ExpertRows expert = experts[routes[pair].expert];
  const uint8_t* row = static_cast<const uint8_t*>(expert.rows) + feature * row_bytes;
  float sums[1] = {};
  AddProducts<kType>(row, k, vectors, x + pair / pairs_per_row * x_stride, x_stride, x_vectors, 1, sums);
  uint8_t* to =
      static_cast<uint8_t*>(out) + pair * out_stride * (out_type == DataType::kF32 ? sizeof(float) : sizeof(uint16_t));
  WriteSums<1>(sums, feature, expert.bias, 1, to, out_type, out_stride);
}

template <typename Y>
__global__ void SumPairsKernel(const Y* y, int64_t y_stride, const ExpertRoute* routes, int per_token, int64_t rows,
                               int64_t cols, float* out, int64_t stride) {
  AwaitPriorKernel();
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < rows * cols; i += step) {
    const int64_t row = i / cols, col = i % cols;
    float sum = 0;
    for (int64_t pair = row * per_token; pair < (row + 1) * per_token; ++pair) {
      sum += routes[pair].factor * ToFloat(y[pair * y_stride + col]);
    }
    out[row * stride + col] = sum;
  }
}

}  // namespace

cudaError_t Route(Matrix logits, int64_t per_token, ExpertRoute* routes, Stream stream) {
  if (logits.rows == 0) return cudaSuccess;
  return Launch(RouteKernel, dim3(static_cast<unsigned>(logits.rows)), kWarp, 0, stream,
                static_cast<const float*>(logits.data), logits.stride, logits.cols, static_cast<int>(per_token),
                routes);
}

cudaError_t ExpertProduct(const ExpertMap& map, const ExpertRoute* routes, int64_t pairs_per_row, Matrix x, Matrix out,
                          Stream stream) {
  if (out.rows == 0) return cudaSuccess;
  const dim3 grid(static_cast<unsigned>(out.rows), static_cast<unsigned>(CeilDiv(map.rows, kProductWarps)));
  return WithStoredType(map.type, [&](auto stored) {
    return WithType(x.type, [&](auto type) {
      using X = decltype(type);
      return Launch(ExpertProductKernel<decltype(stored)::value, X>, grid, kProductWarps * kWarp, 0, stream,
                    map.experts, routes, static_cast<int>(pairs_per_row), RowBytes(map.type, map.cols), map.rows,
                    map.cols, map.vectors, static_cast<const X*>(x.data), x.stride, InVectors(x), out.data, out.type,
                    out.stride);
    });
  });
}

cudaError_t SumPairs(Matrix y, const ExpertRoute* routes, int64_t per_token, Matrix out, Stream stream) {
  if (out.rows == 0) return cudaSuccess;
  return WithType(y.type, [&](auto type) {
    using Y = decltype(type);
    return Launch(SumPairsKernel<Y>, ElementGrid(out.rows * out.cols), kElementThreads, 0, stream,
                  static_cast<const Y*>(y.data), y.stride, routes, static_cast<int>(per_token), out.rows, out.cols,
                  static_cast<float*>(out.data), out.stride);
  });
}

}  // namespace lastro::kernels::cuda
