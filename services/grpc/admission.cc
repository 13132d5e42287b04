#include "services/grpc/admission.h"

#include <algorithm>
#include <iterator>

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
  const std::string& tenant = context.scope().tenant;
  absl::MutexLock lock(&mutex_);
  if (running_ < max_running_) {
    ++running_;
    ++running_of_[tenant];
    return Permit(this, tenant);
  }
  if (static_cast<int>(waiters_.size()) >= max_waiting_ && !MakeRoomFor(tenant)) return Refusal();
  LASTRO_RETURN_IF_ERROR(Wait(context));
  return Permit(this, tenant);
}

bool AdmissionGate::MakeRoomFor(const std::string& tenant) {
  std::map<std::string, int> waiting_of;
  for (const Waiter* waiter : waiters_) ++waiting_of[waiter->tenant];
  auto fewer = [](const auto& left, const auto& right) { return left.second < right.second; };
  const auto most = std::max_element(waiting_of.begin(), waiting_of.end(), fewer);
  if (most == waiting_of.end() || most->second <= waiting_of[tenant] + 1) return false;
  const auto newest = std::find_if(waiters_.rbegin(), waiters_.rend(),
                                   [&](const Waiter* waiter) { return waiter->tenant == most->first; });
  (*newest)->refused = true;
  (*newest)->decided_signal.Signal();
  waiters_.erase(std::next(newest).base());
  return true;
}

absl::Status AdmissionGate::Wait(const CallContext& context) {
  Waiter waiter{.tenant = context.scope().tenant};
  waiters_.push_back(&waiter);
  while (!waiter.decided()) {
    waiter.decided_signal.WaitWithTimeout(&mutex_, kPollPeriod);
    if (waiter.decided()) break;
    mutex_.Unlock();  // the context calls code that is not ours
    absl::Status ended = context.Check();
    mutex_.Lock();
    if (ended.ok() || waiter.decided()) continue;
    waiters_.erase(std::find(waiters_.begin(), waiters_.end(), &waiter));
    return ended;
  }
  return waiter.granted ? absl::OkStatus() : Refusal();
}

// The permit goes straight to a waiter, so running_ stays what it is.
void AdmissionGate::Release(const std::string& tenant) {
  absl::MutexLock lock(&mutex_);
  if (auto running = running_of_.find(tenant); --running->second == 0) running_of_.erase(running);
  if (waiters_.empty()) {
    --running_;
    return;
  }
  auto running = [&](const Waiter* waiter) {
    auto found = running_of_.find(waiter->tenant);
    return found == running_of_.end() ? 0 : found->second;
  };
  const auto next = std::min_element(waiters_.begin(), waiters_.end(), [&](const Waiter* left, const Waiter* right) {
    return running(left) < running(right);
  });  // the oldest of several
  Waiter* chosen = *next;
  waiters_.erase(next);
  ++running_of_[chosen->tenant];
  chosen->granted = true;
  chosen->decided_signal.Signal();
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
