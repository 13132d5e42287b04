#include "services/grpc/active_calls.h"

namespace lastro::services {

bool ActiveCall::Poll(absl::Time now) {
  absl::MutexLock lock(&mutex_);
  last_step_ = now;
  return server_ == nullptr || server_->IsCancelled();
}

void ActiveCall::Enter(State state, absl::Time now) {
  absl::MutexLock lock(&mutex_);
  state_ = state;
  last_step_ = now;
}

void ActiveCall::CancelStreamingSince(absl::Time limit) {
  absl::MutexLock lock(&mutex_);
  if (server_ != nullptr && state_ == State::kStreaming && last_step_ < limit) server_->TryCancel();
}

bool ActiveCall::RunningWithoutStepSince(absl::Time limit) const {
  absl::MutexLock lock(&mutex_);
  return computes_ && state_ == State::kRunning && last_step_ < limit;
}

void ActiveCall::End() {
  absl::MutexLock lock(&mutex_);
  server_ = nullptr;
}

void ActiveCalls::Add(std::shared_ptr<ActiveCall> call) {
  absl::MutexLock lock(&mutex_);
  calls_.insert(std::move(call));
}

void ActiveCalls::Remove(const std::shared_ptr<ActiveCall>& call, absl::Time now) {
  call->End();
  absl::MutexLock lock(&mutex_);
  calls_.erase(call);
  if (call->computes()) last_end_ = now;
}

int ActiveCalls::count() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<int>(calls_.size());
}

bool ActiveCalls::WaitUntilNone(absl::Time deadline) const {
  absl::MutexLock lock(&mutex_);
  auto none = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return calls_.empty(); };
  return mutex_.AwaitWithDeadline(absl::Condition(&none), deadline);
}

bool ActiveCalls::Alive(absl::Time now, absl::Duration patience) const {
  absl::MutexLock lock(&mutex_);
  if (last_end_ >= now - patience) return true;
  for (const auto& call : calls_) {
    if (call->RunningWithoutStepSince(now - patience)) return false;
  }
  return true;
}

void ActiveCalls::CancelStalledStreams(absl::Time now, absl::Duration patience) {
  absl::MutexLock lock(&mutex_);
  for (const auto& call : calls_) call->CancelStreamingSince(now - patience);
}

}  // namespace lastro::services
