// Memory of one GPU under a hard budget. CudaMemory: one allocation, owned. StepUploads: what the operations of a step
// read from the host, by way of pinned memory, so that the copies do not wait for the GPU; StepDownloads: the way back.
#pragma once

#include <cuda_runtime.h>

#include <atomic>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"

namespace lastro::engine {

// Where an allocation, or a part of one, may begin.
constexpr int64_t DeviceAligned(int64_t bytes) { return (bytes + 255) / 256 * 256; }

class CudaMemory;

// Thread-safe; outlives its allocations.
class CudaBudget {
 public:
  // `option`: what sets it, for messages.
  CudaBudget(int device, int64_t bytes, const char* option = "--gpu-memory")
      : device_(device), bytes_(bytes), option_(option) {}

  // Uninitialised, aligned; any `bytes` >= 0. RESOURCE_EXHAUSTED, with counts, when budget or GPU have less left.
  absl::StatusOr<CudaMemory> Allocate(int64_t bytes);
  int device() const { return device_; }
  int64_t bytes() const { return bytes_; }
  int64_t free_bytes() const;
  // Changes with every release: while it does not, no address is another allocation's.
  uint64_t epoch() const { return epoch_; }

 private:
  friend class CudaMemory;
  void Free(void* data, int64_t bytes);

  const int device_;
  const int64_t bytes_;
  const char* const option_;
  mutable absl::Mutex mutex_;
  int64_t used_ ABSL_GUARDED_BY(mutex_) = 0;
  std::atomic<uint64_t> epoch_ = 0;
};

class CudaMemory {
 public:
  CudaMemory() = default;
  CudaMemory(CudaMemory&& other) noexcept { *this = std::move(other); }
  CudaMemory& operator=(CudaMemory&& other) noexcept {
    std::swap(budget_, other.budget_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  CudaMemory(const CudaMemory&) = delete;
  CudaMemory& operator=(const CudaMemory&) = delete;
  ~CudaMemory() {
    if (data_ != nullptr) budget_->Free(data_, bytes_);
  }

  void* data() const { return data_; }
  int64_t bytes() const { return bytes_; }
  template <typename T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  friend class CudaBudget;
  CudaMemory(CudaBudget* budget, void* data, int64_t bytes) : budget_(budget), data_(data), bytes_(bytes) {}

  CudaBudget* budget_ = nullptr;
  void* data_ = nullptr;
  int64_t bytes_ = 0;
};

// One thread at a time.
class StepUploads {
 public:
  StepUploads(CudaBudget& budget, cudaStream_t stream) : budget_(budget), stream_(stream) {}
  StepUploads(const StepUploads&) = delete;
  StepUploads& operator=(const StepUploads&) = delete;
  ~StepUploads();

  // A copy of `values` in device memory that lives until Reset; the same uploads after a Reset go to the same places.
  // Without `enqueue` only pinned memory gets them: a recorded copy does the rest.
  template <typename T>
  absl::StatusOr<const T*> Upload(absl::Span<const T> values, bool enqueue = true) {
    auto copy = UploadBytes(values.data(), static_cast<int64_t>(values.size() * sizeof(T)), enqueue);
    if (!copy.ok()) return copy.status();
    return static_cast<const T*>(*copy);
  }

  // REQUIRES: the stream has passed all that reads the copies.
  void Reset();

 private:
  struct Chunk {
    CudaMemory device;
    void* pinned = nullptr;
  };
  absl::StatusOr<const void*> UploadBytes(const void* from, int64_t bytes, bool enqueue);
  absl::Status AddChunk(int64_t bytes);

  CudaBudget& budget_;
  const cudaStream_t stream_;
  std::vector<Chunk> chunks_;  // the last is filled; the others are full, until Reset
  int64_t used_ = 0;           // of the last
};

// What a step gives the host, by way of pinned memory, for the same reason. One thread at a time.
class StepDownloads {
 public:
  explicit StepDownloads(cudaStream_t stream) : stream_(stream) {}
  StepDownloads(const StepDownloads&) = delete;
  StepDownloads& operator=(const StepDownloads&) = delete;
  ~StepDownloads();

  // Enqueues the copy of `bytes` of device memory to `to`, which is there after Finish; `enqueue` as in
  // StepUploads::Upload.
  absl::Status Add(const void* device, int64_t bytes, void* to, bool enqueue = true);
  // Changes when the pinned memory does.
  uint64_t epoch() const { return epoch_; }
  // REQUIRES: the stream has passed the copies, unless they are to be forgotten.
  void Finish();
  void Forget() { copies_.clear(), used_ = 0; }

 private:
  struct Copy {
    int64_t from = 0;  // in pinned memory
    int64_t bytes = 0;
    void* to = nullptr;
  };
  absl::Status Grow(int64_t bytes);

  const cudaStream_t stream_;
  uint8_t* pinned_ = nullptr;
  int64_t bytes_ = 0, used_ = 0;
  uint64_t epoch_ = 0;
  std::vector<Copy> copies_;
};

}  // namespace lastro::engine
