// Memory of one GPU under a hard budget. CudaMemory: one allocation, owned. StepUploads: what the operations of a step
// read from the host, by way of pinned memory, so that the copies do not wait for the GPU.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"

namespace lastro::engine {

class CudaMemory;

// Thread-safe; outlives its allocations.
class CudaBudget {
 public:
  CudaBudget(int device, int64_t bytes) : device_(device), bytes_(bytes) {}

  // Uninitialised, 256-byte aligned. RESOURCE_EXHAUSTED, with counts, when the budget or the GPU has no `bytes` left.
  absl::StatusOr<CudaMemory> Allocate(int64_t bytes);
  int64_t bytes() const { return bytes_; }
  int64_t free_bytes() const;

 private:
  friend class CudaMemory;
  void Free(void* data, int64_t bytes);

  const int device_;
  const int64_t bytes_;
  mutable absl::Mutex mutex_;
  int64_t used_ ABSL_GUARDED_BY(mutex_) = 0;
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

  // A copy of `values` in device memory that lives until Reset. Waits for the stream where the memory must grow.
  template <typename T>
  absl::StatusOr<const T*> Upload(absl::Span<const T> values) {
    auto copy = UploadBytes(values.data(), static_cast<int64_t>(values.size() * sizeof(T)));
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
  absl::StatusOr<const void*> UploadBytes(const void* from, int64_t bytes);
  absl::Status AddChunk(int64_t bytes);

  CudaBudget& budget_;
  const cudaStream_t stream_;
  std::vector<Chunk> chunks_;  // the last is filled; the others are full, until Reset
  int64_t used_ = 0;           // of the last
};

}  // namespace lastro::engine
