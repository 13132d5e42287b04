#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/attention.h"

namespace lastro::kernels::cuda {
namespace {

// The plain kernel: one warp computes the scores of every fourth query with a token a lane.
constexpr int kPlainQueries = 16;
constexpr int kPlainThreads = 128;
constexpr int kPlainWarps = kPlainThreads / kWarp;
constexpr int kPlainTokens = kWarp;
// The tensor-core kernel (attention_tensor_core.cu).
constexpr int kNarrowQueries = 16;
constexpr int kWideQueries = 64;
constexpr int64_t kMaxTensorCoreHeadDim = 256;

// Shared memory: queries, keys (padded, so that lanes fall into different banks), values, weights, sums, factors.
int64_t PlainSharedFloats(int64_t head_dim) {
  return kPlainQueries * head_dim + kPlainTokens * (head_dim + 1) + kPlainTokens * head_dim +
         kPlainQueries * kPlainTokens + kPlainQueries * head_dim + kPlainQueries;
}

template <typename T>
__global__ void __launch_bounds__(kPlainThreads) PlainAttentionKernel(TypedAttention<T> a) {
  AwaitPriorKernel();
  LASTRO_DYNAMIC_SHARED(shared);
  const TileWork work = WorkOf(a);
  const int dim = a.head_dim, count = work.tile.count, lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  float* queries = reinterpret_cast<float*>(shared);
  float* keys = queries + kPlainQueries * dim;
  float* values = keys + kPlainTokens * (dim + 1);
  float* weights = values + kPlainTokens * dim;
  float* sums = weights + kPlainQueries * kPlainTokens;
  float* factors = sums + kPlainQueries * dim;
  const int64_t kv_stride = static_cast<int64_t>(a.kv_heads) * dim;

  for (int i = threadIdx.x; i < count * dim; i += kPlainThreads) {
    queries[i] = ToFloat(a.q[RowOf(a, work, i / dim) * a.q_stride + HeadOf(a, work, i / dim) * dim + i % dim]);
    sums[i] = 0;
  }
  float max[kPlainQueries / kPlainWarps], total[kPlainQueries / kPlainWarps];
#pragma unroll
  for (int i = 0; i < kPlainQueries / kPlainWarps; ++i) max[i] = -INFINITY, total[i] = 0;

  for (int begin = work.begin; begin < work.end; begin += kPlainTokens) {
    __syncthreads();
    for (int i = threadIdx.x; i < kPlainTokens * dim; i += kPlainThreads) {
      const int token = begin + i / dim, d = i % dim;
      float key = 0, value = 0;
      if (token < work.end) {
        const int64_t at = SlotOf(a, work.sequence, token) * kv_stride + work.kv_head * dim + d;
        key = ToFloat(a.k[at]);
        value = ToFloat(a.v[at]);
      }
      keys[i / dim * (dim + 1) + d] = key;
      values[i] = value;
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < kPlainQueries / kPlainWarps; ++i) {
      const int query = warp + i * kPlainWarps;
      if (query >= count) continue;  // the same for the whole warp
      float score = 0;
      for (int d = 0; d < dim; ++d) score += queries[query * dim + d] * keys[lane * (dim + 1) + d];
      const int position = work.sequence.position + (work.tile.first + query) / a.group;
      score = Adjusted(a, score, HeadOf(a, work, query), position, begin + lane, work.end);
      const float new_max = fmaxf(max[i], WarpMax(score)), factor = Weight(max[i], new_max);
      const float weight = Weight(score, new_max);
      max[i] = new_max;
      total[i] = total[i] * factor + WarpSum(weight);
      weights[query * kPlainTokens + lane] = weight;
      if (lane == 0) factors[query] = factor;
    }
    __syncthreads();
    for (int i = threadIdx.x; i < count * dim; i += kPlainThreads) {
      const float* weight = weights + i / dim * kPlainTokens;
      float sum = sums[i] * factors[i / dim];
      for (int t = 0; t < kPlainTokens; ++t) sum += weight[t] * values[t * dim + i % dim];
      sums[i] = sum;
    }
  }
  __syncthreads();

#pragma unroll
  for (int i = 0; i < kPlainQueries / kPlainWarps; ++i) {
    const int query = warp + i * kPlainWarps;
    if (query >= count) continue;
    const int64_t row = RowOf(a, work, query);
    const int head = HeadOf(a, work, query);
    if (a.splits == 1) {
      const float factor = OutFactor(a, head, max[i], total[i]);
      T* out = a.out + row * a.out_stride + static_cast<int64_t>(head) * dim;
      for (int d = lane; d < dim; d += kWarp) out[d] = FromFloat<T>(sums[query * dim + d] * factor);
      continue;
    }
    float* partial = PartialOf(a, row, head, work.split);
    for (int d = lane; d < dim; d += kWarp) partial[d] = sums[query * dim + d];
    if (lane == 0) partial[dim] = max[i], partial[dim + 1] = total[i];
  }
}

// Merges the splits of every query of a tile: one warp a query.
constexpr int kMergeThreads = 128;

template <typename T>
__global__ void __launch_bounds__(kMergeThreads) MergeSplitsKernel(TypedAttention<T> a) {
  AwaitPriorKernel();
  TileWork work;
  work.tile = a.tiles[blockIdx.x];
  work.sequence = a.sequences[work.tile.sequence];
  work.kv_head = blockIdx.y;
  const int lane = threadIdx.x % kWarp;
  for (int query = threadIdx.x / kWarp; query < work.tile.count; query += kMergeThreads / kWarp) {
    const int64_t row = RowOf(a, work, query);
    const int head = HeadOf(a, work, query);
    const float* partial = PartialOf(a, row, head, 0);
    const int stride = a.head_dim + 2;
    float max = -INFINITY, total = 0;
    for (int split = 0; split < a.splits; ++split) max = fmaxf(max, partial[split * stride + a.head_dim]);
    for (int split = 0; split < a.splits; ++split) {
      total += Weight(partial[split * stride + a.head_dim], max) * partial[split * stride + a.head_dim + 1];
    }
    const float factor = OutFactor(a, head, max, total);
    for (int d = lane; d < a.head_dim; d += kWarp) {
      float sum = 0;
      for (int split = 0; split < a.splits; ++split) {
        sum += Weight(partial[split * stride + a.head_dim], max) * partial[split * stride + d];
      }
      a.out[row * a.out_stride + static_cast<int64_t>(head) * a.head_dim + d] = FromFloat<T>(sum * factor);
    }
  }
}

template <typename K, typename T>
__global__ void StoreKvKernel(const K* k, int64_t k_stride, const K* v, int64_t v_stride, const int32_t* slots,
                              int64_t rows, int64_t width, T* to_k, T* to_v) {
  AwaitPriorKernel();
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < rows * width; i += step) {
    const int64_t row = i / width, column = i % width, to = slots[row] * width + column;
    to_k[to] = FromFloat<T>(ToFloat(k[row * k_stride + column]));
    to_v[to] = FromFloat<T>(ToFloat(v[row * v_stride + column]));
  }
}

// One thread for each pair (i, i + half) of a head, and for each component that is not rotated.
template <typename X, typename T>
__global__ void RotateAndStoreKvKernel(const float* cos, const float* sin, int half, X* qkv, int64_t stride,
                                       int64_t rows, int q_heads, int kv_heads, int dim, const int32_t* slots, T* to_k,
                                       T* to_v) {
  AwaitPriorKernel();
  const int heads = q_heads + 2 * kv_heads, items = dim - half;
  const int64_t per_row = static_cast<int64_t>(heads) * items, step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t at = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; at < rows * per_row; at += step) {
    const int64_t row = at / per_row;
    const int head = static_cast<int>(at % per_row / items), i = static_cast<int>(at % items);
    const bool pair = i < half, is_q = head < q_heads, is_v = head >= q_heads + kv_heads;
    X* from = qkv + row * stride + static_cast<int64_t>(head) * dim;
    float first = pair ? ToFloat(from[i]) : 0.0f, second = ToFloat(from[i + half]);
    if (pair && !is_v) {
      const float c = cos[row * half + i], s = sin[row * half + i], unturned = first;
      first = unturned * c - second * s;
      second = second * c + unturned * s;
    }
    if (is_q) {
      if (pair) from[i] = FromFloat<X>(first), from[i + half] = FromFloat<X>(second);
      continue;
    }
    const int64_t kv_head = is_v ? head - q_heads - kv_heads : head - q_heads;
    T* to = (is_v ? to_v : to_k) + (static_cast<int64_t>(slots[row]) * kv_heads + kv_head) * dim;
    if (pair) to[i] = FromFloat<T>(first);
    to[i + half] = FromFloat<T>(second);
  }
}

