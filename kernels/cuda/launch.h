// Launch: a kernel's start with what does not fit into three angle brackets, and the sizes of grids. Thread-safe.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "kernels/cuda/stream.h"

namespace lastro::kernels::cuda {

inline constexpr int kWarp = 32;
// Threads of a block of elementwise kernels.
inline constexpr int kElementThreads = 256;
// Blocks of elementwise kernels: each then walks over what is left, in steps of the grid.
inline constexpr int64_t kMaxElementBlocks = 132 * 16;

constexpr int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int64_t RoundUp(int64_t a, int64_t b) { return CeilDiv(a, b) * b; }

inline dim3 ElementGrid(int64_t elements) {
  return dim3(static_cast<unsigned>(std::clamp<int64_t>(CeilDiv(elements, kElementThreads), 1, kMaxElementBlocks)));
}

template <typename... Parameters, typename... Arguments>
cudaError_t Launch(void (*kernel)(Parameters...), dim3 grid, int threads, int64_t shared_bytes, Stream stream,
                   Arguments&&... args) {
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = static_cast<size_t>(shared_bytes);
  config.stream = stream.handle;
  cudaLaunchAttribute overlap = {};
  overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  overlap.val.programmaticStreamSerializationAllowed = 1;
  config.attrs = &overlap;
  config.numAttrs = stream.kernels_overlap ? 1 : 0;
  return cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(args)...);
}

// A kernel that may need more shared memory than every launch gets.
template <typename... Parameters, typename... Arguments>
cudaError_t LaunchLarge(void (*kernel)(Parameters...), dim3 grid, int threads, int64_t shared_bytes, Stream stream,
                        Arguments&&... args) {
  constexpr int64_t kUnasked = 48 * 1024;
  if (shared_bytes > kUnasked) {
    const cudaError_t error =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes));
    if (error != cudaSuccess) return error;
  }
  return Launch(kernel, grid, threads, shared_bytes, stream, std::forward<Arguments>(args)...);
}

}  // namespace lastro::kernels::cuda
