#include "engine/cuda/cuda_loader.h"

#include <algorithm>
#include <cstring>

#include "base/status_macros.h"
#include "engine/cuda/cuda_status.h"

namespace lastro::engine {

absl::StatusOr<std::unique_ptr<CudaLoader>> CudaLoader::Create(CudaBudget& budget) {
  std::unique_ptr<CudaLoader> loader(new CudaLoader(budget));
  LASTRO_RETURN_IF_ERROR(CudaStatus(cudaSetDevice(budget.device()), "cudaSetDevice"));
  LASTRO_RETURN_IF_ERROR(
      CudaStatus(cudaStreamCreateWithFlags(&loader->stream_, cudaStreamNonBlocking), "cudaStreamCreate"));
  for (int i = 0; i < kParts; ++i) LASTRO_RETURN_IF_ERROR(loader->AddPart());
  return loader;
}

absl::Status CudaLoader::AddPart() {
  Part& part = parts_.emplace_back();
  LASTRO_RETURN_IF_ERROR(CudaStatus(cudaMallocHost(&part.pinned, static_cast<size_t>(kPartBytes)), "cudaMallocHost"));
  return CudaStatus(cudaEventCreateWithFlags(&part.copied, cudaEventDisableTiming), "cudaEventCreate");
}

CudaLoader::~CudaLoader() {
  cudaSetDevice(budget_.device());
  if (stream_ != nullptr) cudaStreamSynchronize(stream_);
  for (const Part& part : parts_) {
    if (part.copied != nullptr) cudaEventDestroy(part.copied);
    cudaFreeHost(part.pinned);
  }
  if (stream_ != nullptr) cudaStreamDestroy(stream_);
}

absl::Status CudaLoader::Copy(const void* from, int64_t bytes, void* to) {
  cudaSetDevice(budget_.device());
  absl::MutexLock lock(&mutex_);
  for (int64_t at = 0; at < bytes; at += kPartBytes) {
    LASTRO_RETURN_IF_ERROR(CopyPart(static_cast<const uint8_t*>(from) + at, std::min(kPartBytes, bytes - at),
                                    static_cast<uint8_t*>(to) + at));
  }
  return absl::OkStatus();
}

absl::Status CudaLoader::CopyPart(const void* from, int64_t bytes, void* to) {
  const Part& part = parts_[next_];
  next_ = (next_ + 1) % parts_.size();
  LASTRO_RETURN_IF_ERROR(CudaStatus(cudaEventSynchronize(part.copied), "copy to the device"));
  std::memcpy(part.pinned, from, static_cast<size_t>(bytes));
  LASTRO_RETURN_IF_ERROR(
      CudaStatus(cudaMemcpyAsync(to, part.pinned, static_cast<size_t>(bytes), cudaMemcpyHostToDevice, stream_),
                 "copy to the device"));
  return CudaStatus(cudaEventRecord(part.copied, stream_), "copy to the device");
}

absl::Status CudaLoader::Finish() {
  cudaSetDevice(budget_.device());
  return CudaStatus(cudaStreamSynchronize(stream_), "copy to the device");
}

}  // namespace lastro::engine
