#include "services/cli/uploads.h"

#include <filesystem>

#include "absl/strings/match.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "ingest/folder_walk.h"
#include "ingest/format.h"
#include "ingest/glob.h"

namespace lastro::services {
namespace {

constexpr uint64_t kMaxFileBytes = 1u << 30;  // of a file read here; the server has its own limit
constexpr int kMaxProblems = 1000;

// Whether an error is about one file, so that the others may still succeed.
bool IsAboutTheFile(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kAborted:
      return true;
    default:
      return false;
  }
}

bool SameIngestion(const v1::Document& a, const v1::Document& b) {
  return a.content_sha256() == b.content_sha256() && a.ingested_at().seconds() == b.ingested_at().seconds() &&
         a.ingested_at().nanos() == b.ingested_at().nanos();
}

}  // namespace

std::string UriOfFile(const std::string& path) {
  std::filesystem::path normal = std::filesystem::path(path).lexically_normal();
  std::string uri = normal.generic_string();
  bool outside = normal.is_absolute() || uri == ".." || absl::StartsWith(uri, "../");
  return outside ? normal.filename().generic_string() : uri;
}

Uploader::Uploader(const UploadSettings& settings, Node& node, const CallContext& context, v1::Job* job,
                   std::function<void(const v1::Job&)> progress)
    : settings_(settings), node_(node), context_(context), job_(job), progress_(std::move(progress)) {}

absl::Status Uploader::UploadFile(const std::string& path) {
  std::filesystem::path file(path);
  std::string parent = file.parent_path().empty() ? "." : file.parent_path().string();
  LASTRO_ASSIGN_OR_RETURN(std::string root, ingest::CanonicalFolder(parent));
  job_->set_files_found(job_->files_found() + 1);
  return UploadFrom(root, file.filename().string(), UriOfFile(path));
}

absl::Status Uploader::UploadFolder(const std::string& folder) {
  LASTRO_ASSIGN_OR_RETURN(std::string root, ingest::CanonicalFolder(folder));
  LASTRO_ASSIGN_OR_RETURN(ingest::WalkResult walk, ingest::WalkFolder(root, {}, context_));
  std::vector<std::string> wanted;
  for (const ingest::FoundFile& file : walk.files) {
    if (IsWanted(file.uri)) wanted.push_back(file.uri);
  }
  for (const retrieval::FileProblem& problem : walk.problems) AddProblem(problem.uri, problem.reason);
  job_->set_files_found(job_->files_found() + static_cast<int64_t>(wanted.size() + walk.problems.size()));
  for (const std::string& uri : wanted) {
    const absl::Status format = ingest::DetectFormat(uri, "", /*any_text=*/!settings_.include.empty()).status();
    if (!format.ok()) AddProblem(uri, format.message());
    if (format.ok()) LASTRO_RETURN_IF_ERROR(UploadFrom(root, uri, uri));
  }
  return absl::OkStatus();
}

bool Uploader::IsWanted(const std::string& uri) const {
  const bool included = settings_.include.empty() || ingest::MatchesAnyGlob(settings_.include, uri);
  return included && !ingest::MatchesAnyGlob(settings_.exclude, uri);
}

absl::Status Uploader::UploadFrom(const std::string& root, const std::string& name, const std::string& uri) {
  LASTRO_RETURN_IF_ERROR(context_.Check());
  absl::StatusOr<ingest::FileContent> content = ingest::ReadFolderFile(root, name, kMaxFileBytes);
  absl::Status status = content.ok() ? Send(uri, content->bytes) : content.status();
  if (!status.ok() && !IsAboutTheFile(status)) return status;
  if (!status.ok()) AddProblem(uri, status.message());
  if (progress_) progress_(*job_);
  return absl::OkStatus();
}

absl::Status Uploader::Send(const std::string& uri, const std::string& content) {
  v1::GetDocumentRequest get;
  get.set_collection(settings_.collection);
  get.set_uri(uri);
  absl::StatusOr<v1::Document> before = node_.retrieval().GetDocument(get, context_);
  v1::UploadRequest::Header header;
  header.set_collection(settings_.collection);
  header.set_uri(uri);
  // Who names a file, or includes its like, means it to be read.
  if (!ingest::HasSupportedExtension(uri)) header.set_media_type("text/plain");
  header.mutable_metadata()->insert(settings_.metadata.begin(), settings_.metadata.end());
  *header.mutable_labels() = {settings_.labels.begin(), settings_.labels.end()};
  LASTRO_ASSIGN_OR_RETURN(v1::UploadResponse response, node_.ingest().Upload(header, content, context_));
  job_->set_bytes_read(job_->bytes_read() + static_cast<int64_t>(content.size()));
  if (before.ok() && SameIngestion(*before, response.document())) {
    job_->set_files_unchanged(job_->files_unchanged() + 1);
    return absl::OkStatus();
  }
  job_->set_chunks_added(job_->chunks_added() + response.document().chunk_count());
  if (before.ok()) {
    job_->set_files_updated(job_->files_updated() + 1);
  } else {
    job_->set_files_added(job_->files_added() + 1);
  }
  return absl::OkStatus();
}

void Uploader::AddProblem(const std::string& uri, absl::string_view reason) {
  job_->set_files_failed(job_->files_failed() + 1);
  if (job_->problems_size() >= kMaxProblems) return;
  v1::Job::Problem* problem = job_->add_problems();
  problem->set_uri(ReplaceInvalidUtf8(uri));
  problem->set_reason(ReplaceInvalidUtf8(reason));
}

}  // namespace lastro::services
