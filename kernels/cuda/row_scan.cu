#include <cmath>

#include "kernels/cuda/elements.cuh"
#include "kernels/cuda/row_scan.h"

namespace lastro::kernels::cuda {
namespace {

constexpr int kScanThreads = 256;
constexpr int kRowThreads = 8;  // that read one row together
constexpr int kDigitBits = 8, kDigits = 1 << kDigitBits, kKeyBits = 64;
constexpr int kPasses = kKeyBits / kDigitBits;
constexpr float kNotAllowed = -INFINITY;  // no bound is
static_assert(kScanQueries <= kRowThreads, "each thread of a row writes the bound of one query");
static_assert(kDigits == kScanThreads, "each thread of a block has one digit");

__device__ __forceinline__ bool IsAllowed(const uint64_t* allowed, int64_t row) {
  return allowed == nullptr || (allowed[row / 64] >> (row % 64) & 1) != 0;
}

// numbers: [kQueries, 2, parts] of kScanPart bytes, shared memory.
template <int kQueries>
__device__ __forceinline__ void AddPart(const uint4& codes, const uint4* numbers, int64_t part, int64_t parts,
                                        int (&high)[kQueries], int (&low)[kQueries]) {
  const unsigned words[4] = {codes.x ^ 0x80808080u, codes.y ^ 0x80808080u, codes.z ^ 0x80808080u,
                             codes.w ^ 0x80808080u};
#pragma unroll
  for (int q = 0; q < kQueries; ++q) {
    const uint4 h = numbers[2 * q * parts + part], l = numbers[(2 * q + 1) * parts + part];
    const unsigned highs[4] = {h.x, h.y, h.z, h.w}, lows[4] = {l.x, l.y, l.z, l.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      high[q] = __dp4a(static_cast<int>(words[i]), static_cast<int>(highs[i]), high[q]);
      low[q] = __dp4a(static_cast<int>(words[i]), static_cast<int>(lows[i]), low[q]);
    }
  }
}

__device__ __forceinline__ int RowSum(int x) {
#pragma unroll
  for (int bits = kRowThreads / 2; bits > 0; bits /= 2) x += __shfl_xor_sync(~0u, x, bits);
  return x;
}

template <int kQueries>
__global__ void __launch_bounds__(kScanThreads) BoundsKernel(CodedRows rows, ScanQueries queries, float* bounds) {
  AwaitPriorKernel();
  LASTRO_DYNAMIC_SHARED(shared);
  uint4* numbers = reinterpret_cast<uint4*>(shared);
  const int64_t parts = rows.stride / kScanPart;
  for (int64_t i = threadIdx.x; i < kQueries * 2 * parts; i += kScanThreads) {
    const int q = static_cast<int>(i / (2 * parts));
    numbers[i] = reinterpret_cast<const uint4*>(queries.of[q].numbers)[i % (2 * parts)];
  }
  __syncthreads();
  constexpr int kRowsOfWarp = kWarp / kRowThreads;
  const int lane = threadIdx.x % kWarp, thread = lane % kRowThreads;
  const int64_t warps = static_cast<int64_t>(gridDim.x) * (kScanThreads / kWarp);
  const int64_t first_warp = static_cast<int64_t>(blockIdx.x) * (kScanThreads / kWarp) + threadIdx.x / kWarp;
  for (int64_t first = first_warp * kRowsOfWarp; first < rows.rows; first += warps * kRowsOfWarp) {
    const int64_t row = first + lane / kRowThreads;
    int high[kQueries] = {}, low[kQueries] = {};
    if (row < rows.rows) {
      const uint4* codes = reinterpret_cast<const uint4*>(rows.codes + row * rows.stride);
      for (int64_t part = thread; part < parts; part += kRowThreads) {
        AddPart<kQueries>(codes[part], numbers, part, parts, high, low);
      }
    }
#pragma unroll
    for (int q = 0; q < kQueries; ++q) {
      const int64_t product = int64_t{128} * RowSum(high[q]) + RowSum(low[q]);
      if (thread != q || row >= rows.rows) continue;
      const ScanQuery& query = queries.of[q];
      const float score = __fmul_rn(__fmul_rn(query.scale, rows.scales[row]), static_cast<float>(product));
      const float error = __fadd_rn(__fmul_rn(rows.errors[row], query.slack), query.error);
      bounds[q * rows.rows + row] = IsAllowed(query.allowed, row) ? __fadd_rn(score, error) : kNotAllowed;
    }
  }
}

// How many rows have each digit at `shift`, of those whose keys begin like `least`. Bounds of neighbours mostly begin
// alike: a thread counts its run of them before it adds it.
__device__ void CountDigits(const float* bounds, int64_t rows, uint64 least, int shift, uint32_t* counts) {
  const int above = shift + kDigitBits;
  int digit = 0;
  uint32_t run = 0;
  for (int64_t row = static_cast<int64_t>(blockIdx.x) * kScanThreads + threadIdx.x; row < rows;
       row += static_cast<int64_t>(gridDim.x) * kScanThreads) {
    if (bounds[row] == kNotAllowed) continue;
    const uint64 key = KeyOf(bounds[row], row);
    if (above < kKeyBits && key >> above != least >> above) continue;
    const int found = static_cast<int>(key >> shift & (kDigits - 1));
    if (found != digit && run > 0) {
      atomicAdd(&counts[digit], run);
      run = 0;
    }
    digit = found;
    ++run;
  }
  if (run > 0) atomicAdd(&counts[digit], run);
}

// One more digit of the least key that is kept, by the last block of a pass.
__device__ void ChooseDigit(ScanSelection* selection, uint32_t wanted, int shift) {
  const int digit = kDigits - 1 - static_cast<int>(threadIdx.x);  // the highest first
  const uint32_t count = atomicAdd(&selection->counts[digit], 0u);
  selection->counts[digit] = 0;
  const uint32_t needed = shift == kKeyBits - kDigitBits ? wanted : selection->wanted_here;
  const uint64 before = BlockSumBefore(count);
  if (threadIdx.x == 0) selection->blocks = 0;
  if (threadIdx.x == kScanThreads - 1 && before + count < needed) selection->done = 1;  // fewer than wanted: all
  if (count == 0 || before >= needed || before + count < needed) return;
  selection->least |= static_cast<uint64>(digit) << shift;
  selection->wanted_here = needed - static_cast<uint32_t>(before);
  selection->done = selection->wanted_here == count || shift == 0 ? 1 : 0;
}

__global__ void __launch_bounds__(kScanThreads)
    SelectKernel(const float* all_bounds, int64_t rows, ScanQueries queries, ScanSelection* selections, int shift) {
  AwaitPriorKernel();
  __shared__ uint32_t counts[kDigits];
  __shared__ uint32_t blocks;
  ScanSelection* selection = selections + blockIdx.y;
  if (selection->done != 0) return;
  counts[threadIdx.x] = 0;
  __syncthreads();
  CountDigits(all_bounds + blockIdx.y * rows, rows, selection->least, shift, counts);
  __syncthreads();
  if (counts[threadIdx.x] > 0) atomicAdd(&selection->counts[threadIdx.x], counts[threadIdx.x]);
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) blocks = atomicAdd(&selection->blocks, 1u);
  __syncthreads();
  if (blocks + 1 == gridDim.x) ChooseDigit(selection, queries.of[blockIdx.y].wanted, shift);
}

__global__ void __launch_bounds__(kScanThreads)
    GatherKernel(const float* all_bounds, int64_t rows, ScanSelection* selections, uint64* all_keys,
                 int64_t wanted_most) {
  AwaitPriorKernel();
  ScanSelection* selection = selections + blockIdx.y;
  const float* bounds = all_bounds + blockIdx.y * rows;
  uint64* keys = all_keys + blockIdx.y * wanted_most;
  for (int64_t row = static_cast<int64_t>(blockIdx.x) * kScanThreads + threadIdx.x; row < rows;
       row += static_cast<int64_t>(gridDim.x) * kScanThreads) {
    const uint64 key = KeyOf(bounds[row], row);
    if (bounds[row] == kNotAllowed || key < selection->least) continue;
    keys[atomicAdd(&selection->written, 1u)] = key;
  }
}

template <int kQueries>
cudaError_t ComputeBounds(const CodedRows& rows, const ScanQueries& queries, float* bounds, Stream stream) {
  return LaunchLarge(BoundsKernel<kQueries>, ElementGrid(rows.rows * kRowThreads), kScanThreads,
                     kQueries * 2 * rows.stride, stream, rows, queries, bounds);
}

}  // namespace

