// HugeArray: a growing array of numbers, aligned to cache lines, in huge pages where the system gives them: vectors are
// read at random places of hundreds of megabytes, where each small page costs a walk through the page table. Not
// thread-safe.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>

namespace lastro::retrieval {

template <typename T>
class HugeArray {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  HugeArray() = default;
  HugeArray(HugeArray&&) = default;
  HugeArray& operator=(HugeArray&&) = default;

  size_t size() const { return size_; }
  size_t capacity() const { return capacity_; }
  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  T& operator[](size_t i) { return data_.get()[i]; }
  const T& operator[](size_t i) const { return data_.get()[i]; }
  const T* begin() const { return data(); }
  const T* end() const { return data() + size_; }

  void Reserve(size_t capacity) {
    if (capacity <= capacity_) return;
    std::unique_ptr<T, Free> grown(Allocate(capacity * sizeof(T)));
    if (size_ > 0) std::memcpy(grown.get(), data(), size_ * sizeof(T));
    data_ = std::move(grown);
    capacity_ = capacity;
  }
  // What is new is not set.
  void Resize(size_t size) {
    if (size > capacity_) Reserve(std::max(size, capacity_ + capacity_ / 2));
    size_ = size;
  }
  void Append(const T* values, size_t count) {
    const size_t before = size_;
    Resize(before + count);
    if (count > 0) std::memcpy(data() + before, values, count * sizeof(T));
  }
  void Append(T value) { Append(&value, 1); }

 private:
  static constexpr size_t kCacheLine = 64;
  static constexpr size_t kHugePage = size_t{2} << 20;

  struct Free {
    void operator()(T* p) const { std::free(p); }
  };

  static T* Allocate(size_t bytes) {
    const size_t alignment = bytes >= kHugePage ? kHugePage : kCacheLine;
    bytes = (bytes + alignment - 1) / alignment * alignment;
    void* memory = std::aligned_alloc(alignment, bytes);
    if (memory == nullptr) throw std::bad_alloc();
    if (alignment == kHugePage) madvise(memory, bytes, MADV_HUGEPAGE);  // advice: small pages will do
    return static_cast<T*>(memory);
  }

  std::unique_ptr<T, Free> data_;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

}  // namespace lastro::retrieval
