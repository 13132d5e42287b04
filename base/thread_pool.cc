#include "base/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

namespace lastro {
namespace {

// How often a thread looks before it sleeps: some 20 microseconds, longer than what lies between two loops of a model's
// step, and less than it takes to wake a thread.
constexpr int kSpins = 400;

// The loop in `state`: its number, whether it may be joined, and how many workers have joined it.
constexpr uint64_t kOneWorker = 1;
constexpr uint64_t kWorkers = 0xFFFF;
constexpr uint64_t kOpen = 0x10000;
constexpr uint64_t kOneLoop = 0x20000;
constexpr uint64_t NumberOf(uint64_t state) { return state / kOneLoop; }

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

struct ThreadPool::Impl {
  std::vector<std::thread> workers;
  std::mutex loop_mutex;  // one ParallelFor at a time
  std::atomic<uint64_t> state{0};
  std::atomic<bool> stopping{false};

  // Of the loop; written while it is not open and no worker is in it.
  const std::function<void(int64_t, int64_t)>* body = nullptr;
  int64_t count = 0, grain = 1;
  std::atomic<int64_t> next{0};

  void RunPieces() {
    for (;;) {
      const int64_t begin = next.fetch_add(grain, std::memory_order_relaxed);
      if (begin >= count) return;
      (*body)(begin, std::min(begin + grain, count));
    }
  }

  // Returns a state for which done(state).
  template <class Done>
  uint64_t Await(Done done) {
    for (int i = 0; i < kSpins; ++i) {
      const uint64_t now = state.load(std::memory_order_acquire);
      if (done(now)) return now;
      Pause();
    }
    for (;;) {
      const uint64_t now = state.load(std::memory_order_acquire);
      if (done(now)) return now;
      state.wait(now, std::memory_order_acquire);
    }
  }

  // False when the loop ended before.
  bool Join(uint64_t now) {
    while ((now & kOpen) != 0) {
      if (state.compare_exchange_weak(now, now + kOneWorker, std::memory_order_acq_rel)) return true;
    }
    return false;
  }

  void Leave() {
    const uint64_t left = state.fetch_sub(kOneWorker, std::memory_order_acq_rel) - kOneWorker;
    if ((left & (kOpen | kWorkers)) == 0) state.notify_all();
  }

  void WorkerLoop() {
    uint64_t last = 0;  // number of the loop that this worker has been in or missed
    for (;;) {
      const uint64_t now = Await([last](uint64_t s) { return NumberOf(s) != last; });
      if (stopping) return;
      last = NumberOf(now);
      if (!Join(now)) continue;
      last = NumberOf(state.load(std::memory_order_relaxed));  // it cannot change while this worker is in it
      RunPieces();
      Leave();
    }
  }

  // Lets the workers see a new loop.
  void Open() {
    state.store((NumberOf(state.load(std::memory_order_relaxed)) + 1) * kOneLoop | kOpen, std::memory_order_release);
    state.notify_all();
  }

  void Close() {
    state.fetch_and(~kOpen, std::memory_order_acq_rel);
    Await([](uint64_t s) { return (s & kWorkers) == 0; });
  }
};

ThreadPool::ThreadPool(int threads) : impl_(std::make_unique<Impl>()) {
  if (threads <= 0) threads = std::max(1u, std::thread::hardware_concurrency());
  for (int i = 1; i < threads; ++i) impl_->workers.emplace_back([this] { impl_->WorkerLoop(); });
}

ThreadPool::~ThreadPool() {
  impl_->stopping = true;
  impl_->Open();
  for (std::thread& worker : impl_->workers) worker.join();
}

int ThreadPool::threads() const { return static_cast<int>(impl_->workers.size()) + 1; }

void ThreadPool::ParallelFor(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body) {
  if (count <= 0) return;
  grain = std::max<int64_t>(grain, (count + threads() * kPiecesPerThread - 1) / (threads() * kPiecesPerThread));
  if (impl_->workers.empty() || count <= grain) return body(0, count);
  std::lock_guard loop_lock(impl_->loop_mutex);
  impl_->body = &body;
  impl_->count = count;
  impl_->grain = grain;
  impl_->next.store(0, std::memory_order_relaxed);
  impl_->Open();
  impl_->RunPieces();
  impl_->Close();
}

}  // namespace lastro
