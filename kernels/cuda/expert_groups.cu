#include "kernels/cuda/elements.cuh"
#include "kernels/cuda/expert_groups.h"
#include "kernels/cuda/tensor_core.cuh"
#include "kernels/cuda/weight_products.cuh"

namespace lastro::kernels::cuda {
namespace {

constexpr int kGroupingThreads = 1024;

// One block: counts the pairs of each expert, gives each expert its places and its tiles, and puts the pairs there.
__global__ void __launch_bounds__(kGroupingThreads)
    GroupPairsKernel(const ExpertRoute* routes, int pairs, int experts, int32_t* order, ExpertTile* tiles,
                     int most_tiles) {
  AwaitPriorKernel();
  LASTRO_DYNAMIC_SHARED(shared);
  int* places = reinterpret_cast<int*>(shared);  // [experts]: how many pairs, then where the next one goes
  for (int e = threadIdx.x; e < experts; e += kGroupingThreads) places[e] = 0;
  __syncthreads();
  for (int pair = threadIdx.x; pair < pairs; pair += kGroupingThreads) atomicAdd(&places[routes[pair].expert], 1);
  __syncthreads();
  // Each thread has some experts next to each other.
  const int each = (experts + kGroupingThreads - 1) / kGroupingThreads;
  const int begin = min(static_cast<int>(threadIdx.x) * each, experts), end = min(begin + each, experts);
  uint64 own = 0;  // pairs, and tiles in the upper half
  for (int e = begin; e < end; ++e) {
    own += static_cast<uint64>((places[e] + kTilePairs - 1) / kTilePairs) << 32 | static_cast<unsigned>(places[e]);
  }
  const uint64 before = BlockSumBefore(own);
  int place = static_cast<int>(before & 0xffffffffu), tile = static_cast<int>(before >> 32);
  for (int e = begin; e < end; ++e) {
    const int count = places[e];
    places[e] = place;
    for (int done = 0; done < count; done += kTilePairs) {
      tiles[tile++] = {e, place + done, min(kTilePairs, count - done)};
    }
    place += count;
  }
  // Those that are left over, by the thread behind all experts' tiles.
  if (threadIdx.x == kGroupingThreads - 1) {
    for (; tile < most_tiles; ++tile) tiles[tile] = {0, 0, 0};
  }
  __syncthreads();
  for (int pair = threadIdx.x; pair < pairs; pair += kGroupingThreads) {
    order[atomicAdd(&places[routes[pair].expert], 1)] = pair;
  }
}

// A block of four warps computes kTilePairs x kTileFeatures, each warp a quarter of it. Of x and W, kDepth elements of
// each row at a time come through shared memory, the next while these are multiplied.
constexpr int kWarps = 4;
constexpr int kThreads = kWarps * kWarp;
constexpr int kTileFeatures = 64;
constexpr int kDepth = 64;
constexpr int kRow = kDepth + 8;  // with a padding so that ldmatrix meets no bank twice
constexpr int kVector = 8;        // elements of 16 bytes
constexpr int kQuarter = 32;      // rows and columns of a warp
constexpr int kGroupsDeep = kDepth / kGroup;
static_assert(kTileFeatures * kGroupsDeep == kThreads, "a group of W a thread");
static_assert(kVector == kGroupedMultiple);
static_assert(kTilePairs == 2 * kQuarter && kTileFeatures == 2 * kQuarter);

template <typename T>
struct __align__(16) Stage {
  T x[kTilePairs * kRow];
  T w[kTileFeatures * kRow];
};

// Starts the copies of columns [column, column + kDepth) of the tile's rows, zeros beyond its pairs and beyond k.
template <typename T>
__device__ __forceinline__ void CopyRows(const ExpertTile& tile, const int32_t* order, int pairs_per_row, const T* x,
                                         int64_t x_stride, int64_t column, int64_t k, T* to) {
  constexpr int kVectors = kDepth / kVector;
  for (int i = threadIdx.x; i < kTilePairs * kVectors; i += kThreads) {
    const int row = i / kVectors, at = i % kVectors * kVector;
    const bool valid = row < tile.count && column + at < k;
    const T* from = valid ? x + order[tile.first + row] / pairs_per_row * x_stride + column + at : x;
    CopyAsync16(to + row * kRow + at, from, valid);
  }
  CommitCopies();
}

// The thread's group of W: of feature threadIdx.x / kGroupsDeep of the tile; zeros beyond n and k.
template <DataType kType, typename T>
__device__ __forceinline__ void LoadWeights(const uint8_t* rows, int64_t row_bytes, int64_t first_feature, int64_t n,
                                            int64_t column, int64_t k, bool vectors, unsigned (&packed)[kGroup / 2]) {
  const int64_t feature = first_feature + threadIdx.x / kGroupsDeep;
  const int64_t group = column / kGroup + threadIdx.x % kGroupsDeep;
  float w[kGroup] = {};
  if (feature < n && group * kGroup < k) LoadAnyGroup<kType>(rows + feature * row_bytes, group, k, vectors, w);
#pragma unroll
  for (int j = 0; j < kGroup / 2; ++j) packed[j] = PackPair<T>(w[2 * j], w[2 * j + 1]);
}

template <typename T>
__device__ __forceinline__ void StoreWeights(const unsigned (&packed)[kGroup / 2], T* w) {
  T* to = w + threadIdx.x / kGroupsDeep * kRow + threadIdx.x % kGroupsDeep * kGroup;
#pragma unroll
  for (int j = 0; j < kGroup / 2; j += 4) {
    *reinterpret_cast<Pack<unsigned, 4>*>(to + 2 * j) = {packed[j], packed[j + 1], packed[j + 2], packed[j + 3]};
  }
}

// sums[m][n]: fragment C of rows 16 m and features 8 n of the warp's quarter, at (row, feature).
template <typename T>
__device__ __forceinline__ void AddStage(const Stage<T>& stage, int row, int feature, float (&sums)[2][4][4]) {
  const int lane = threadIdx.x % kWarp;
#pragma unroll
  for (int k = 0; k < kDepth; k += 16) {
    unsigned x[2][4], w[2][4];
#pragma unroll
    for (int m = 0; m < 2; ++m) LoadMatrices(stage.x + (row + m * 16 + lane % 16) * kRow + k + lane / 16 * 8, x[m]);
#pragma unroll
    for (int n = 0; n < 2; ++n) {
      LoadMatrices(stage.w + (feature + n * 16 + lane % 8 + lane / 16 * 8) * kRow + k + lane / 8 % 2 * 8, w[n]);
    }
#pragma unroll
    for (int m = 0; m < 2; ++m) {
#pragma unroll
      for (int n = 0; n < 4; ++n) Mma<T>(sums[m][n], x[m], w[n / 2][n % 2 * 2], w[n / 2][n % 2 * 2 + 1]);
    }
  }
}

template <DataType kType, typename T>
__global__ void __launch_bounds__(kThreads)
    GroupedProductKernel(const ExpertRows* experts, const ExpertTile* tiles, const int32_t* order, int pairs_per_row,
                         int64_t row_bytes, int64_t n, int64_t k, bool vectors, const T* x, int64_t x_stride, T* out,
                         int64_t out_stride) {
  AwaitPriorKernel();
  __shared__ Stage<T> stages[2];
  const ExpertTile tile = tiles[blockIdx.y];
  if (tile.count == 0) return;  // the same for the whole block
  const ExpertRows expert = experts[tile.expert];
  const uint8_t* rows = static_cast<const uint8_t*>(expert.rows);
  const int64_t first_feature = static_cast<int64_t>(blockIdx.x) * kTileFeatures;
  const int warp = threadIdx.x / kWarp, row = warp / 2 * kQuarter, feature = warp % 2 * kQuarter;

  float sums[2][4][4] = {};
  unsigned weights[kGroup / 2];
  CopyRows(tile, order, pairs_per_row, x, x_stride, 0, k, stages[0].x);
  LoadWeights<kType, T>(rows, row_bytes, first_feature, n, 0, k, vectors, weights);
  int current = 0;
  for (int64_t column = 0; column < k; column += kDepth, current ^= 1) {
    // Nobody reads these any more: whoever did was at the barrier of the round before.
    StoreWeights(weights, stages[current].w);
    WaitForCopies<0>();
    __syncthreads();
    if (column + kDepth < k) {
      CopyRows(tile, order, pairs_per_row, x, x_stride, column + kDepth, k, stages[current ^ 1].x);
      LoadWeights<kType, T>(rows, row_bytes, first_feature, n, column + kDepth, k, vectors, weights);
    }
    AddStage(stages[current], row, feature, sums);
  }

  const int lane = threadIdx.x % kWarp;
#pragma unroll
  for (int m = 0; m < 2; ++m) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int at = row + m * 16 + lane / 4 + i / 2 * 8;
      if (at >= tile.count) continue;
      T* to = out + order[tile.first + at] * out_stride;
#pragma unroll
      for (int f = 0; f < 4; ++f) {
        const int64_t to_feature = first_feature + feature + f * 8 + lane % 4 * 2 + i % 2;
        if (to_feature >= n) continue;
        const float bias = expert.bias != nullptr ? expert.bias[to_feature] : 0.0f;
        to[to_feature] = FromFloat<T>(sums[m][f][i] + bias);
      }
    }
  }
}

}  // namespace