template <typename T>
cudaError_t MergeSplits(const TypedAttention<T>& a, int64_t tiles, Stream stream) {
  const dim3 grid(static_cast<unsigned>(tiles), static_cast<unsigned>(a.kv_heads));
  return Launch(MergeSplitsKernel<T>, grid, kMergeThreads, 0, stream, a);
}

template <typename T>
cudaError_t PlainAttention(const TypedAttention<T>& a, int64_t tiles, Stream stream) {
  const dim3 grid(static_cast<unsigned>(tiles), static_cast<unsigned>(a.kv_heads), static_cast<unsigned>(a.splits));
  const int64_t shared = PlainSharedFloats(a.head_dim) * static_cast<int64_t>(sizeof(float));
  return LaunchLarge(PlainAttentionKernel<T>, grid, kPlainThreads, shared, stream, a);
}

}  // namespace

bool OnTensorCores(DataType type, int64_t head_dim) {
  return type != DataType::kF32 && head_dim % 8 == 0 && head_dim <= kMaxTensorCoreHeadDim;
}

int64_t MaxTileQueries(DataType type, int64_t head_dim, bool wide) {
  if (!OnTensorCores(type, head_dim)) return kPlainQueries;
  return wide ? kWideQueries : kNarrowQueries;
}

int64_t Splits(bool wide, int64_t max_length) { return wide ? 1 : CeilDiv(max_length, kSplitTokens); }

