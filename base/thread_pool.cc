#include "base/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace lastro {

struct ThreadPool::Impl {
  std::vector<std::thread> workers;
  std::mutex loop_mutex;  // one ParallelFor at a time

  std::mutex mutex;  // guards the fields below, except that `next` is taken atomically while a loop runs
  std::condition_variable work_ready, work_done;
  uint64_t generation = 0;
  bool stopping = false;
  int running = 0;
  const std::function<void(int64_t, int64_t)>* body = nullptr;
  int64_t count = 0, grain = 1;
  std::atomic<int64_t> next{0};

  void RunPieces() {
    for (;;) {
      int64_t begin = next.fetch_add(grain);
      if (begin >= count) return;
      (*body)(begin, std::min(begin + grain, count));
    }
  }

  void WorkerLoop() {
    uint64_t seen = 0;
    std::unique_lock lock(mutex);
    for (;;) {
      work_ready.wait(lock, [&] { return stopping || generation != seen; });
      if (stopping) return;
      seen = generation;
      lock.unlock();
      RunPieces();
      lock.lock();
      if (--running == 0) work_done.notify_one();
    }
  }
};

ThreadPool::ThreadPool(int threads) : impl_(std::make_unique<Impl>()) {
  if (threads <= 0) threads = std::max(1u, std::thread::hardware_concurrency());
  for (int i = 1; i < threads; ++i) impl_->workers.emplace_back([this] { impl_->WorkerLoop(); });
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  impl_->work_ready.notify_all();
  for (std::thread& worker : impl_->workers) worker.join();
}

int ThreadPool::threads() const { return static_cast<int>(impl_->workers.size()) + 1; }

void ThreadPool::ParallelFor(int64_t count, int64_t grain,
                             const std::function<void(int64_t, int64_t)>& body) {
  if (count <= 0) return;
  grain = std::max<int64_t>(grain, (count + threads() * 4 - 1) / (threads() * 4));
  if (impl_->workers.empty() || count <= grain) return body(0, count);
  std::lock_guard loop_lock(impl_->loop_mutex);
  {
    std::lock_guard lock(impl_->mutex);
    impl_->body = &body;
    impl_->count = count;
    impl_->grain = grain;
    impl_->next = 0;
    impl_->running = static_cast<int>(impl_->workers.size());
    ++impl_->generation;
  }
  impl_->work_ready.notify_all();
  impl_->RunPieces();
  std::unique_lock lock(impl_->mutex);
  impl_->work_done.wait(lock, [&] { return impl_->running == 0; });
}

}  // namespace lastro
