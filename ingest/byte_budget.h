// ByteBudget: how much memory the documents between two stages may take together. Thread-safe.
#pragma once

#include <cstdint>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace lastro::ingest {

class ByteBudget {
 public:
  explicit ByteBudget(uint64_t limit_bytes) : limit_bytes_(limit_bytes) {}

  // Waits until `bytes` fit; a request larger than the whole limit waits until nothing else is in use. False, and
  // nothing is taken, once the budget is closed.
  bool Acquire(uint64_t bytes) {
    absl::MutexLock lock(&mutex_);
    auto ready = [this, bytes]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return closed_ || used_bytes_ == 0 || (used_bytes_ <= limit_bytes_ && bytes <= limit_bytes_ - used_bytes_);
    };
    mutex_.Await(absl::Condition(&ready));
    if (closed_) return false;
    used_bytes_ += bytes;
    return true;
  }

  void Release(uint64_t bytes) {
    absl::MutexLock lock(&mutex_);
    used_bytes_ -= bytes;
  }

  // Refuses everybody from now on.
  void Close() {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
  }

 private:
  const uint64_t limit_bytes_;
  absl::Mutex mutex_;
  uint64_t used_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

// Acquired bytes, given back at the end of its life. Movable.
class ByteLease {
 public:
  ByteLease() = default;
  ByteLease(ByteBudget* budget, uint64_t bytes) : budget_(budget), bytes_(bytes) {}
  ByteLease(ByteLease&& other) noexcept : budget_(std::exchange(other.budget_, nullptr)), bytes_(other.bytes_) {}
  ByteLease& operator=(ByteLease&& other) noexcept {
    std::swap(budget_, other.budget_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~ByteLease() {
    if (budget_ != nullptr) budget_->Release(bytes_);
  }

 private:
  ByteBudget* budget_ = nullptr;
  uint64_t bytes_ = 0;
};

}  // namespace lastro::ingest