cudaError_t ScanBestRows(const CodedRows& rows, const ScanQueries& queries, float* bounds, ScanSelection* selections,
                         unsigned long long* keys, int64_t wanted_most, Stream stream) {
  if (rows.rows == 0 || queries.count == 0) return cudaSuccess;
  ScanQueries padded = queries;
  for (int q = queries.count; q < kScanQueries; ++q) padded.of[q] = queries.of[0];
  cudaError_t error = queries.count == 1   ? ComputeBounds<1>(rows, padded, bounds, stream)
                      : queries.count == 2 ? ComputeBounds<2>(rows, padded, bounds, stream)
                      : queries.count <= 4 ? ComputeBounds<4>(rows, padded, bounds, stream)
                                           : ComputeBounds<8>(rows, padded, bounds, stream);
  dim3 grid = ElementGrid(CeilDiv(rows.rows, 8));
  grid.y = static_cast<unsigned>(queries.count);
  for (int pass = 0; pass < kPasses && error == cudaSuccess; ++pass) {
    error = Launch(SelectKernel, grid, kScanThreads, 0, stream, bounds, rows.rows, padded, selections,
                   kKeyBits - (pass + 1) * kDigitBits);
  }
  if (error != cudaSuccess) return error;
  return Launch(GatherKernel, grid, kScanThreads, 0, stream, bounds, rows.rows, selections, keys, wanted_most);
}

}  // namespace lastro::kernels::cuda
