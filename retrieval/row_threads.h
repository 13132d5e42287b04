// Work on many rows by several threads, which live as long as the work. Used where an index is made; searches start no
// threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace lastro::retrieval {

// Rows [begin, end) in small pieces, each to the thread that is free. Thread-safe.
class RowPieces {
 public:
  RowPieces(size_t begin, size_t end) : next_(begin), end_(end) {}
  template <typename Body>
  void ForEach(const Body& body) {
    constexpr size_t kPiece = 64;
    for (size_t first; (first = next_.fetch_add(kPiece, std::memory_order_relaxed)) < end_;) {
      for (size_t row = first; row < std::min(first + kPiece, end_); ++row) body(static_cast<uint32_t>(row));
    }
  }

 private:
  std::atomic<size_t> next_;
  const size_t end_;
};

// Runs work() on `threads` threads, the caller's among them, and waits for all.
template <typename Work>
void OnThreads(int threads, const Work& work) {
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i) others.emplace_back([&work] { work(); });
  work();
  for (std::thread& thread : others) thread.join();
}

}  // namespace lastro::retrieval
