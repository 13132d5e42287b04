#include "tests/cuda_emulator/emulator.h"

#include <boost/context/fiber.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <random>
#include <utility>
#include <vector>

thread_local cuda_emulator::Index3 blockIdx, blockDim, gridDim;

namespace cuda_emulator {

thread_local const Thread* current_thread = nullptr;

namespace {

constexpr int kWarp = 32;
constexpr size_t kStackBytes = 128 * 1024;

[[noreturn]] void Fail(const char* message) {
  std::fprintf(stderr, "cuda_emulator: %s (block %u %u %u)\n", message, blockIdx.x, blockIdx.y, blockIdx.z);
  std::abort();
}

enum class State { kIdle, kReady, kAtBlockBarrier, kAtWarpBarrier };

struct Warp {
  unsigned alive = 0;    // lanes that have not returned
  unsigned waiting = 0;  // lanes at the barrier
  unsigned wanted = 0;   // lanes that the barrier waits for
  Slot slots[2][kWarp];
};

// A thread of the current block; its fiber lives on and runs that thread of every later block.
struct Worker {
  Thread thread;
  State state = State::kIdle;
  bool may_go_on = true;  // awaited the kernel ahead, where it has to
  int parity = 0;         // of the next exchange: a thread can be one exchange ahead of its warp at most
  boost::context::fiber fiber, scheduler;
};

class Machine {
 public:
  void Run(Index3 grid, Index3 block, size_t shared_bytes, bool overlaps, const std::function<void()>& body) {
    const size_t threads = size_t{block.x} * block.y * block.z;
    if (threads == 0 || threads > kMaxThreads || threads % kWarp != 0) Fail("a block must be 1 to 32 whole warps");
    body_ = &body;
    overlaps_ = overlaps;
    gridDim = grid;
    blockDim = block;
    while (workers_.size() < threads) AddWorker();
    warps_.resize(threads / kWarp);
    shared_.resize(shared_bytes + kSharedAlignment);
    for (unsigned z = 0; z < grid.z; ++z) {
      for (unsigned y = 0; y < grid.y; ++y) {
        for (unsigned x = 0; x < grid.x; ++x) {
          blockIdx = {x, y, z};
          RunBlock(threads);
        }
      }
    }
  }

  void AwaitPriorKernel() { Self().may_go_on = true; }

  uint8_t* shared() {
    CheckAwaited();
    const uintptr_t at = reinterpret_cast<uintptr_t>(shared_.data());
    return shared_.data() + (kSharedAlignment - at % kSharedAlignment) % kSharedAlignment;
  }

  void SyncBlock() {
    CheckAwaited();
    Worker& self = Self();
    self.state = State::kAtBlockBarrier;
    ++at_block_barrier_;
    ReleaseBlock();
    Wait(&self);
  }

  void SyncWarp(unsigned mask) {
    CheckAwaited();
    Worker& self = Self();
    Warp& warp = warps_[self.thread.warp];
    const unsigned bit = 1u << self.thread.lane;
    if ((mask & bit) == 0) Fail("a thread synchronises a mask that it is not in");
    if (warp.waiting != 0 && warp.wanted != mask) Fail("threads of a warp synchronise different masks");
    warp.wanted = mask;
    warp.waiting |= bit;
    self.state = State::kAtWarpBarrier;
    ReleaseWarp(self.thread.warp);
    Wait(&self);
  }

  const Slot* Exchange(unsigned mask, const void* value, size_t bytes) {
    if (bytes > kSlotBytes) Fail("an exchange of too many bytes");
    Worker& self = Self();
    Slot* slots = warps_[self.thread.warp].slots[self.parity];
    self.parity ^= 1;
    std::memcpy(slots[self.thread.lane].bytes, value, bytes);
    SyncWarp(mask);
    return slots;
  }

 private:
  static constexpr size_t kSharedAlignment = 128;

  void AddWorker() {
    workers_.push_back(std::make_unique<Worker>());
    Worker* worker = workers_.back().get();
    worker->fiber = boost::context::fiber(std::allocator_arg, boost::context::fixedsize_stack(kStackBytes),
                                          [this, worker](boost::context::fiber&& scheduler) {
                                            worker->scheduler = std::move(scheduler);
                                            for (;;) {
                                              (*body_)();
                                              Finish(worker);
                                              worker->scheduler = std::move(worker->scheduler).resume();
                                            }
                                            return boost::context::fiber();
                                          });
  }

