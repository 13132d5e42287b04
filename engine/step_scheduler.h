// StepScheduler: continuous batching (Yu et al. 2022, "Orca"). What the callers of one model's sessions ask for at the
// same time runs in common steps of the backend's queue: each step takes the decoding sessions first, then prompts in
// pieces, up to a budget of tokens, which beside decoding is as small as it must be for steps of not much more time
// than decoding alone takes. Interactive calls go before those in the background; of each, the tenant that got the
// fewest tokens, and within a tenant whoever is due first: when as many tokens have been computed since it came as it
// has itself. So prompts of one length end one after the other rather than all at the end, a short one does not wait
// for a long one that came shortly before, and a long one waits for no more than its own length of what came later.
// Decoding, prompts and the background each have a share of every step.
//
// There is no thread of its own: one of the waiting callers asks the queue for the next step on behalf of all.
// Thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/call_context.h"
#include "engine/decoder_step.h"
#include "engine/prompt_share.h"

namespace lastro::engine {

class StepScheduler {
 public:
  // `core` must outlive the object.
  explicit StepScheduler(const DecoderCore& core) : core_(core) {}

  // Runs all requests to their end and sets their status, as Step (engine/decoder_model.h) says.
  void Run(absl::Span<StepRequest> requests, const CallContext& context);

  // Called where a session ends: its thread is not waited for any more.
  void EndSession();

  // How many sessions the last step extended; 0 before the first.
  int step_sessions() const;

 private:
  // A request on its way; guarded by mutex_.
  struct Job {
    CachedSession* session = nullptr;
    StepRequest* request = nullptr;
    const CallContext* context = nullptr;
    std::thread::id caller;
    int64_t due = 0;      // of taken_
    size_t computed = 0;  // tokens of the request
    bool done = false;
    size_t left() const { return request->tokens.size() - computed; }
    bool Is(bool decoding, Priority priority) const;
  };

  // Checks the request and makes room for its logits; false when it has ended with that.
  bool Start(StepRequest& request, const CallContext& context, Job* job) const;
  void Lead(absl::Span<Job> mine, const CallContext& context) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Follow(absl::Span<Job> mine, const CallContext& context) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AwaitReturns() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status RunOne();
  std::vector<StepPart> TakeParts() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void MeasureStep(absl::Span<const StepPart> parts) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeWaiting(bool decoding, Priority priority, size_t* budget, std::vector<StepPart>* parts)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Those of this kind that wait, in the order they are taken in.
  std::vector<Job*> InTurn(bool decoding, Priority priority) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Tenants come and go: one that comes begins with what the one with the fewest tokens has.
  void CountTenants() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool AnyWaiting(bool decoding, Priority priority) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  StepPart PartOf(const Job& job, size_t tokens) const;
  void FinishParts(absl::Span<const StepPart> parts) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void End(Job* job, const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Those that wait end with `status`.
  void Leave(absl::Span<Job> mine, const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const DecoderCore& core_;
  mutable absl::Mutex mutex_;
  absl::CondVar changed_;  // a step ended, or nobody leads
  absl::CondVar returned_;
  bool led_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<Job*> waiting_ ABSL_GUARDED_BY(mutex_);
  std::vector<Job*> running_ ABSL_GUARDED_BY(mutex_);              // in the current step
  int64_t taken_ ABSL_GUARDED_BY(mutex_) = 0;                      // tokens that steps have taken
  std::map<std::string, int64_t> served_ ABSL_GUARDED_BY(mutex_);  // tokens of each tenant that waits
  // Callers whose requests the last step ended, and whether they decode: they are likely to come back at once, with the
  // next token.
  std::map<std::thread::id, bool> expected_ ABSL_GUARDED_BY(mutex_);
  absl::Duration last_step_ ABSL_GUARDED_BY(mutex_);
  PromptShare share_ ABSL_GUARDED_BY(mutex_);
  int step_sessions_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace lastro::engine
