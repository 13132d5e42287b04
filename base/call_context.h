// CallContext: who asked, until when, and whether the caller still wants the answer. Passed by const reference down every
// path that may take long; each loop of work asks Check() once per step, so that a cancel is seen within one step.
//
// Copyable and cheap (shared state). Thread-safe. A default-constructed context never expires, is never cancelled, and
// sees all of the default tenant.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/scope.h"

namespace lastro {

// What goes first where calls compete for compute: somebody waits for an interactive call, nobody for one in the
// background, such as the ingestion of a folder.
enum class Priority { kInteractive, kBackground };

class CallContext {
 public:
  CallContext();

  // The context of a call that ends at `deadline`; `is_cancelled`, when given, is polled by Check() and must be
  // thread-safe for as long as any copy of the context lives.
  static CallContext Until(absl::Time deadline, std::function<bool()> is_cancelled = nullptr);

  // A copy whose deadline is the earlier of both; it shares the cancel flag.
  CallContext WithDeadline(absl::Time deadline) const;

  // A copy of another priority; it shares the cancel flag.
  CallContext WithPriority(Priority priority) const;

  // A copy of another caller's scope; it shares the cancel flag.
  CallContext WithScope(const Scope& scope) const;

  // Marks this context and all its copies as cancelled.
  void Cancel() const { state_->cancelled.store(true, std::memory_order_relaxed); }

  // OK, CANCELLED, or DEADLINE_EXCEEDED.
  absl::Status Check() const;

  absl::Time deadline() const { return deadline_; }
  Priority priority() const { return priority_; }
  const Scope& scope() const { return *scope_; }

 private:
  struct State {
    std::atomic<bool> cancelled{false};
    std::function<bool()> is_cancelled;  // const after construction
  };
  std::shared_ptr<State> state_;
  absl::Time deadline_ = absl::InfiniteFuture();
  Priority priority_ = Priority::kInteractive;
  std::shared_ptr<const Scope> scope_;
};

}  // namespace lastro
