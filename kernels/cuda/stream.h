// Stream: a CUDA stream as launchers take it, not owned; one that has its name converts to it. Where kernels overlap,
// each may start while the one ahead of it in the stream still runs (programmatic dependent launch, from compute
// capability 9.0 on), so that its start costs no time between them; it touches no memory before AwaitPriorKernel
// (elements.cuh), so that results are those of kernels one after the other. Plain value, thread-safe.
#pragma once

#include <cuda_runtime.h>

namespace lastro::kernels::cuda {

struct Stream {
  Stream(cudaStream_t handle, bool kernels_overlap = false) : handle(handle), kernels_overlap(kernels_overlap) {}

  cudaStream_t handle;
  bool kernels_overlap;
};

// Whether the kernels of this build, in the form that the current device runs, await the one ahead: where they do not,
// none may overlap.
bool KernelsAwait();

}  // namespace lastro::kernels::cuda
