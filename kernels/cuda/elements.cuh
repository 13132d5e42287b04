// Elements of device memory as floats and back, one at a time or in packs, and the choice of a kernel by type. Device
// code.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/cuda/launch.h"
#include "kernels/kernels.h"

// Shared memory whose size the launch gives.
#ifdef LASTRO_CUDA_EMULATOR
#define LASTRO_DYNAMIC_SHARED(name) uint8_t* name = ::cuda_emulator::DynamicShared()
#else
#define LASTRO_DYNAMIC_SHARED(name) extern __shared__ __align__(128) uint8_t name[]
#endif

namespace lastro::kernels::cuda {

// The first thing every kernel does: what was launched ahead of it has then ended, and what is launched next may start
// (stream.h).
__device__ __forceinline__ void AwaitPriorKernel() {
#if defined(LASTRO_CUDA_EMULATOR) || (defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900)
  cudaGridDependencySynchronize();
  cudaTriggerProgrammaticLaunchCompletion();
#endif
}

using bf16 = __nv_bfloat16;

__device__ __forceinline__ float ToFloat(float x) { return x; }
__device__ __forceinline__ float ToFloat(bf16 x) { return __bfloat162float(x); }
__device__ __forceinline__ float ToFloat(__half x) { return __half2float(x); }

template <typename T>
__device__ __forceinline__ T FromFloat(float x);
template <>
__device__ __forceinline__ float FromFloat<float>(float x) {
  return x;
}
template <>
__device__ __forceinline__ bf16 FromFloat<bf16>(float x) {
  return __float2bfloat16_rn(x);
}
template <>
__device__ __forceinline__ __half FromFloat<__half>(float x) {
  return __float2half_rn(x);
}

// kPack neighbours, moved as one access.
template <typename T, int kPack>
struct __align__(sizeof(T) * kPack) Pack {
  T values[kPack];
};

template <int kPack, typename T>
__device__ __forceinline__ void LoadPack(const T* from, float (&to)[kPack]) {
  const Pack<T, kPack> pack = *reinterpret_cast<const Pack<T, kPack>*>(from);
#pragma unroll
  for (int i = 0; i < kPack; ++i) to[i] = ToFloat(pack.values[i]);
}

template <int kPack, typename T>
__device__ __forceinline__ void StorePack(const float (&from)[kPack], T* to) {
  Pack<T, kPack> pack;
#pragma unroll
  for (int i = 0; i < kPack; ++i) pack.values[i] = FromFloat<T>(from[i]);
  *reinterpret_cast<Pack<T, kPack>*>(to) = pack;
}

// Calls f(T()) with the element type: kF32, kBF16 or kF16.
template <typename F>
cudaError_t WithType(DataType type, F f) {
  return type == DataType::kF32 ? f(float()) : type == DataType::kBF16 ? f(bf16()) : f(__half());
}

template <typename Narrow, typename F>
cudaError_t WithNarrow(F f) {
  return f();
}
template <typename Narrow, typename F, typename... Rest>
cudaError_t WithNarrow(F f, DataType first, Rest... rest) {
  const auto with_first = [&](auto element) {
    return WithNarrow<Narrow>([&](auto... others) { return f(element, others...); }, rest...);
  };
  return first == DataType::kF32 ? with_first(float()) : with_first(Narrow());
}
// Calls f(T(), ...) with the element type of each of some matrices, which are kF32 or of one type of two bytes.
template <typename F, typename... Types>
cudaError_t WithTypes(F f, Types... types) {
  const bool some_bf16 = ((types == DataType::kBF16) || ...), some_fp16 = ((types == DataType::kF16) || ...);
  if (some_bf16 && some_fp16) return cudaErrorInvalidValue;
  return some_fp16 ? WithNarrow<__half>(f, types...) : WithNarrow<bf16>(f, types...);
}

// The sum or the largest over a warp, known to each of its threads.
__device__ __forceinline__ float WarpSum(float x) {
#pragma unroll
  for (int bits = kWarp / 2; bits > 0; bits /= 2) x += __shfl_xor_sync(~0u, x, bits);
  return x;
}
__device__ __forceinline__ float WarpMax(float x) {
#pragma unroll
  for (int bits = kWarp / 2; bits > 0; bits /= 2) x = fmaxf(x, __shfl_xor_sync(~0u, x, bits));
  return x;
}

using uint64 = unsigned long long;  // as atomicAdd and shuffles take it

__device__ __forceinline__ uint64 WarpMax(uint64 x) {
#pragma unroll
  for (int bits = kWarp / 2; bits > 0; bits /= 2) {
    const uint64 other = __shfl_xor_sync(~0u, x, bits);
    x = other > x ? other : x;
  }
  return x;
}

// A number and its index as one key: the higher, the better, which is the larger number and of equal ones the lower
// index. No number's key is 0.
__device__ __forceinline__ uint64 KeyOf(float x, int64_t index) {
  const uint32_t bits = __float_as_uint(x + 0.0f);  // of zeros the positive one
  const uint32_t ordered = bits >> 31 != 0 ? ~bits : bits | 0x80000000u;
  return static_cast<uint64>(ordered) << 32 | ~static_cast<uint32_t>(index);
}
__device__ __forceinline__ int32_t IdOf(uint64 key) { return static_cast<int32_t>(~static_cast<uint32_t>(key)); }

// What `kOfWarp` makes of the numbers of a block, known to each of its threads; all of them call it. A barrier at both
// ends.
template <float (*kOfWarp)(float)>
__device__ __forceinline__ float BlockReduce(float x) {
  __shared__ float of_warps[kWarp];
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, warps = blockDim.x / kWarp;
  x = kOfWarp(x);
  if (lane == 0) of_warps[warp] = x;
  __syncthreads();
  x = kOfWarp(lane < warps ? of_warps[lane] : 0.0f);
  __syncthreads();
  return x;
}
__device__ __forceinline__ float BlockSum(float x) { return BlockReduce<WarpSum>(x); }
// REQUIRES: none is negative.
__device__ __forceinline__ float BlockMax(float x) { return BlockReduce<WarpMax>(x); }

// The sum of x over the threads of the block before this one; all of them call it. A barrier at both ends.
__device__ __forceinline__ uint64 BlockSumBefore(uint64 x) {
  __shared__ uint64 of_warps[kWarp];
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  uint64 sum = x;
  for (int delta = 1; delta < kWarp; delta *= 2) {
    const uint64 before = __shfl_up_sync(~0u, sum, static_cast<unsigned>(delta));
    if (lane >= delta) sum += before;
  }
  if (lane == kWarp - 1) of_warps[warp] = sum;
  __syncthreads();
  uint64 before = sum - x;
  for (int i = 0; i < warp; ++i) before += of_warps[i];
  __syncthreads();
  return before;
}

}  // namespace lastro::kernels::cuda
