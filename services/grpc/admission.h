// AdmissionGate: how many calls of one kind run at once and how many may wait for it; the rest is refused at once, so
// that a flood costs neither memory nor the calls that were there first. Tenants share both alike: who waits is let in
// when his tenant has the fewest calls running, and where no more may wait, the tenant with the most calls that wait
// makes room for one with fewer. Thread-safe.
//
// Only calls that enter the process pass a gate. What they do inside of it calls the components directly, so a call
// never waits for a permit while it holds one, and gates cannot deadlock.
#pragma once

#include <deque>
#include <map>
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
    Permit(AdmissionGate* gate, std::string tenant) : gate_(gate), tenant_(std::move(tenant)) {}
    Permit(Permit&& other) noexcept
        : gate_(std::exchange(other.gate_, nullptr)), tenant_(std::move(other.tenant_)) {}
    Permit& operator=(Permit&& other) noexcept {
      if (this != &other) {
        Return();
        gate_ = std::exchange(other.gate_, nullptr);
        tenant_ = std::move(other.tenant_);
      }
      return *this;
    }
    ~Permit() { Return(); }

   private:
    void Return() {
      if (AdmissionGate* gate = std::exchange(gate_, nullptr)) gate->Release(tenant_);
    }
    AdmissionGate* gate_ = nullptr;
    std::string tenant_;
  };

  // `what` opens the message of refusals, such as "questions". REQUIRES: max_running > 0, max_waiting >= 0.
  AdmissionGate(std::string what, int max_running, int max_waiting);

  // Waits, within a tenant in order of arrival. RESOURCE_EXHAUSTED when too many wait already, or when this call makes
  // room for another tenant's; CANCELLED or DEADLINE_EXCEEDED when `context` ends first.
  absl::StatusOr<Permit> Acquire(const CallContext& context);

  int max_calls() const { return max_running_ + max_waiting_; }
  int running() const;
  int waiting() const;

 private:
  struct Waiter {
    const std::string& tenant;
    absl::CondVar decided_signal;
    bool granted = false;
    bool refused = false;
    bool decided() const { return granted || refused; }
  };
  absl::Status Wait(const CallContext& context) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Refuses the newest waiter of the tenant with the most, if those are more than `tenant` would have; whether it did.
  bool MakeRoomFor(const std::string& tenant) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Release(const std::string& tenant);
  absl::Status Refusal() const;

  const std::string what_;
  const int max_running_;
  const int max_waiting_;
  mutable absl::Mutex mutex_;
  int running_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, int> running_of_ ABSL_GUARDED_BY(mutex_);  // by tenant, where there are any
  std::deque<Waiter*> waiters_ ABSL_GUARDED_BY(mutex_);  // oldest first
};

}  // namespace lastro::services
