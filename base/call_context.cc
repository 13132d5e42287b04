#include "base/call_context.h"

#include <algorithm>

namespace lastro {

namespace {

const std::shared_ptr<const Scope>& DefaultScope() {
  static const auto* const scope = new std::shared_ptr<const Scope>(std::make_shared<Scope>());
  return *scope;
}

}  // namespace

CallContext::CallContext() : state_(std::make_shared<State>()), scope_(DefaultScope()) {}

CallContext CallContext::Until(absl::Time deadline, std::function<bool()> is_cancelled) {
  CallContext context;
  context.deadline_ = deadline;
  context.state_->is_cancelled = std::move(is_cancelled);
  return context;
}

CallContext CallContext::WithDeadline(absl::Time deadline) const {
  CallContext context = *this;
  context.deadline_ = std::min(deadline_, deadline);
  return context;
}

CallContext CallContext::WithPriority(Priority priority) const {
  CallContext context = *this;
  context.priority_ = priority;
  return context;
}

CallContext CallContext::WithScope(const Scope& scope) const {
  CallContext context = *this;
  context.scope_ = std::make_shared<Scope>(scope);
  return context;
}

absl::Status CallContext::Check() const {
  if (state_->cancelled.load(std::memory_order_relaxed) || (state_->is_cancelled && state_->is_cancelled())) {
    return absl::CancelledError("the caller cancelled the call");
  }
  if (deadline_ != absl::InfiniteFuture() && absl::Now() >= deadline_) {
    return absl::DeadlineExceededError("the call's deadline has passed");
  }
  return absl::OkStatus();
}

}  // namespace lastro
