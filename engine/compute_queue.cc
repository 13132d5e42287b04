#include "engine/compute_queue.h"

#include <algorithm>
#include <new>

#include "absl/time/time.h"
#include "base/status_macros.h"

namespace lastro::engine {
namespace {

// How often a waiting caller looks at its context.
constexpr absl::Duration kPollPeriod = absl::Milliseconds(20);

absl::Status RunStep(absl::FunctionRef<absl::Status()> step) {
  try {
    return step();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("out of memory while computing; send shorter or fewer texts");
  }
}

}  // namespace

ComputeQueue::ComputeQueue() : thread_([this] { Loop(); }) {}

ComputeQueue::~ComputeQueue() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    work_ready_.Signal();
  }
  thread_.join();
}

absl::Status ComputeQueue::Run(const CallContext& context, absl::FunctionRef<absl::Status()> step) {
  LASTRO_RETURN_IF_ERROR(context.Check());
  Task task{step, absl::OkStatus(), false, false, {}};
  absl::MutexLock lock(&mutex_);
  tasks_.push_back(&task);
  work_ready_.Signal();
  while (!task.done) {
    const bool timed_out = task.finished.WaitWithTimeout(&mutex_, kPollPeriod);
    if (!timed_out || task.started || task.done) continue;
    mutex_.Unlock();  // the context may call code that is not ours
    absl::Status ended = context.Check();
    mutex_.Lock();
    if (ended.ok() || task.started) continue;
    tasks_.erase(std::find(tasks_.begin(), tasks_.end(), &task));
    return ended;
  }
  return task.status;
}

void ComputeQueue::Loop() {
  mutex_.Lock();
  for (;;) {
    while (tasks_.empty() && !stopping_) work_ready_.Wait(&mutex_);
    if (tasks_.empty()) break;
    Task* task = tasks_.front();
    tasks_.pop_front();
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
