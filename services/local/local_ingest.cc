#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/status_macros.h"
#include "ingest/pipeline.h"
#include "ingest/reembed.h"
#include "lastro/v1/store.pb.h"
#include "retrieval/validation.h"
#include "services/local/api_text_embedder.h"
#include "services/local/job_worker.h"
#include "services/local/local_services.h"
#include "services/proto_convert.h"

namespace lastro::services {
namespace {

namespace fs = std::filesystem;

constexpr absl::Duration kWatchInterval = absl::Milliseconds(100);

std::string NewJobId() {
  static std::atomic<uint64_t> counter{0};
  std::string seed = absl::StrCat(absl::GetCurrentTimeNanos(), "/", getpid(), "/", counter++);
  return Sha256Hex(seed).substr(0, 16);
}

retrieval::Job NewJob(const std::string& collection, const v1::FolderJob& asked) {
  retrieval::Job job;
  job.id = NewJobId();
  job.collection = collection;
  job.request = asked.SerializeAsString();
  job.created_at = job.updated_at = absl::Now();
  return job;
}

// `Asked`: a request or header with metadata and labels.
template <typename Asked>
absl::StatusOr<ingest::GivenFacts> GivenBy(const Asked& asked) {
  ingest::GivenFacts given;
  LASTRO_ASSIGN_OR_RETURN(given.metadata, FromProto(asked.metadata()));
  LASTRO_ASSIGN_OR_RETURN(given.labels, SortedLabels({asked.labels().begin(), asked.labels().end()}));
  return given;
}

// Folder jobs and re-embeddings have a worker each: neither waits for the other.
class LocalIngest : public IngestApi {
 public:
  LocalIngest(retrieval::ChunkStore* store, EmbeddingApi* embedding, const IngestConfig& config)
      : store_(*store),
        embedding_(*embedding),
        embedder_(embedding, v1::DOCUMENT),
        config_(config),
        folders_(
            store, config.resume_jobs, [](const v1::FolderJob& asked) { return !asked.has_reembed(); },
            [this](const auto&... work) { return RunFolder(work...); }),
        reembeddings_(
            store, config.resume_jobs, [](const v1::FolderJob& asked) { return asked.has_reembed(); },
            [this](const auto&... work) { return RunReembedding(work...); }) {}

