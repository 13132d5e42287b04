#include "base/call_context.h"

#include <algorithm>

namespace lastro {

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
