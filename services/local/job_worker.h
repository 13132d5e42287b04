// JobWorker: runs jobs of one kind, one after the other, on a thread of its own, and keeps what becomes of them in the
// store. Its destructor stops the running job, which stays unfinished in the store. Thread-safe.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/call_context.h"
#include "ingest/pipeline.h"
#include "lastro/v1/store.pb.h"
#include "retrieval/chunk_store.h"

namespace lastro::services {

bool HasEnded(retrieval::JobState state);

// Whoever asks for a job, in its stored request, both ways.
void SetScope(const Scope& scope, v1::FolderJob* job);
Scope ScopeOf(const v1::FolderJob& job);

class JobWorker {
 public:
  // A job, what it was asked, and the store as whoever asked sees it.
  struct Work {
    const retrieval::Job& job;
    const v1::FolderJob& asked;
    retrieval::ChunkStore& store;
  };
  // Does the job and stores its end. In the worker's thread, in the scope of whoever asked.
  using Run =
      std::function<absl::Status(const Work& work, const CallContext& context, const ingest::ProgressSink& progress)>;
  // Whether a job is of the worker's kind.
  using Takes = std::function<bool(const v1::FolderJob& asked)>;

  // `store` must outlive it. `resume`: goes on with the unfinished jobs that the store knows.
  JobWorker(retrieval::ChunkStore* store, bool resume, Takes takes, Run run);
  ~JobWorker();

  // Stores a job with its request and queues it. RESOURCE_EXHAUSTED when too many wait. `store`: as the caller sees it.
  absl::Status Add(retrieval::Job job, retrieval::ChunkStore& store);
  // The running job of this id as it stands, which is newer than in the store; none: it is not running here.
  std::optional<retrieval::Job> Running(const std::string& id);
  // Stops a running job, takes a waiting one out of the queue; the job as it is then; none: it is not here.
  absl::StatusOr<std::optional<retrieval::Job>> Cancel(const std::string& id, retrieval::ChunkStore& store);

 private:
  void Loop(bool resume);
  void QueueUnfinishedJobs();
  bool WaitUnlessStopping(absl::Duration duration);
  std::optional<retrieval::Job> NextJob();
  void RunJob(const retrieval::Job& job);
  // A job that a stop interrupted is unfinished, not cancelled: the next start goes on with it. One whose store went
  // away is tried again until the store is back.
  void AfterError(const retrieval::Job& job, const absl::Status& status, retrieval::ChunkStore& store);
  CallContext RunningContext();

  retrieval::ChunkStore& store_;
  const Takes takes_;
  const Run run_;

  absl::Mutex mutex_;
  std::deque<retrieval::Job> queue_ ABSL_GUARDED_BY(mutex_);
  std::optional<retrieval::Job> running_ ABSL_GUARDED_BY(mutex_);
  CallContext running_context_ ABSL_GUARDED_BY(mutex_);
  bool cancelled_by_caller_ ABSL_GUARDED_BY(mutex_) = false;  // the running job
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it uses everything above
};

}  // namespace lastro::services
