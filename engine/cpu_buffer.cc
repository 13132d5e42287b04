#include "engine/cpu_buffer.h"

#include <sys/mman.h>

#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace lastro::engine {
namespace {

constexpr int64_t kAlignment = 64;
constexpr int64_t kMapFrom = 1 << 20;  // bytes from which memory is mapped directly

}  // namespace

absl::StatusOr<CpuMemory> CpuMemory::Allocate(int64_t bytes) {
  LASTRO_CHECK(bytes >= 0);
  CpuMemory memory;
  if (bytes == 0) return memory;
  if (bytes > INT64_MAX - kAlignment) return absl::ResourceExhaustedError("a buffer larger than memory can be");
  if (bytes >= kMapFrom) {
    void* data = mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memory.data_ = data == MAP_FAILED ? nullptr : data;
  } else {
    memory.data_ =
        std::aligned_alloc(kAlignment, static_cast<size_t>((bytes + kAlignment - 1) / kAlignment * kAlignment));
  }
  if (memory.data_ == nullptr) {
    return absl::ResourceExhaustedError(absl::StrCat("cannot allocate ", bytes, " bytes of memory"));
  }
  memory.bytes_ = bytes;
  return memory;
}

CpuMemory::CpuMemory(CpuMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

CpuMemory& CpuMemory::operator=(CpuMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

CpuMemory::~CpuMemory() {
  if (data_ == nullptr) return;
  if (bytes_ >= kMapFrom) {
    munmap(data_, static_cast<size_t>(bytes_));
  } else {
    std::free(data_);
  }
}

}  // namespace lastro::engine
