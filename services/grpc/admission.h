// AdmissionGate: how many calls of one kind run at once and how many may wait for it; the rest is refused at once, so
// that a flood costs neither memory nor the calls that were there first. Thread-safe.
//
// Only calls that enter the process pass a gate. What they do inside of it calls the components directly, so a call
// never waits for a permit while it holds one, and gates cannot deadlock.
#pragma once

#include <deque>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/call_context.h"

namespace lastro::services {

class AdmissionGate {
 public:
  // The right to run, given back when destroyed. Movable. Must not outlive its gate.
  class Permit {
   public:
    Permit() = default;
    explicit Permit(AdmissionGate* gate) : gate_(gate) {}
    Permit(Permit&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)) {}
    Permit& operator=(Permit&& other) noexcept {
      if (this != &other) {
        Return();
        gate_ = std::exchange(other.gate_, nullptr);
      }
      return *this;
    }
    ~Permit() { Return(); }

   private:
    void Return() {
      if (AdmissionGate* gate = std::exchange(gate_, nullptr)) gate->Release();
    }
    AdmissionGate* gate_ = nullptr;
  };

  // `what` opens the message of refusals, such as "questions". REQUIRES: max_running > 0, max_waiting >= 0.
  AdmissionGate(std::string what, int max_running, int max_waiting);

  // Waits in order of arrival. RESOURCE_EXHAUSTED at once when too many wait already; CANCELLED or DEADLINE_EXCEEDED
  // when `context` ends first.
  absl::StatusOr<Permit> Acquire(const CallContext& context);

  int max_calls() const { return max_running_ + max_waiting_; }
  int running() const;
  int waiting() const;

 private:
  struct Waiter {
    absl::CondVar granted_signal;
    bool granted = false;
  };
  absl::Status Wait(const CallContext& context) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Release();
  absl::Status Refusal() const;

  const std::string what_;
  const int max_running_;
  const int max_waiting_;
  mutable absl::Mutex mutex_;
  int running_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<Waiter*> waiters_ ABSL_GUARDED_BY(mutex_);  // oldest first
};

}  // namespace lastro::services