int64_t PartialFloats(int64_t rows, int64_t heads, int64_t head_dim, bool wide, int64_t max_length) {
  const int64_t splits = Splits(wide, max_length);
  return splits == 1 ? 0 : rows * heads * splits * (head_dim + 2);
}

cudaError_t StoreKv(Matrix k, Matrix v, const int32_t* slots, KvLayer store, Stream stream) {
  if (k.rows == 0) return cudaSuccess;
  const auto start = [&](auto from, auto to) {
    using K = decltype(from);
    using T = decltype(to);
    return Launch(StoreKvKernel<K, T>, ElementGrid(k.rows * k.cols), kElementThreads, 0, stream,
                  static_cast<const K*>(k.data), k.stride, static_cast<const K*>(v.data), v.stride, slots, k.rows,
                  k.cols, static_cast<T*>(store.k), static_cast<T*>(store.v));
  };
  return WithTypes(start, k.type, store.type);
}

cudaError_t RotateAndStoreKv(const float* cos, const float* sin, int64_t rotary_dim, Matrix qkv, const int32_t* slots,
                             KvLayer store, Stream stream) {
  if (qkv.rows == 0) return cudaSuccess;
  const int dim = static_cast<int>(store.head_dim), half = static_cast<int>(rotary_dim / 2);
  const int kv_heads = static_cast<int>(store.kv_heads), heads = static_cast<int>(qkv.cols / dim);
  const auto start = [&](auto from, auto to) {
    using X = decltype(from);
    using T = decltype(to);
    return Launch(RotateAndStoreKvKernel<X, T>, ElementGrid(qkv.rows * heads * (dim - half)), kElementThreads, 0,
                  stream, cos, sin, half, static_cast<X*>(qkv.data), qkv.stride, qkv.rows, heads - 2 * kv_heads,
                  kv_heads, dim, slots, static_cast<T*>(store.k), static_cast<T*>(store.v));
  };
  return WithTypes(start, qkv.type, store.type);
}

cudaError_t Attention(const AttentionArgs& args, Stream stream) {
  if (args.tile_count == 0) return cudaSuccess;
  return WithType(args.q.type, [&](auto type) {
    using T = decltype(type);
    const TypedAttention<T> typed = Typed<T>(args);
    cudaError_t error = cudaSuccess;
    if constexpr (sizeof(T) == 2) {
      error = OnTensorCores(args.q.type, args.kv.head_dim)
                  ? TensorCoreAttention(typed, args.tile_count, args.wide, stream)
                  : PlainAttention(typed, args.tile_count, stream);
    } else {
      error = PlainAttention(typed, args.tile_count, stream);
    }
    if (error != cudaSuccess || typed.splits == 1) return error;
    return MergeSplits(typed, args.tile_count, stream);
  });
}

}  // namespace lastro::kernels::cuda
