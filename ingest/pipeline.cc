#include "ingest/pipeline.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/hash.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "ingest/collection_embedder.h"
#include "ingest/folder_job.h"
#include "ingest/job_reporter.h"
#include "ingest/prepare.h"
#include "ingest/vectors.h"

namespace lastro::ingest {
namespace {

constexpr absl::string_view kUploadOrigin = "upload";
constexpr size_t kMaxUriBytes = 1024;

absl::Status ValidateUri(const std::string& uri) {
  if (uri.empty() || uri.size() > kMaxUriBytes) {
    return absl::InvalidArgumentError(absl::StrCat("the uri must have 1 to ", kMaxUriBytes, " bytes"));
  }
  bool control = false;
  for (char c : uri) control = control || absl::ascii_iscntrl(static_cast<unsigned char>(c));
  if (control || !IsValidUtf8(uri))
    return absl::InvalidArgumentError("the uri must be UTF-8 without control characters");
  return absl::OkStatus();
}

// An upload that cannot be read is an invalid argument, whatever the reader's reason; what is no fault of the content
// keeps its code.
absl::Status UploadError(const PrepareFailure& failure) {
  if (failure.status.ok() || !failure.file_error) return failure.status;
  if (absl::IsFailedPrecondition(failure.status) || absl::IsInternal(failure.status)) return failure.status;
  return absl::InvalidArgumentError(failure.status.message());
}

}  // namespace

Pipeline::Pipeline(retrieval::ChunkStore* store, retrieval::TextEmbedder* embedder, PipelineOptions options)
    : store_(store), embedder_(embedder), options_(options) {}

absl::StatusOr<retrieval::Job> Pipeline::IngestFolder(const FolderRequest& request, retrieval::Job job,
                                                      const CallContext& context, const ProgressSink& progress) {
  job.collection = request.collection;
  job.labels = request.given.labels;
  JobReporter reporter(std::move(job), store_, progress);
  auto run = [&]() -> absl::Status {
    LASTRO_RETURN_IF_ERROR(reporter.Start());
    LASTRO_RETURN_IF_ERROR(context.Check());
    CollectionEmbedder embedder(request.collection, store_, embedder_);
    LASTRO_RETURN_IF_ERROR(embedder_->Info(context).status());
    LASTRO_RETURN_IF_ERROR(CanonicalFolder(request.folder).status());
    LASTRO_RETURN_IF_ERROR(embedder.Ensure(context));
    return FolderJob(request, options_, store_, &embedder, &reporter, context).Run();
  };
  absl::Status status = run();
  absl::Status stored = reporter.End(status);
  LASTRO_RETURN_IF_ERROR(status);
  LASTRO_RETURN_IF_ERROR(stored);
  return reporter.job();
}

absl::StatusOr<retrieval::Document> Pipeline::IngestUpload(const UploadRequest& request, const CallContext& context) {
  LASTRO_RETURN_IF_ERROR(ValidateUri(request.uri));
  if (request.content.size() > options_.max_file_bytes) {
    return absl::InvalidArgumentError(absl::StrCat("the document has ", request.content.size(), " bytes; up to ",
                                                   options_.max_file_bytes, " are read"));
  }
  CollectionEmbedder embedder(request.collection, store_, embedder_);
  LASTRO_RETURN_IF_ERROR(embedder.Follow(context).status());
  DocumentInput input{request.uri, request.media_type, request.content, absl::Now(), std::string(kUploadOrigin), false};
  PreparedDocument prepared;
  LASTRO_RETURN_IF_ERROR(UploadError(PrepareDocument(std::move(input), request.collection, request.given, options_,
                                                     embedder.current(), context, &prepared)));
  LASTRO_RETURN_IF_ERROR(embedder.Ensure(context));
  absl::StatusOr<retrieval::Document> existing = store_->FindDocument(request.collection, request.uri);
  if (existing.ok() && existing->origin != kUploadOrigin) {
    return absl::AlreadyExistsError(absl::StrCat("the collection has a document ", request.uri, " from ",
                                                 existing->origin, "; upload it under another uri"));
  }
  bool unchanged = existing.ok() && existing->content_sha256 == prepared.document.content_sha256 &&
                   existing->pipeline == prepared.document.pipeline;
  if (unchanged) return existing;
  if (!existing.ok() && !absl::IsNotFound(existing.status())) return existing.status();
  return EmbedAndPut(request.collection, &prepared, &embedder, context);
}

absl::StatusOr<retrieval::Document> Pipeline::EmbedAndPut(const std::string& collection, PreparedDocument* prepared,
                                                          CollectionEmbedder* embedder, const CallContext& context) {
  PreparedDocument* documents[] = {prepared};
  auto put = [&]() -> absl::StatusOr<retrieval::Document> {
    LASTRO_ASSIGN_OR_RETURN(retrieval::EmbedderInfo info, embedder->current()->Info(context));
    LASTRO_RETURN_IF_ERROR(FillVectors(documents, collection, store_, embedder->current(), context).status());
    return store_->PutDocument(prepared->document, info.fingerprint, prepared->chunks, prepared->original,
                               prepared->extracted);
  };
  for (;;) {
    absl::StatusOr<retrieval::Document> stored = put();
    if (!absl::IsFailedPrecondition(stored.status())) return stored;
    LASTRO_ASSIGN_OR_RETURN(bool another, embedder->Follow(context));
    if (!another) return stored;
  }
}

}  // namespace lastro::ingest
