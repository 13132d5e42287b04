#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <filesystem>
#include <optional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/hash.h"
#include "base/status_macros.h"
#include "ingest/pipeline.h"
#include "lastro/v1/store.pb.h"
#include "retrieval/validation.h"
#include "services/local/api_text_embedder.h"
#include "services/local/local_services.h"
#include "services/proto_convert.h"

namespace lastro::services {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxQueuedJobs = 100;
constexpr absl::Duration kWatchInterval = absl::Milliseconds(100);
constexpr absl::Duration kStoreRetryInterval = absl::Seconds(1);

bool HasEnded(retrieval::JobState state) {
  return state != retrieval::JobState::kQueued && state != retrieval::JobState::kRunning;
}

std::string NewJobId() {
  static std::atomic<uint64_t> counter{0};
  std::string seed = absl::StrCat(absl::GetCurrentTimeNanos(), "/", getpid(), "/", counter++);
  return Sha256Hex(seed).substr(0, 16);
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

// `Asked`: a request or header with metadata and labels.
template <typename Asked>
absl::StatusOr<ingest::GivenFacts> GivenBy(const Asked& asked) {
  ingest::GivenFacts given;
  LASTRO_ASSIGN_OR_RETURN(given.metadata, FromProto(asked.metadata()));
  LASTRO_ASSIGN_OR_RETURN(given.labels, SortedLabels({asked.labels().begin(), asked.labels().end()}));
  return given;
}

class LocalIngest : public IngestApi {
 public:
  LocalIngest(retrieval::ChunkStore* store, EmbeddingApi* embedding, const IngestConfig& config)
      : store_(*store), embedder_(embedding, v1::DOCUMENT), config_(config), worker_([this] { Work(); }) {}

  ~LocalIngest() override {
    {
      absl::MutexLock lock(&mutex_);
      stopping_ = true;
      running_context_.Cancel();
    }
    worker_.join();
  }

  absl::StatusOr<v1::Job> IngestFolder(const v1::IngestFolderRequest& request, bool sync,
                                       const CallContext& context) override {
    LASTRO_ASSIGN_OR_RETURN(const Store store, store_.WithScope(context.scope()));
    v1::FolderJob asked;
    *asked.mutable_request() = request;
    asked.set_sync(sync);
    SetScope(context.scope(), &asked);
    LASTRO_ASSIGN_OR_RETURN(*asked.mutable_request()->mutable_folder(), CheckFolder(request.folder()));
    LASTRO_ASSIGN_OR_RETURN(const ingest::GivenFacts given, GivenBy(request));
    retrieval::Job job;
    job.id = NewJobId();
    job.collection = CollectionOrDefault(request.collection());
    LASTRO_RETURN_IF_ERROR(retrieval::ValidateCollectionName(job.collection));
    job.labels = given.labels;
    job.request = asked.SerializeAsString();
    job.created_at = job.updated_at = absl::Now();
    absl::MutexLock lock(&mutex_);
    if (queue_.size() >= kMaxQueuedJobs) {
      return absl::ResourceExhaustedError(absl::StrCat(queue_.size(), " jobs are waiting; try again later"));
    }
    LASTRO_RETURN_IF_ERROR(store->PutJob(job));
    queue_.push_back(job);
    return ToProto(job);
  }

  absl::StatusOr<v1::UploadResponse> Upload(const v1::UploadRequest::Header& header, const std::string& content,
                                            const CallContext& context) override {
    ingest::UploadRequest upload;
    upload.collection = CollectionOrDefault(header.collection());
    upload.uri = header.uri();
    upload.media_type = header.media_type();
    upload.content = content;
    LASTRO_ASSIGN_OR_RETURN(upload.given, GivenBy(header));
    LASTRO_ASSIGN_OR_RETURN(const Store store, store_.WithScope(context.scope()));
    LASTRO_ASSIGN_OR_RETURN(retrieval::Document document, PipelineOn(*store).IngestUpload(upload, context));
    v1::UploadResponse response;
    *response.mutable_document() = ToProto(document);
    return response;
  }

  absl::StatusOr<v1::Job> GetJob(const v1::GetJobRequest& request, const CallContext& context) override {
    LASTRO_ASSIGN_OR_RETURN(retrieval::Job job, FindJob(request.job_id(), context));
    return ToProto(job);
  }

  absl::StatusOr<v1::ListJobsResponse> ListJobs(const v1::ListJobsRequest&, const CallContext& context) override {
    LASTRO_ASSIGN_OR_RETURN(const Store store, store_.WithScope(context.scope()));
    LASTRO_ASSIGN_OR_RETURN(std::vector<retrieval::Job> jobs, store->ListJobs());
    v1::ListJobsResponse response;
    for (const retrieval::Job& job : jobs) *response.add_jobs() = ToProto(job);
    return response;
  }

  absl::Status WatchJob(const v1::GetJobRequest& request, const CallContext& context,
                        const Sink<v1::Job>& sink) override {
    std::string last;
    for (;;) {
      LASTRO_RETURN_IF_ERROR(context.Check());
      LASTRO_ASSIGN_OR_RETURN(retrieval::Job job, FindJob(request.job_id(), context));
      v1::Job message = ToProto(job);
      std::string serialized = message.SerializeAsString();
      if (serialized != last) LASTRO_RETURN_IF_ERROR(sink(message));
      last = std::move(serialized);
      if (HasEnded(job.state)) return absl::OkStatus();
      absl::SleepFor(kWatchInterval);
    }
  }

  absl::StatusOr<v1::Job> CancelJob(const v1::GetJobRequest& request, const CallContext& context) override {
    LASTRO_ASSIGN_OR_RETURN(const Store store, store_.WithScope(context.scope()));
    LASTRO_ASSIGN_OR_RETURN(const retrieval::Job job, store->GetJob(request.job_id()));
    absl::MutexLock lock(&mutex_);
    if (running_ && running_->id == request.job_id()) {
      cancelled_by_caller_ = true;
      running_context_.Cancel();
      return ToProto(*running_);
    }
    for (auto queued = queue_.begin(); queued != queue_.end(); ++queued) {
      if (queued->id != request.job_id()) continue;
      queued->state = retrieval::JobState::kCancelled;
      LASTRO_RETURN_IF_ERROR(store->PutJob(*queued));
      v1::Job cancelled = ToProto(*queued);
      queue_.erase(queued);
      return cancelled;
    }
    return absl::FailedPreconditionError(absl::StrCat("job ", job.id, " is not running here"));
  }

 private:
  using Store = std::unique_ptr<retrieval::ChunkStore>;

  ingest::Pipeline PipelineOn(retrieval::ChunkStore& store) {
    ingest::PipelineOptions options;
    options.chunk_tokens = config_.chunk_tokens;
    options.max_file_bytes = config_.max_file_bytes;
    return ingest::Pipeline(&store, &embedder_, options);
  }

  // The canonical path of a folder that may be ingested.
  absl::StatusOr<std::string> CheckFolder(const std::string& folder) const {
    if (!config_.allow_folders) {
      return absl::PermissionDeniedError("this server does not read folders of its machine; upload the files instead");
    }
    if (folder.empty()) return absl::InvalidArgumentError("folder is empty");
    std::error_code error;
    fs::path canonical = fs::canonical(folder, error);
    if (error) return absl::NotFoundError(absl::StrCat("folder ", folder, ": ", error.message()));
    if (!fs::is_directory(canonical, error)) return absl::NotFoundError(absl::StrCat(folder, " is not a folder"));
    if (!config_.allowed_folder_root.empty()) {
      fs::path root = fs::weakly_canonical(config_.allowed_folder_root, error);
      auto [root_end, unused] = std::mismatch(root.begin(), root.end(), canonical.begin(), canonical.end());
      if (root_end != root.end()) {
        return absl::PermissionDeniedError(absl::StrCat("folder ", folder, " is not below ", root.string()));
      }
    }
    return canonical.string();
  }

  // A job as it stands: the running one is newer here than in the store.
  absl::StatusOr<retrieval::Job> FindJob(const std::string& id, const CallContext& context) {
    LASTRO_ASSIGN_OR_RETURN(const Store store, store_.WithScope(context.scope()));
    LASTRO_ASSIGN_OR_RETURN(retrieval::Job job, store->GetJob(id));
    absl::MutexLock lock(&mutex_);
    return running_ && running_->id == id ? *running_ : job;
  }

  // --- The worker thread.

  void Work() {
    if (config_.resume_jobs) QueueUnfinishedJobs();
    while (std::optional<retrieval::Job> job = NextJob()) RunJob(*job);
  }

  void QueueUnfinishedJobs() {
    absl::StatusOr<std::vector<retrieval::Job>> jobs = store_.ListJobs();
    while (!jobs.ok() && WaitUnlessStopping(kStoreRetryInterval))
      jobs = store_.ListJobs();  // a store that starts later
    if (!jobs.ok()) return;
    absl::MutexLock lock(&mutex_);
    for (retrieval::Job& job : *jobs) {  // newest first
      bool known = running_ && running_->id == job.id;
      for (const retrieval::Job& queued : queue_) known = known || queued.id == job.id;
      if (HasEnded(job.state) || known) continue;
      // The operator's list names collections "tenant/name"; the job knows its tenant.
      job.collection.erase(0, job.collection.rfind('/') + 1);
      queue_.push_front(std::move(job));
    }
  }

  bool WaitUnlessStopping(absl::Duration duration) {
    absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithTimeout(absl::Condition(&stopping_), duration);
    return !stopping_;
  }

  std::optional<retrieval::Job> NextJob() {
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

  void RunJob(const retrieval::Job& job) {
    absl::StatusOr<FolderWork> work = ReadWork(job);
    if (!work.ok()) {
      absl::StatusOr<retrieval::Job> stored = store_.GetJob(job.id);  // with the tenant in its collection's name
      if (stored.ok()) EndAsFailed(*std::move(stored), work.status(), store_);
    } else {
      const CallContext context = RunningContext().WithScope(work->scope);
      absl::StatusOr<retrieval::Job> ended =
          PipelineOn(*work->store).IngestFolder(work->request, job, context, [this](const retrieval::Job& progress) {
            absl::MutexLock lock(&mutex_);
            running_ = progress;
          });
      if (!ended.ok()) AfterError(job, ended.status(), *work->store);
    }
    absl::MutexLock lock(&mutex_);
    running_.reset();
  }

  // A job that a stop interrupted is unfinished, not cancelled: the next start goes on with it. One whose store went
  // away is tried again until the store is back.
  void AfterError(const retrieval::Job& job, const absl::Status& status, retrieval::ChunkStore& store) {
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

  static void EndAsFailed(retrieval::Job job, const absl::Status& status, retrieval::ChunkStore& store) {
    job.state = retrieval::JobState::kFailed;
    job.error = std::string(status.message());
    job.updated_at = absl::Now();
    (void)store.PutJob(job);
  }

  // What a job has to do, in the name of whoever asked for it.
  struct FolderWork {
    Scope scope;
    Store store;
    ingest::FolderRequest request;
  };

  absl::StatusOr<FolderWork> ReadWork(const retrieval::Job& job) const {
    v1::FolderJob asked;
    if (!asked.ParseFromString(job.request)) return absl::DataLossError("the stored request of the job is damaged");
    FolderWork work;
    work.scope = ScopeOf(asked);
    LASTRO_ASSIGN_OR_RETURN(work.store, store_.WithScope(work.scope));
    ingest::FolderRequest& request = work.request;
    request.collection = job.collection;
    request.folder = asked.request().folder();
    request.sync = asked.sync();
    request.include = {asked.request().include().begin(), asked.request().include().end()};
    request.exclude = {asked.request().exclude().begin(), asked.request().exclude().end()};
    LASTRO_ASSIGN_OR_RETURN(request.given, GivenBy(asked.request()));
    return work;
  }

  CallContext RunningContext() {
    absl::MutexLock lock(&mutex_);
    return running_context_;
  }

  retrieval::ChunkStore& store_;
  ApiTextEmbedder embedder_;
  const IngestConfig config_;

  absl::Mutex mutex_;
  std::deque<retrieval::Job> queue_ ABSL_GUARDED_BY(mutex_);
  std::optional<retrieval::Job> running_ ABSL_GUARDED_BY(mutex_);
  CallContext running_context_ ABSL_GUARDED_BY(mutex_);
  bool cancelled_by_caller_ ABSL_GUARDED_BY(mutex_) = false;  // the running job
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread worker_;  // last: it uses everything above
};

}  // namespace

std::unique_ptr<IngestApi> MakeLocalIngest(retrieval::ChunkStore* store, EmbeddingApi* embedding,
                                           const IngestConfig& config) {
  return std::make_unique<LocalIngest>(store, embedding, config);
}

}  // namespace lastro::services
