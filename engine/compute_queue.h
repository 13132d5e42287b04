// ComputeQueue: one thread that runs steps of computation in the order they were asked for, those of background calls
// after those of interactive ones, but at least every fourth time. Hundreds of callers thus share one set of compute
// threads, and models interleave step by step (a step is the next tokens of the sessions of one,
// engine/step_scheduler.h, or one batch of texts), so that none waits for the whole of another. Thread-safe.
//
// Why a thread of its own and not a lock: steps run in strict order, a caller that gives up leaves the queue
// at once, and per-thread state of foreign libraries (OpenMP's team size) lives on a thread that is ours.
#pragma once

#include <deque>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "base/call_context.h"

namespace lastro::engine {

// The status of `step`; RESOURCE_EXHAUSTED when it runs out of memory.
absl::Status RunStep(absl::FunctionRef<absl::Status()> step);

class ComputeQueue {
 public:
  ComputeQueue() = default;  // the thread starts with the first step
  ~ComputeQueue();           // REQUIRES: no caller is inside Run
  ComputeQueue(const ComputeQueue&) = delete;
  ComputeQueue& operator=(const ComputeQueue&) = delete;

  // Runs `step` on the queue's thread and returns its status. CANCELLED or DEADLINE_EXCEEDED, without running it, when
  // `context` ends while the step waits. RESOURCE_EXHAUSTED when the step runs out of memory.
  absl::Status Run(const CallContext& context, absl::FunctionRef<absl::Status()> step);

  // Steps that wait, the running one not counted.
  int waiting() const {
    absl::MutexLock lock(&mutex_);
    return static_cast<int>(interactive_.size() + background_.size());
  }

 private:
  struct Task {
    absl::FunctionRef<absl::Status()> step;
    absl::Status status;
    bool started = false;
    bool done = false;
    absl::CondVar finished;
  };
  void Loop();
  std::deque<Task*>& QueueOf(const CallContext& context) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return context.priority() == Priority::kInteractive ? interactive_ : background_;
  }
  Task* TakeNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);  // null: there is none

  mutable absl::Mutex mutex_;
  absl::CondVar work_ready_;
  std::deque<Task*> interactive_ ABSL_GUARDED_BY(mutex_);
  std::deque<Task*> background_ ABSL_GUARDED_BY(mutex_);
  int passed_over_ ABSL_GUARDED_BY(mutex_) = 0;  // interactive steps since the first of background_ could have run
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace lastro::engine
