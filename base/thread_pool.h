// ThreadPool: a fixed number of workers that run ParallelFor loops. Thread-safe. Kernels share one pool per process
// (see engine/), so that the machine is never oversubscribed. A worker looks for the next loop a short while before it
// sleeps, and a loop does not wait for workers that have not come by its end.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace lastro {

class ThreadPool {
 public:
  // `threads` counts the calling thread too: with 1 no worker is started and loops run inline. 0 means one per core.
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const;

  // Calls body(begin, end) on disjoint ranges that cover [0, count), in pieces of at least `grain`, about
  // kPiecesPerThread for each thread, on the workers and the calling thread; returns when all are done. `body` must not
  // throw. May be called from several threads at once: the loops then run one after the other.
  void ParallelFor(int64_t count, int64_t grain, const std::function<void(int64_t begin, int64_t end)>& body);

  static constexpr int kPiecesPerThread = 8;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lastro
