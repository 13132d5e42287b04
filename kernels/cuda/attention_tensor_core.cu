// Attention on tensor cores, bf16 or fp16 with fp32 sums. A block of four warps: of a wide tile each warp has 16
// queries and all tokens; of a narrow one (decoding) all warps have the same 16 queries and a quarter of the tokens
// each, and are merged at the end. Keys and values come through shared memory, the next tile's under way while one is
// computed.
#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/tensor_core.cuh"

namespace lastro::kernels::cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kThreads = kWarps * kWarp;
constexpr int kTokens = 64;  // of a tile of keys and values
constexpr int kWarpQueries = 16;
constexpr int kPadding = 8;  // elements behind each row in shared memory, so that ldmatrix meets no bank twice
constexpr int kVector = 8;   // elements of 16 bytes
constexpr int kBuffers = 2;

template <int kDim>
constexpr int kRow = kDim + kPadding;

// Queries, then kBuffers of keys, then of values; in the end the sums of the warps that are merged.
template <int kDim, int kQueryWarps>
constexpr int64_t SharedBytes() {
  return static_cast<int64_t>(sizeof(uint16_t)) * kRow<kDim> * (kQueryWarps * kWarpQueries + 2 * kBuffers * kTokens);
}

// Rows of `width` elements from global into shared memory, zeros beyond; `row_of(i)` is null for a row of zeros, for
// which `anywhere` stands in as the address that is not read.
template <int kDim, typename T, typename RowOf>
__device__ __forceinline__ void CopyRows(int rows, int width, const T* anywhere, RowOf row_of, T* to) {
  constexpr int kVectors = kDim / kVector;
  for (int i = threadIdx.x; i < rows * kVectors; i += kThreads) {
    const int row = i / kVectors, column = i % kVectors * kVector;
    const T* from = row_of(row);
    const bool valid = from != nullptr && column < width;
    CopyAsync16(to + row * kRow<kDim> + column, valid ? from + column : anywhere, valid);
  }
}

// What one warp knows of its 16 queries. Each thread: of rows g and g + 8 (g = lane / 4).
template <int kDim>
struct WarpState {
  float sums[kDim / 8][4] = {};  // fragments C of [16, kDim]
  float max[2] = {-INFINITY, -INFINITY};
  float total[2] = {0, 0};  // of this thread's columns
};

// Adds tokens [begin, begin + kTokens / kTokenWarps) of a tile, `first` in the sequence, to the warp's state.
template <int kDim, int kTokenWarps, typename T>
__device__ __forceinline__ void AddTokens(const TypedAttention<T>& a, const TileWork& work, const T* queries,
                                          const T* keys, const T* values, int begin, int first, const int (&head)[2],
                                          const int (&position)[2], WarpState<kDim>* state) {
  constexpr int kOwn = kTokens / kTokenWarps;
  const int lane = threadIdx.x % kWarp, t = lane % 4;
  float scores[kOwn / 8][4] = {};
#pragma unroll
  for (int k = 0; k < kDim; k += 16) {
    unsigned q[4];
    LoadMatrices(queries + lane % 16 * kRow<kDim> + k + lane / 16 * 8, q);
#pragma unroll
    for (int n = 0; n < kOwn; n += 16) {
      unsigned key[4];
      LoadMatrices(keys + (begin + n + lane % 8 + lane / 16 * 8) * kRow<kDim> + k + lane / 8 % 2 * 8, key);
      Mma<T>(scores[n / 8], q, key[0], key[1]);
      Mma<T>(scores[n / 8 + 1], q, key[2], key[3]);
    }
  }
  float max[2] = {state->max[0], state->max[1]};
#pragma unroll
  for (int n = 0; n < kOwn / 8; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int token = first + begin + n * 8 + 2 * t + i % 2, half = i / 2;
      scores[n][i] = Adjusted(a, scores[n][i], head[half], position[half], token, work.end);
      max[half] = fmaxf(max[half], scores[n][i]);
    }
  }
  float factor[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    max[half] = fmaxf(max[half], __shfl_xor_sync(~0u, max[half], 1));
    max[half] = fmaxf(max[half], __shfl_xor_sync(~0u, max[half], 2));
    factor[half] = Weight(state->max[half], max[half]);
    state->max[half] = max[half];
    state->total[half] *= factor[half];
  }
