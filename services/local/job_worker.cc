#include "services/local/job_worker.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace lastro::services {
namespace {

constexpr size_t kMaxQueuedJobs = 100;
constexpr absl::Duration kStoreRetryInterval = absl::Seconds(1);

void EndAsFailed(retrieval::Job job, const absl::Status& status, retrieval::ChunkStore& store) {
  job.state = retrieval::JobState::kFailed;
  job.error = std::string(status.message());
  job.updated_at = absl::Now();
  (void)store.PutJob(job);
}

}  // namespace

bool HasEnded(retrieval::JobState state) {
  return state != retrieval::JobState::kQueued && state != retrieval::JobState::kRunning;
}

void SetScope(const Scope& scope, v1::FolderJob* job) {
  job->set_tenant(scope.tenant);
  job->set_some_labels(!scope.all_labels);
  *job->mutable_labels() = {scope.labels.begin(), scope.labels.end()};
}

Scope ScopeOf(const v1::FolderJob& job) {
  Scope scope;
  scope.tenant = job.tenant();
  scope.all_labels = !job.some_labels();
  scope.labels = {job.labels().begin(), job.labels().end()};
  return scope;
}

JobWorker::JobWorker(retrieval::ChunkStore* store, bool resume, Takes takes, Run run)
    : store_(*store), takes_(std::move(takes)), run_(std::move(run)), thread_([this, resume] { Loop(resume); }) {}

JobWorker::~JobWorker() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    running_context_.Cancel();
  }
  thread_.join();
}

absl::Status JobWorker::Add(retrieval::Job job, retrieval::ChunkStore& store) {
  absl::MutexLock lock(&mutex_);
  if (queue_.size() >= kMaxQueuedJobs) {
    return absl::ResourceExhaustedError(absl::StrCat(queue_.size(), " jobs are waiting; try again later"));
  }
  LASTRO_RETURN_IF_ERROR(store.PutJob(job));
  queue_.push_back(std::move(job));
  return absl::OkStatus();
}

std::optional<retrieval::Job> JobWorker::Running(const std::string& id) {
  absl::MutexLock lock(&mutex_);
  return running_ && running_->id == id ? running_ : std::nullopt;
}

absl::StatusOr<std::optional<retrieval::Job>> JobWorker::Cancel(const std::string& id, retrieval::ChunkStore& store) {
  absl::MutexLock lock(&mutex_);
  if (running_ && running_->id == id) {
    cancelled_by_caller_ = true;
    running_context_.Cancel();
    return running_;
  }
  for (auto queued = queue_.begin(); queued != queue_.end(); ++queued) {
    if (queued->id != id) continue;
    queued->state = retrieval::JobState::kCancelled;
    LASTRO_RETURN_IF_ERROR(store.PutJob(*queued));
    std::optional<retrieval::Job> cancelled = std::move(*queued);
    queue_.erase(queued);
    return cancelled;
  }
  return std::optional<retrieval::Job>();
}

// --- The worker's thread.

void JobWorker::Loop(bool resume) {
  if (resume) QueueUnfinishedJobs();
  while (std::optional<retrieval::Job> job = NextJob()) RunJob(*job);
}

void JobWorker::QueueUnfinishedJobs() {
  absl::StatusOr<std::vector<retrieval::Job>> jobs = store_.ListJobs();
  while (!jobs.ok() && WaitUnlessStopping(kStoreRetryInterval)) jobs = store_.ListJobs();  // a store that starts later
  if (!jobs.ok()) return;
  absl::MutexLock lock(&mutex_);
  for (retrieval::Job& job : *jobs) {  // newest first
    v1::FolderJob asked;
    (void)asked.ParseFromString(job.request);  // what is damaged is a folder job, and fails as one
    bool known = running_ && running_->id == job.id;
    for (const retrieval::Job& queued : queue_) known = known || queued.id == job.id;
    if (HasEnded(job.state) || known || !takes_(asked)) continue;
    // The operator's list names collections "tenant/name"; the job knows its tenant.
    job.collection.erase(0, job.collection.rfind('/') + 1);
    queue_.push_front(std::move(job));
  }
}

bool JobWorker::WaitUnlessStopping(absl::Duration duration) {
  absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(&stopping_), duration);
  return !stopping_;
}

std::optional<retrieval::Job> JobWorker::NextJob() {
  absl::MutexLock lock(&mutex_);
  auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopping_ || !queue_.empty(); };
  mutex_.Await(absl::Condition(&ready));
  if (stopping_) return std::nullopt;
  running_ = std::move(queue_.front());
  queue_.pop_front();
  running_context_ = CallContext().WithPriority(Priority::kBackground);
  cancelled_by_caller_ = false;
  return running_;
}

void JobWorker::RunJob(const retrieval::Job& job) {
  v1::FolderJob asked;
  absl::Status status;
  if (!asked.ParseFromString(job.request)) status = absl::DataLossError("the stored request of the job is damaged");
  absl::StatusOr<std::unique_ptr<retrieval::ChunkStore>> store = store_.WithScope(ScopeOf(asked));
  status.Update(store.status());
  if (!status.ok()) {
    absl::StatusOr<retrieval::Job> stored = store_.GetJob(job.id);  // with the tenant in its collection's name
    if (stored.ok()) EndAsFailed(*std::move(stored), status, store_);
  } else {
    status =
        run_({job, asked, **store}, RunningContext().WithScope(ScopeOf(asked)), [this](const retrieval::Job& progress) {
          absl::MutexLock lock(&mutex_);
          running_ = progress;
        });
    if (!status.ok()) AfterError(job, status, **store);
  }
  absl::MutexLock lock(&mutex_);
  running_.reset();
}

void JobWorker::AfterError(const retrieval::Job& job, const absl::Status& status, retrieval::ChunkStore& store) {
  bool interrupted;
  {
    absl::MutexLock lock(&mutex_);
    interrupted = stopping_ && !cancelled_by_caller_;
  }
  absl::StatusOr<retrieval::Job> stored = store.GetJob(job.id);
  if (absl::IsUnavailable(stored.status()) && WaitUnlessStopping(kStoreRetryInterval)) {
    absl::MutexLock lock(&mutex_);
    if (!cancelled_by_caller_) queue_.push_front(job);
  }
  if (!stored.ok()) return;
  if (interrupted) {
    stored->state = retrieval::JobState::kQueued;
    stored->error.clear();
    (void)store.PutJob(*stored);  // if it fails, the job is still not marked as succeeded
  } else if (!HasEnded(stored->state)) {
    EndAsFailed(*std::move(stored), status, store);
  }
}

CallContext JobWorker::RunningContext() {
  absl::MutexLock lock(&mutex_);
  return running_context_;
}

}  // namespace lastro::services
