#include "kernels/cuda/elements.cuh"

namespace lastro::kernels::cuda {
namespace {

constexpr int kFirstArchitecture = 90;  // whose code has the instructions

__global__ void AwaitKernel() { AwaitPriorKernel(); }

}  // namespace

// Code translated from an older architecture's at run time does not, whatever the device.
bool KernelsAwait() {
  cudaFuncAttributes attributes = {};
  return cudaFuncGetAttributes(&attributes, AwaitKernel) == cudaSuccess && attributes.ptxVersion >= kFirstArchitecture;
}

}  // namespace lastro::kernels::cuda
