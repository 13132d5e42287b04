// CudaLoader: what goes to a GPU to stay there (weights, adapters, vectors), copied by way of pinned memory on a stream
// of its own, beside the steps that run. A part is copied while the host reads the next ones, which come from a mapped
// file. Thread-safe; the budget outlives it, and it outlives what is under way.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "engine/cuda/cuda_memory.h"

namespace lastro::engine {

class CudaLoader {
 public:
  // On the budget's device. Errors of CUDA.
  static absl::StatusOr<std::unique_ptr<CudaLoader>> Create(CudaBudget& budget);
  CudaLoader(const CudaLoader&) = delete;
  CudaLoader& operator=(const CudaLoader&) = delete;
  ~CudaLoader();

  absl::StatusOr<CudaMemory> Allocate(int64_t bytes) { return budget_.Allocate(bytes); }
  // Copies host memory, which is the caller's again on return, to device memory, which has it when stream() has come
  // so far.
  absl::Status Copy(const void* from, int64_t bytes, void* to);
  // Waits for all of that, and for what a caller enqueued on stream().
  absl::Status Finish();
  cudaStream_t stream() const { return stream_; }

 private:
  static constexpr int64_t kPartBytes = int64_t{4} << 20;
  static constexpr int kParts = 4;

  // Pinned memory, and when the copy from it is done.
  struct Part {
    void* pinned = nullptr;
    cudaEvent_t copied = nullptr;
  };

  explicit CudaLoader(CudaBudget& budget) : budget_(budget) {}
  absl::Status AddPart();
  absl::Status CopyPart(const void* from, int64_t bytes, void* to) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  CudaBudget& budget_;
  cudaStream_t stream_ = nullptr;
  absl::Mutex mutex_;
  std::vector<Part> parts_;  // const after Create
  size_t next_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace lastro::engine