#pragma unroll
  for (int d = 0; d < kDim / 8; ++d) {
#pragma unroll
    for (int i = 0; i < 4; ++i) state->sums[d][i] *= factor[i / 2];
  }
#pragma unroll
  for (int n = 0; n < kOwn / 16; ++n) {
    float weights[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const int half = i / 2 % 2;
      weights[i] = Weight(scores[2 * n + i / 4][i % 4], max[half]);
      state->total[half] += weights[i];
    }
    const unsigned p[4] = {PackPair<T>(weights[0], weights[1]), PackPair<T>(weights[2], weights[3]),
                           PackPair<T>(weights[4], weights[5]), PackPair<T>(weights[6], weights[7])};
#pragma unroll
    for (int d = 0; d < kDim; d += 16) {
      unsigned value[4];
      LoadMatricesTransposed(values + (begin + n * 16 + lane % 16) * kRow<kDim> + d + lane / 16 * 8, value);
      Mma<T>(state->sums[d / 8], p, value[0], value[1]);
      Mma<T>(state->sums[d / 8 + 1], p, value[2], value[3]);
    }
  }
}

// The states of the four warps of a narrow tile into that of the first; `scratch` is shared memory for one state.
template <int kDim>
__device__ __forceinline__ void MergeWarps(float* scratch, WarpState<kDim>* state) {
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  for (int from = 1; from < kWarps; ++from) {
    __syncthreads();
    if (warp == from) {
#pragma unroll
      for (int d = 0; d < kDim / 8; ++d) {
#pragma unroll
        for (int i = 0; i < 4; ++i) scratch[(d * 4 + i) * kWarp + lane] = state->sums[d][i];
      }
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        scratch[(kDim / 2 + half) * kWarp + lane] = state->max[half];
        scratch[(kDim / 2 + 2 + half) * kWarp + lane] = state->total[half];
      }
    }
    __syncthreads();
    if (warp != 0) continue;
    float mine[2], other[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float other_max = scratch[(kDim / 2 + half) * kWarp + lane];
      const float max = fmaxf(state->max[half], other_max);
      mine[half] = Weight(state->max[half], max);
      other[half] = Weight(other_max, max);
      state->max[half] = max;
      state->total[half] =
          state->total[half] * mine[half] + scratch[(kDim / 2 + 2 + half) * kWarp + lane] * other[half];
    }
#pragma unroll
    for (int d = 0; d < kDim / 8; ++d) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        state->sums[d][i] = state->sums[d][i] * mine[i / 2] + scratch[(d * 4 + i) * kWarp + lane] * other[i / 2];
      }
    }
  }
}

template <int kDim, typename T>
__device__ __forceinline__ void WriteState(const TypedAttention<T>& a, const TileWork& work, int first_query,
                                           const WarpState<kDim>& state) {
  const int lane = threadIdx.x % kWarp, g = lane / 4, t = lane % 4;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float total = state.total[half];
    total += __shfl_xor_sync(~0u, total, 1);
    total += __shfl_xor_sync(~0u, total, 2);
    const int query = first_query + g + 8 * half;
    if (query >= work.tile.count) continue;
    const int64_t row = RowOf(a, work, query);
    const int head = HeadOf(a, work, query);
    const bool whole = a.splits == 1;
    float* partial = whole ? nullptr : PartialOf(a, row, head, work.split);
    const float factor = whole ? OutFactor(a, head, state.max[half], total) : 1.0f;
    T* out = a.out + row * a.out_stride + static_cast<int64_t>(head) * a.head_dim;
#pragma unroll
    for (int d = 0; d < kDim / 8; ++d) {
      const int column = d * 8 + 2 * t;
      if (column >= a.head_dim) continue;
      const float low = state.sums[d][2 * half] * factor, high = state.sums[d][2 * half + 1] * factor;
      if (whole) {
        StorePack<2>({low, high}, out + column);
      } else {
        partial[column] = low;
        partial[column + 1] = high;
      }
    }
    if (!whole && t == 0) partial[a.head_dim] = state.max[half], partial[a.head_dim + 1] = total;
  }
}

