#include "engine/cuda/cuda_memory.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/cuda/cuda_status.h"

namespace lastro::engine {
namespace {

constexpr int64_t kFirstChunkBytes = int64_t{1} << 20;

}  // namespace

absl::StatusOr<CudaMemory> CudaBudget::Allocate(int64_t bytes) {
  {
    absl::MutexLock lock(&mutex_);
    const bool fits = bytes <= bytes_ && DeviceAligned(std::max<int64_t>(bytes, 1)) <= bytes_ - used_;
    if (!fits) {
      return absl::ResourceExhaustedError(absl::StrCat("GPU ", device_, " has ", bytes_ - used_, " of its budget of ",
                                                       bytes_, " bytes left; ", bytes,
                                                       " are needed (", option_, " sets the budget)"));
    }
    bytes = DeviceAligned(std::max<int64_t>(bytes, 1));
    used_ += bytes;
  }
  void* data = nullptr;
  absl::Status status = CudaStatus(cudaSetDevice(device_), "cudaSetDevice");
  if (status.ok()) status = CudaStatus(cudaMalloc(&data, static_cast<size_t>(bytes)), "cudaMalloc");
  if (status.ok()) return CudaMemory(this, data, bytes);
  cudaGetLastError();  // a refused allocation is no error of what comes next
  absl::MutexLock lock(&mutex_);
  used_ -= bytes;
  return status;
}

int64_t CudaBudget::free_bytes() const {
  absl::MutexLock lock(&mutex_);
  return bytes_ - used_;
}

void CudaBudget::Free(void* data, int64_t bytes) {
  ++epoch_;
  cudaFree(data);
  absl::MutexLock lock(&mutex_);
  used_ -= bytes;
}

StepUploads::~StepUploads() {
  for (const Chunk& chunk : chunks_) cudaFreeHost(chunk.pinned);
}

absl::Status StepUploads::AddChunk(int64_t bytes) {
  Chunk chunk;
  LASTRO_ASSIGN_OR_RETURN(chunk.device, budget_.Allocate(bytes));
  LASTRO_RETURN_IF_ERROR(
      CudaStatus(cudaMallocHost(&chunk.pinned, static_cast<size_t>(chunk.device.bytes())), "cudaMallocHost"));
  chunks_.push_back(std::move(chunk));
  used_ = 0;
  return absl::OkStatus();
}

absl::StatusOr<const void*> StepUploads::UploadBytes(const void* from, int64_t bytes, bool enqueue) {
  if (chunks_.empty() || chunks_.back().device.bytes() - used_ < bytes) {
    if (!enqueue) return absl::InternalError("a replayed step uploads more than the recorded one");
    const int64_t last = chunks_.empty() ? kFirstChunkBytes / 2 : chunks_.back().device.bytes();
    LASTRO_RETURN_IF_ERROR(AddChunk(std::max(2 * last, bytes)));
  }
  const Chunk& chunk = chunks_.back();
  uint8_t* pinned = static_cast<uint8_t*>(chunk.pinned) + used_;
  uint8_t* device = chunk.device.as<uint8_t>() + used_;
  used_ = std::min(DeviceAligned(used_ + bytes), chunk.device.bytes());
  if (bytes == 0) return device;
  std::memcpy(pinned, from, static_cast<size_t>(bytes));
  if (!enqueue) return device;
  LASTRO_RETURN_IF_ERROR(CudaStatus(
      cudaMemcpyAsync(device, pinned, static_cast<size_t>(bytes), cudaMemcpyHostToDevice, stream_), "upload"));
  return device;
}

StepDownloads::~StepDownloads() { cudaFreeHost(pinned_); }

absl::Status StepDownloads::Add(const void* device, int64_t bytes, void* to, bool enqueue) {
  if (bytes_ - used_ < bytes) {
    if (!enqueue) return absl::InternalError("a replayed step gives more than the recorded one");
    LASTRO_RETURN_IF_ERROR(Grow(bytes));
  }
  if (enqueue) {
    LASTRO_RETURN_IF_ERROR(CudaStatus(
        cudaMemcpyAsync(pinned_ + used_, device, static_cast<size_t>(bytes), cudaMemcpyDeviceToHost, stream_),
        "copy to the host"));
  }
  copies_.push_back({used_, bytes, to});
  used_ = std::min(DeviceAligned(used_ + bytes), bytes_);
  return absl::OkStatus();
}

// At least twice the memory, so that a step like this one finds enough.
absl::Status StepDownloads::Grow(int64_t bytes) {
  LASTRO_RETURN_IF_ERROR(CudaStatus(cudaStreamSynchronize(stream_), "copy to the host"));
  Finish();  // copies under way end in the old memory
  const int64_t wanted = DeviceAligned(std::max({2 * bytes_, 2 * bytes, kFirstChunkBytes}));
  cudaFreeHost(std::exchange(pinned_, nullptr));
  bytes_ = 0;
  ++epoch_;
  void* pinned = nullptr;
  LASTRO_RETURN_IF_ERROR(CudaStatus(cudaMallocHost(&pinned, static_cast<size_t>(wanted)), "cudaMallocHost"));
  pinned_ = static_cast<uint8_t*>(pinned);
  bytes_ = wanted;
  return absl::OkStatus();
}

void StepDownloads::Finish() {
  for (const Copy& copy : copies_) std::memcpy(copy.to, pinned_ + copy.from, static_cast<size_t>(copy.bytes));
  Forget();
}

void StepUploads::Reset() {
  while (chunks_.size() > 1) {  // the last is the largest
    cudaFreeHost(chunks_.front().pinned);
    chunks_.erase(chunks_.begin());
  }
  used_ = 0;
}

}  // namespace lastro::engine
