#include "engine/cuda/cuda_device.h"

#include <cuda_runtime.h>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/cuda/cuda_status.h"

namespace lastro::engine {
namespace {
constexpr int kOldestMajor = 8;  // Ampere: bf16 on tensor cores, copies past the registers
}  // namespace

int CountCudaDevices() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

absl::StatusOr<std::string> SelectCudaDevice(int device) {
  int count = 0;
  if (const cudaError_t error = cudaGetDeviceCount(&count); error != cudaSuccess) {
    return absl::FailedPreconditionError(absl::StrCat("no CUDA device (", cudaGetErrorName(error), ")"));
  }
  if (device < 0 || device >= count) {
    return absl::FailedPreconditionError(
        absl::StrCat("there is no CUDA device ", device, "; this machine has ", count));
  }
  LASTRO_RETURN_IF_ERROR(CudaStatus(cudaSetDevice(device), "cudaSetDevice"));
  cudaDeviceProp properties;
  LASTRO_RETURN_IF_ERROR(CudaStatus(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties"));
  if (properties.major >= kOldestMajor) return std::string(properties.name);
  return absl::FailedPreconditionError(absl::StrCat("CUDA device ", device, " (", properties.name,
                                                    ") has compute capability ", properties.major, ".",
                                                    properties.minor, "; ", kOldestMajor, ".0 or newer is needed"));
}

}  // namespace lastro::engine