  void StartBlock(size_t threads) {
    for (size_t t = 0; t < threads; ++t) {
      Worker& worker = *workers_[t];
      const unsigned i = static_cast<unsigned>(t), plane = blockDim.x * blockDim.y;
      worker.thread = {{i % blockDim.x, i % plane / blockDim.x, i / plane},
                       static_cast<int>(t % kWarp),
                       static_cast<int>(t / kWarp)};
      worker.state = State::kReady;
      worker.may_go_on = !overlaps_;
      worker.parity = 0;
    }
    for (Warp& warp : warps_) warp.alive = ~0u, warp.waiting = 0;
    alive_ = threads;
    at_block_barrier_ = 0;
    std::memset(shared_.data(), 0xff, shared_.size());
  }

  void RunBlock(size_t threads) {
    StartBlock(threads);
    while (alive_ > 0) {
      bool progress = false;
      const size_t first = random_() % threads;
      const bool forwards = random_() % 2 == 0;
      for (size_t i = 0; i < threads; ++i) {
        Worker& worker = *workers_[(first + (forwards ? i : threads - i)) % threads];
        if (worker.state != State::kReady) continue;
        progress = true;
        current_thread = &worker.thread;
        running_ = &worker;
        worker.fiber = std::move(worker.fiber).resume();
      }
      if (!progress) Fail("some threads wait at a barrier that the others do not reach");
    }
  }

  Worker& Self() { return *running_; }

  void CheckAwaited() {
    if (!Self().may_go_on) Fail("a kernel that overlaps the one ahead does not await it first");
  }

  void Wait(Worker* self) {
    if (self->state == State::kReady) return;
    self->scheduler = std::move(self->scheduler).resume();
  }

  void Finish(Worker* worker) {
    CheckAwaited();
    worker->state = State::kIdle;
    --alive_;
    warps_[worker->thread.warp].alive &= ~(1u << worker->thread.lane);
    ReleaseBlock();
    ReleaseWarp(worker->thread.warp);
  }

  void ReleaseBlock() {
    if (at_block_barrier_ == 0 || at_block_barrier_ < alive_) return;
    at_block_barrier_ = 0;
    for (auto& worker : workers_) {
      if (worker->state == State::kAtBlockBarrier) worker->state = State::kReady;
    }
  }

  void ReleaseWarp(int index) {
    Warp& warp = warps_[index];
    if (warp.waiting == 0 || (warp.wanted & warp.alive & ~warp.waiting) != 0) return;
    warp.waiting = 0;
    for (int lane = 0; lane < kWarp; ++lane) {
      Worker& worker = *workers_[index * kWarp + lane];
      if (worker.state == State::kAtWarpBarrier) worker.state = State::kReady;
    }
  }

  const std::function<void()>* body_ = nullptr;
  bool overlaps_ = false;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<Warp> warps_;
  std::vector<uint8_t> shared_;
  size_t alive_ = 0;
  size_t at_block_barrier_ = 0;
  Worker* running_ = nullptr;
  std::minstd_rand random_;
};

// Kernels' __shared__ variables are static, so that one launch runs at a time whatever the thread. Never destroyed:
// its fibers do not end.
std::mutex launch_mutex;
thread_local Machine* machine = nullptr;

}  // namespace

void Run(Index3 grid, Index3 block, size_t shared_bytes, bool overlaps, const std::function<void()>& body) {
  std::lock_guard<std::mutex> lock(launch_mutex);
  if (machine == nullptr) machine = new Machine;
  machine->Run(grid, block, shared_bytes, overlaps, body);
}

void AwaitPriorKernel() { machine->AwaitPriorKernel(); }
uint8_t* DynamicShared() { return machine->shared(); }
void SyncBlock() { machine->SyncBlock(); }
void SyncWarp(unsigned mask) { machine->SyncWarp(mask); }
const Slot* Exchange(unsigned mask, const void* value, size_t bytes) { return machine->Exchange(mask, value, bytes); }

}  // namespace cuda_emulator