template <int kDim, int kQueryWarps, typename T>
__global__ void __launch_bounds__(kThreads) TensorCoreKernel(TypedAttention<T> a) {
  AwaitPriorKernel();
  constexpr int kTokenWarps = kWarps / kQueryWarps, kTileQueries = kQueryWarps * kWarpQueries;
  LASTRO_DYNAMIC_SHARED(shared);
  T* queries = reinterpret_cast<T*>(shared);
  T* keys = queries + kTileQueries * kRow<kDim>;
  T* values = keys + kBuffers * kTokens * kRow<kDim>;
  const TileWork work = WorkOf(a);
  const int warp = threadIdx.x / kWarp, g = threadIdx.x % kWarp / 4;
  const int first_query = warp / kTokenWarps * kWarpQueries, own_token = warp % kTokenWarps * (kTokens / kTokenWarps);
  const int64_t kv_stride = static_cast<int64_t>(a.kv_heads) * a.head_dim;

  auto copy_tokens = [&](int first, int buffer) {
    auto row_of = [&](const T* from) {
      return [&a, &work, from, first, kv_stride](int i) -> const T* {
        if (first + i >= work.end) return nullptr;
        return from + SlotOf(a, work.sequence, first + i) * kv_stride + work.kv_head * a.head_dim;
      };
    };
    CopyRows<kDim>(kTokens, a.head_dim, a.k, row_of(a.k), keys + buffer * kTokens * kRow<kDim>);
    CopyRows<kDim>(kTokens, a.head_dim, a.v, row_of(a.v), values + buffer * kTokens * kRow<kDim>);
    CommitCopies();
  };
  CopyRows<kDim>(
      kTileQueries, a.head_dim, a.k,
      [&](int i) -> const T* {
        if (i >= work.tile.count) return nullptr;
        return a.q + RowOf(a, work, i) * a.q_stride + static_cast<int64_t>(HeadOf(a, work, i)) * a.head_dim;
      },
      queries);
  copy_tokens(work.begin, 0);

  WarpState<kDim> state;
  int head[2], position[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int query = min(first_query + g + 8 * half, work.tile.count - 1);
    head[half] = HeadOf(a, work, query);
    position[half] = work.sequence.position + (work.tile.first + query) / a.group;
  }
  int buffer = 0;
  for (int first = work.begin; first < work.end; first += kTokens, buffer ^= 1) {
    if (first + kTokens < work.end) {
      copy_tokens(first + kTokens, buffer ^ 1);
      WaitForCopies<1>();
    } else {
      WaitForCopies<0>();
    }
    __syncthreads();
    AddTokens<kDim, kTokenWarps>(a, work, queries + first_query * kRow<kDim>, keys + buffer * kTokens * kRow<kDim>,
                                 values + buffer * kTokens * kRow<kDim>, own_token, first, head, position, &state);
    __syncthreads();  // before the buffer is filled again
  }
  WaitForCopies<0>();
  if constexpr (kTokenWarps > 1) {
    MergeWarps(reinterpret_cast<float*>(shared), &state);
    if (warp != 0) return;
  }
  WriteState(a, work, first_query, state);
}

template <int kDim, int kQueryWarps, typename T>
cudaError_t Start(const TypedAttention<T>& a, int64_t tiles, Stream stream) {
  const dim3 grid(static_cast<unsigned>(tiles), static_cast<unsigned>(a.kv_heads), static_cast<unsigned>(a.splits));
  return LaunchLarge(TensorCoreKernel<kDim, kQueryWarps, T>, grid, kThreads, SharedBytes<kDim, kQueryWarps>(), stream,
                     a);
}

template <int kDim, typename T>
cudaError_t StartTiles(const TypedAttention<T>& a, int64_t tiles, bool wide, Stream stream) {
  return wide ? Start<kDim, kWarps>(a, tiles, stream) : Start<kDim, 1>(a, tiles, stream);
}

template <typename T>
cudaError_t StartDim(const TypedAttention<T>& a, int64_t tiles, bool wide, Stream stream) {
  if (a.head_dim <= 64) return StartTiles<64>(a, tiles, wide, stream);
  if (a.head_dim <= 96) return StartTiles<96>(a, tiles, wide, stream);
  if (a.head_dim <= 128) return StartTiles<128>(a, tiles, wide, stream);
  return StartTiles<256>(a, tiles, wide, stream);
}

}  // namespace

cudaError_t TensorCoreAttention(const TypedAttention<bf16>& args, int64_t tiles, bool wide, Stream stream) {
  return StartDim(args, tiles, wide, stream);
}
cudaError_t TensorCoreAttention(const TypedAttention<__half>& args, int64_t tiles, bool wide, Stream stream) {
  return StartDim(args, tiles, wide, stream);
}

}  // namespace lastro::kernels::cuda
