// The calls that a server is working on, and what they tell about its health: a call that runs asks its CallContext
// once a step, so one that has not asked for a long time is stuck in a step. Thread-safe.
#pragma once

#include <memory>
#include <set>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "grpcpp/server_context.h"

namespace lastro::services {

// One call. Lives as long as any copy of its CallContext, which may be longer than its ServerContext.
class ActiveCall {
 public:
  enum class State {
    kWaiting,  // for a permit
    kRunning,
    kStreaming,  // in a read from or a write to the peer, which may be slow
  };

  // `computes`: it uses a model, so that its steps and its end tell whether computation goes on.
  ActiveCall(grpc::ServerContext* server, bool computes) : computes_(computes), server_(server) {}

  bool computes() const { return computes_; }

  // The call goes on: true when the peer has cancelled it or it has ended.
  bool Poll(absl::Time now = absl::Now());
  void Enter(State state, absl::Time now = absl::Now());
  // Cancels the call when it has been kStreaming since before `limit`.
  void CancelStreamingSince(absl::Time limit);
  bool RunningWithoutStepSince(absl::Time limit) const;
  // The ServerContext is not touched any more.
  void End();

 private:
  const bool computes_;
  mutable absl::Mutex mutex_;
  grpc::ServerContext* server_ ABSL_GUARDED_BY(mutex_);
  State state_ ABSL_GUARDED_BY(mutex_) = State::kWaiting;
  absl::Time last_step_ ABSL_GUARDED_BY(mutex_) = absl::Now();
};

class ActiveCalls {
 public:
  void Add(std::shared_ptr<ActiveCall> call);
  void Remove(const std::shared_ptr<ActiveCall>& call, absl::Time now = absl::Now());

  int count() const;
  // True when no call is left; false when `deadline` came first.
  bool WaitUntilNone(absl::Time deadline) const;

  // False when a call that computes has made no step, and none has ended, for longer than `patience`.
  bool Alive(absl::Time now, absl::Duration patience) const;
  // Cancels calls whose peer neither reads nor writes for longer than `patience`.
  void CancelStalledStreams(absl::Time now, absl::Duration patience);

 private:
  mutable absl::Mutex mutex_;
  std::set<std::shared_ptr<ActiveCall>> calls_ ABSL_GUARDED_BY(mutex_);
  absl::Time last_end_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

}  // namespace lastro::services
