// Work on many rows by several threads, which live as long as the work and are nice: where an index is made. Searches
// start no threads, and whoever holds a lock that they wait for is not nice.
#pragma once

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <system_error>
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

// Runs work() on `threads` threads of its own, or as many as there can be, and waits for all. With none it runs on the
// caller's.
template <typename Work>
void OnThreads(int threads, const Work& work) {
  constexpr int kNiceness = 10;  // a tenth of the share of others that compute
  std::vector<std::thread> workers;
  for (int i = 0; i < threads; ++i) {
    try {
      workers.emplace_back([&work] {
        (void)setpriority(PRIO_PROCESS, 0, kNiceness);  // of this thread alone; without it, it only competes
        work();
      });
    } catch (const std::system_error&) {
      break;
    }
  }
  if (workers.empty()) work();
  for (std::thread& worker : workers) worker.join();
}

}  // namespace lastro::retrieval