  absl::StatusOr<v1::Job> IngestFolder(const v1::IngestFolderRequest& request, bool sync,
                                       const CallContext& context) override {
    LASTRO_ASSIGN_OR_RETURN(const Store store, store_.WithScope(context.scope()));
    v1::FolderJob asked;
    *asked.mutable_request() = request;
    asked.set_sync(sync);
    SetScope(context.scope(), &asked);
    LASTRO_ASSIGN_OR_RETURN(*asked.mutable_request()->mutable_folder(), CheckFolder(request.folder()));
    LASTRO_ASSIGN_OR_RETURN(const ingest::GivenFacts given, GivenBy(request));
    retrieval::Job job = NewJob(CollectionOrDefault(request.collection()), asked);
    LASTRO_RETURN_IF_ERROR(retrieval::ValidateCollectionName(job.collection));
    job.labels = given.labels;
    LASTRO_RETURN_IF_ERROR(folders_.Add(job, *store));
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

  absl::StatusOr<v1::Job> Reembed(const v1::ReembedRequest& request, const CallContext& context) override {
    if (request.model().empty()) return absl::InvalidArgumentError("model is empty; name an embedding model");
    LASTRO_ASSIGN_OR_RETURN(const Store store, store_.WithScope(context.scope()));
    const std::string collection = CollectionOrDefault(request.collection());
    LASTRO_RETURN_IF_ERROR(store->GetReembedding(collection).status());  // before any model is asked
    ApiTextEmbedder embedder(&embedding_, v1::DOCUMENT, request.model());
    LASTRO_ASSIGN_OR_RETURN(retrieval::EmbedderInfo info, embedder.Info(context));
    v1::FolderJob asked;
    asked.mutable_reembed()->set_model(info.model);
    asked.mutable_reembed()->set_fingerprint(info.fingerprint);
    asked.mutable_reembed()->set_dimension(info.dimension);
    SetScope(context.scope(), &asked);
    LASTRO_RETURN_IF_ERROR(store->BeginReembedding(collection, FromProto(asked.reembed())).status());
    retrieval::Job job = NewJob(collection, asked);
    job.for_all_labels = true;
    LASTRO_RETURN_IF_ERROR(reembeddings_.Add(job, *store));
    return ToProto(job);
  }

  absl::StatusOr<v1::Reembedding> GetReembedding(const v1::GetReembeddingRequest& request,
                                                 const CallContext& context) override {
    LASTRO_ASSIGN_OR_RETURN(const Store store, store_.WithScope(context.scope()));
    LASTRO_ASSIGN_OR_RETURN(retrieval::Reembedding state,
                            store->GetReembedding(CollectionOrDefault(request.collection())));
    return ToProto(state);
  }

  absl::StatusOr<v1::Reembedding> SwitchEmbedding(const v1::SwitchEmbeddingRequest& request,
                                                  const CallContext& context) override {
    if (request.fingerprint().empty()) return absl::InvalidArgumentError("fingerprint is empty");
    LASTRO_ASSIGN_OR_RETURN(const Store store, store_.WithScope(context.scope()));
    const std::string collection = CollectionOrDefault(request.collection());
    LASTRO_RETURN_IF_ERROR(store->GetReembedding(collection).status());  // before any model is asked
    ApiTextEmbedder embedder(&embedding_, v1::DOCUMENT, request.fingerprint());
    LASTRO_RETURN_IF_ERROR(embedder.Info(context).status());  // else nothing could be searched after the switch
    LASTRO_ASSIGN_OR_RETURN(
        retrieval::Reembedding state,
        ingest::Reembedder(store.get(), &embedder).Switch(collection, request.fingerprint(), context));
    return ToProto(state);
  }

  absl::StatusOr<v1::Reembedding> FinishReembedding(const v1::FinishReembeddingRequest& request,
                                                    const CallContext& context) override {
    LASTRO_ASSIGN_OR_RETURN(const Store store, store_.WithScope(context.scope()));
    LASTRO_ASSIGN_OR_RETURN(retrieval::Reembedding state,
                            store->DropVectors(CollectionOrDefault(request.collection()), request.fingerprint()));
    return ToProto(state);
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
    for (JobWorker* worker : {&folders_, &reembeddings_}) {
      LASTRO_ASSIGN_OR_RETURN(std::optional<retrieval::Job> cancelled, worker->Cancel(job.id, *store));
      if (cancelled.has_value()) return ToProto(*cancelled);
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
    for (JobWorker* worker : {&folders_, &reembeddings_}) {
      if (std::optional<retrieval::Job> running = worker->Running(id)) return *running;
    }
    return job;
  }

  // --- In the workers' threads.

  absl::Status RunFolder(const JobWorker::Work& work, const CallContext& context,
                         const ingest::ProgressSink& progress) {
    const v1::IngestFolderRequest& asked = work.asked.request();
    ingest::FolderRequest request;
    request.collection = work.job.collection;
    request.folder = asked.folder();
    request.sync = work.asked.sync();
    request.include = {asked.include().begin(), asked.include().end()};
    request.exclude = {asked.exclude().begin(), asked.exclude().end()};
    LASTRO_ASSIGN_OR_RETURN(request.given, GivenBy(asked));
    return PipelineOn(work.store).IngestFolder(request, work.job, context, progress).status();
  }

  absl::Status RunReembedding(const JobWorker::Work& work, const CallContext& context,
                              const ingest::ProgressSink& progress) {
    const std::string& fingerprint = work.asked.reembed().fingerprint();
    ApiTextEmbedder embedder(&embedding_, v1::DOCUMENT, fingerprint);
    return ingest::Reembedder(&work.store, &embedder).Run(fingerprint, work.job, context, progress).status();
  }

  retrieval::ChunkStore& store_;
  EmbeddingApi& embedding_;
  ApiTextEmbedder embedder_;
  const IngestConfig config_;
  JobWorker folders_;  // last: they use everything above
  JobWorker reembeddings_;
};

}  // namespace

std::unique_ptr<IngestApi> MakeLocalIngest(retrieval::ChunkStore* store, EmbeddingApi* embedding,
                                           const IngestConfig& config) {
  return std::make_unique<LocalIngest>(store, embedding, config);
}

}  // namespace lastro::services
