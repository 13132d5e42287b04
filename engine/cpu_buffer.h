// Memory for weights, caches and activations on the CPU: 64-byte aligned and uninitialised. Large buffers come straight
// from the operating system, so that they cost nothing until touched and go back to it when freed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"

namespace lastro::engine {

class CpuMemory {
 public:
  // RESOURCE_EXHAUSTED when the system refuses. `bytes` may be 0.
  static absl::StatusOr<CpuMemory> Allocate(int64_t bytes);
  CpuMemory() = default;
  CpuMemory(CpuMemory&& other) noexcept;
  CpuMemory& operator=(CpuMemory&& other) noexcept;
  CpuMemory(const CpuMemory&) = delete;
  CpuMemory& operator=(const CpuMemory&) = delete;
  ~CpuMemory();

  void* data() const { return data_; }
  int64_t bytes() const { return bytes_; }
  template <typename T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  void* data_ = nullptr;
  int64_t bytes_ = 0;
};

}  // namespace lastro::engine
