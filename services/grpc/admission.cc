#include "services/grpc/admission.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"

namespace lastro::services {
namespace {

// How soon a waiting call sees that its caller has gone.
constexpr absl::Duration kPollPeriod = absl::Milliseconds(50);

}  // namespace

AdmissionGate::AdmissionGate(std::string what, int max_running, int max_waiting)
    : what_(std::move(what)), max_running_(max_running), max_waiting_(max_waiting) {
  LASTRO_CHECK(max_running > 0 && max_waiting >= 0, what_);
}

absl::StatusOr<AdmissionGate::Permit> AdmissionGate::Acquire(const CallContext& context) {
  LASTRO_RETURN_IF_ERROR(context.Check());
  absl::MutexLock lock(&mutex_);
  if (running_ < max_running_) {
    ++running_;
    return Permit(this);
  }
  if (static_cast<int>(waiters_.size()) >= max_waiting_) return Refusal();
  LASTRO_RETURN_IF_ERROR(Wait(context));
  return Permit(this);
}

absl::Status AdmissionGate::Wait(const CallContext& context) {
  Waiter waiter;
  waiters_.push_back(&waiter);
  while (!waiter.granted) {
    waiter.granted_signal.WaitWithTimeout(&mutex_, kPollPeriod);
    if (waiter.granted) break;
    mutex_.Unlock();  // the context calls code that is not ours
    absl::Status ended = context.Check();
    mutex_.Lock();
    if (ended.ok() || waiter.granted) continue;
    waiters_.erase(std::find(waiters_.begin(), waiters_.end(), &waiter));
    return ended;
  }
  return absl::OkStatus();
}

// The permit goes straight to the oldest waiter, so running_ stays what it is.
void AdmissionGate::Release() {
  absl::MutexLock lock(&mutex_);
  if (waiters_.empty()) {
    --running_;
    return;
  }
  Waiter* next = waiters_.front();
  waiters_.pop_front();
  next->granted = true;
  next->granted_signal.Signal();
}

absl::Status AdmissionGate::Refusal() const {
  return absl::ResourceExhaustedError(absl::StrCat("too many ", what_, ": ", max_running_, " run and ", max_waiting_,
                                                   " wait already; retry with back-off"));
}

int AdmissionGate::running() const {
  absl::MutexLock lock(&mutex_);
  return running_;
}

int AdmissionGate::waiting() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<int>(waiters_.size());
}

}  // namespace lastro::services