cudaError_t GroupPairs(const ExpertRoute* routes, int64_t pairs, int64_t experts, const PairGroups& groups,
                       Stream stream) {
  return Launch(GroupPairsKernel, dim3(1), kGroupingThreads, experts * static_cast<int64_t>(sizeof(int)), stream,
                routes, static_cast<int>(pairs), static_cast<int>(experts), groups.order, groups.tiles,
                static_cast<int>(groups.most_tiles));
}

bool CanGroup(const Matrix& x) { return x.type != DataType::kF32 && x.cols % kGroupedMultiple == 0 && InVectors(x); }

cudaError_t GroupedProduct(const ExpertMap& map, const PairGroups& groups, int64_t pairs_per_row, Matrix x, Matrix out,
                           Stream stream) {
  if (out.rows == 0) return cudaSuccess;
  const dim3 grid(static_cast<unsigned>(CeilDiv(map.rows, kTileFeatures)), static_cast<unsigned>(groups.most_tiles));
  return WithStoredType(map.type, [&](auto stored) {
    const auto start = [&](auto narrow) {
      using T = decltype(narrow);
      return Launch(GroupedProductKernel<decltype(stored)::value, T>, grid, kThreads, 0, stream, map.experts,
                    groups.tiles, groups.order, static_cast<int>(pairs_per_row), RowBytes(map.type, map.cols), map.rows,
                    map.cols, map.vectors, static_cast<const T*>(x.data), x.stride, static_cast<T*>(out.data),
                    out.stride);
    };
    return x.type == DataType::kBF16 ? start(bf16()) : start(__half());
  });
}

}  // namespace lastro::kernels::cuda
