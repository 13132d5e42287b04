#include "engine/compute_queue.h"

#include <algorithm>
#include <new>
#include <utility>

#include "absl/time/time.h"
#include "base/status_macros.h"

namespace lastro::engine {
namespace {

// How often a waiting caller looks at its context.
constexpr absl::Duration kPollPeriod = absl::Milliseconds(20);

// Interactive steps for one of the background, where both wait.
constexpr int kInteractiveSteps = 3;

}  // namespace

absl::Status RunStep(absl::FunctionRef<absl::Status()> step) {
  try {
    return step();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("out of memory while computing; send shorter or fewer texts");
  }
}

ComputeQueue::~ComputeQueue() {
  std::thread thread;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    work_ready_.Signal();
    thread = std::move(thread_);
  }
  if (thread.joinable()) thread.join();
}

absl::Status ComputeQueue::Run(const CallContext& context, absl::FunctionRef<absl::Status()> step) {
  LASTRO_RETURN_IF_ERROR(context.Check());
  Task task{step, absl::OkStatus(), false, false, {}};
  absl::MutexLock lock(&mutex_);
  std::deque<Task*>& queue = QueueOf(context);
  queue.push_back(&task);
  if (!thread_.joinable()) thread_ = std::thread([this] { Loop(); });
  work_ready_.Signal();
  while (!task.done) {
    const bool timed_out = task.finished.WaitWithTimeout(&mutex_, kPollPeriod);
    if (!timed_out || task.started || task.done) continue;
    mutex_.Unlock();  // the context may call code that is not ours
    absl::Status ended = context.Check();
    mutex_.Lock();
    if (ended.ok() || task.started) continue;
    queue.erase(std::find(queue.begin(), queue.end(), &task));
    return ended;
  }
  return task.status;
}

ComputeQueue::Task* ComputeQueue::TakeNext() {
  const bool both = !interactive_.empty() && !background_.empty();
  std::deque<Task*>& queue =
      interactive_.empty() || (both && passed_over_ == kInteractiveSteps) ? background_ : interactive_;
  passed_over_ = both && &queue == &interactive_ ? passed_over_ + 1 : 0;
  if (queue.empty()) return nullptr;
  Task* task = queue.front();
  queue.pop_front();
  return task;
}

void ComputeQueue::Loop() {
  mutex_.Lock();
  for (;;) {
    Task* task = TakeNext();
    if (task == nullptr) {
      if (stopping_) break;
      work_ready_.Wait(&mutex_);
      continue;
    }
    task->started = true;
    mutex_.Unlock();
    absl::Status status = RunStep(task->step);
    mutex_.Lock();
    task->status = std::move(status);
    task->done = true;
    task->finished.Signal();
  }
  mutex_.Unlock();
}

}  // namespace lastro::engine
