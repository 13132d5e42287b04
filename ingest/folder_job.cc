#include "ingest/folder_job.h"

#include <sys/stat.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/status_macros.h"
#include "ingest/format.h"
#include "ingest/glob.h"
#include "ingest/vectors.h"

namespace lastro::ingest {
namespace {

constexpr size_t kQueueDocuments = 64;
constexpr uint64_t kBudgetBytes = 512u << 20;
constexpr uint64_t kMemoryPerFileByte = 8;  // of a prepared document: bytes, text, chunks, maps
constexpr uint64_t kMemoryPerFile = 64u << 10;
constexpr size_t kDeleteBatch = 500;
constexpr unsigned kMaxThreads = 4;

int PreparingThreads(size_t files) {
  size_t cores = std::clamp(std::thread::hardware_concurrency() / 2, 1u, kMaxThreads);
  return static_cast<int>(std::clamp<size_t>(files, 1, cores));
}

// Whether the file `uri` of another folder, `origin`, still exists.
bool ExistsIn(const std::string& origin, const std::string& uri) {
  struct stat info;
  return stat(absl::StrCat(origin, "/", uri).c_str(), &info) == 0;
}

bool IsUnder(const std::string& uri, const std::vector<std::string>& folders) {
  return std::any_of(folders.begin(), folders.end(),
                     [&](const std::string& folder) { return absl::StartsWith(uri, absl::StrCat(folder, "/")); });
}

}  // namespace

FolderJob::FolderJob(const FolderRequest& request, const PipelineOptions& options, retrieval::ChunkStore* store,
                     CollectionEmbedder* embedder, JobReporter* reporter, const CallContext& context)
    : request_(request),
      options_(options),
      pipeline_(PipelineFingerprint(options, request.given)),
      store_(store),
      embedder_(embedder),
      tokenizer_(embedder->current()),
      reporter_(reporter),
      context_(CallContext::Until(context.deadline(),
                                  [this, context] { return stop_.load() || absl::IsCancelled(context.Check()); })
                   .WithPriority(context.priority())
                   .WithScope(context.scope())),
      budget_(kBudgetBytes),
      queue_(kQueueDocuments) {}

absl::Status FolderJob::Run() {
  LASTRO_RETURN_IF_ERROR(Walk());
  LASTRO_RETURN_IF_ERROR(PrepareAndCommit());
  return request_.sync ? RemoveVanished() : absl::OkStatus();
}

absl::Status FolderJob::Walk() {
  LASTRO_ASSIGN_OR_RETURN(root_, CanonicalFolder(request_.folder));
  LASTRO_ASSIGN_OR_RETURN(walk_, WalkFolder(root_, {options_.max_files, options_.max_depth}, context_));
  LASTRO_ASSIGN_OR_RETURN(states_, store_->DocumentStates(request_.collection));
  for (const retrieval::FileProblem& problem : walk_.problems) {
    reporter_->AddProblem(problem.uri, absl::UnavailableError(problem.reason));
  }
  SelectFiles(walk_.files);
  reporter_->job().files_found = static_cast<int64_t>(selected_.size()) + reporter_->job().files_failed;
  return reporter_->Update();
}

void FolderJob::SelectFiles(const std::vector<FoundFile>& files) {
  for (const FoundFile& file : files) {
    bool included = !request_.include.empty() && MatchesAnyGlob(request_.include, file.uri);
    if ((!request_.include.empty() && !included) || MatchesAnyGlob(request_.exclude, file.uri)) continue;
    absl::Status format = DetectFormat(file.uri, "", included).status();
    format.ok() ? selected_.push_back(file) : reporter_->AddProblem(file.uri, format);
  }
}

absl::Status FolderJob::PrepareAndCommit() {
  std::vector<std::thread> threads;
  preparing_threads_ = PreparingThreads(selected_.size());
  for (int i = preparing_threads_; i > 0; --i) threads.emplace_back([this] { PrepareFiles(); });
  absl::Status status = Commit();
  stop_ = true;
  queue_.Close();
  budget_.Close();
  for (std::thread& thread : threads) thread.join();
  stop_ = false;
  return status;
}

void FolderJob::PrepareFiles() {
  for (size_t index = next_file_++; index < selected_.size(); index = next_file_++) {
    uint64_t bytes =
        std::min(selected_[index].size_bytes, options_.max_file_bytes) * kMemoryPerFileByte + kMemoryPerFile;
    if (!budget_.Acquire(bytes)) break;
    ByteLease lease(&budget_, bytes);
    Outcome outcome = PrepareFile(selected_[index]);
    outcome.lease = std::move(lease);
    if (!queue_.Push(std::move(outcome))) break;
  }
  if (--preparing_threads_ == 0) queue_.Close();
}

FolderJob::Outcome FolderJob::PrepareFile(const FoundFile& file) {
  Outcome outcome;
  outcome.uri = file.uri;
  outcome.status = context_.Check();
  if (!outcome.status.ok()) {
    outcome.kind = Kind::kFatal;
    return outcome;
  }
  absl::StatusOr<FileContent> content = ReadFolderFile(root_, file.uri, options_.max_file_bytes);
  if (!content.ok()) {
    outcome.status = content.status();
    return outcome;
  }
  outcome.bytes_read = content->bytes.size();
  if (auto state = states_.find(file.uri); state != states_.end()) {
    outcome.status = CheckOwner(state->second, file.uri);
    if (!outcome.status.ok()) return outcome;
    bool same = state->second.origin == root_ && state->second.pipeline == pipeline_ &&
                state->second.content_sha256 == Sha256Hex(content->bytes);
    if (same) {
      outcome.kind = Kind::kUnchanged;
      return outcome;
    }
  }
  DocumentInput input{file.uri, "", std::move(content->bytes), content->modified_at, root_, !request_.include.empty()};
  PrepareFailure failure = PrepareDocument(std::move(input), request_.collection, request_.given, options_, tokenizer_,
                                           context_, &outcome.prepared);
  outcome.status = failure.status;
  if (failure.status.ok()) outcome.kind = Kind::kPrepared;
  if (!failure.status.ok() && !failure.file_error) outcome.kind = Kind::kFatal;
  return outcome;
}

absl::Status FolderJob::CheckOwner(const retrieval::DocumentState& state, const std::string& uri) const {
  if (state.origin == root_) return absl::OkStatus();
  // A folder that was moved takes its documents along.
  bool moved = absl::StartsWith(state.origin, "/") && !ExistsIn(state.origin, uri);
  if (moved) return absl::OkStatus();
  return absl::AlreadyExistsError(absl::StrCat("the collection has a document of this name from ", state.origin,
                                               "; use another collection, or delete that document first"));
}

absl::Status FolderJob::Commit() {
  for (bool done = false; !done;) {
    LASTRO_ASSIGN_OR_RETURN(std::vector<Outcome> group, TakeGroup(&done));
    LASTRO_RETURN_IF_ERROR(CommitGroup(&group));
    LASTRO_RETURN_IF_ERROR(reporter_->Update());
    LASTRO_RETURN_IF_ERROR(context_.Check());
  }
  return absl::OkStatus();
}

// Waits for one outcome and takes those that are ready behind it, up to a batch of chunks.
absl::StatusOr<std::vector<FolderJob::Outcome>> FolderJob::TakeGroup(bool* done) {
  std::vector<Outcome> group;
  size_t chunks = 0;
  do {
    std::optional<Outcome> outcome = queue_.Pop();
    if (!outcome) {
      *done = true;
      break;
    }
    if (outcome->kind == Kind::kFatal) return outcome->status;
    chunks += outcome->prepared.chunks.size();
    group.push_back(*std::move(outcome));
  } while (chunks < kEmbedBatchTexts && group.size() < kQueueDocuments && queue_.size() > 0);
  return group;
}

absl::Status FolderJob::CommitGroup(std::vector<Outcome>* group) {
  std::vector<Outcome> prepared;
  for (Outcome& outcome : *group) {
    reporter_->job().bytes_read += static_cast<int64_t>(outcome.bytes_read);
    if (outcome.kind == Kind::kUnchanged) ++reporter_->job().files_unchanged;
    if (outcome.kind == Kind::kProblem) reporter_->AddProblem(outcome.uri, outcome.status);
    if (outcome.kind == Kind::kPrepared) prepared.push_back(std::move(outcome));
  }
  absl::Status status = EmbedAndPut(&prepared);
  if (!absl::IsInvalidArgument(status)) return status;
  // The embedder refused one of the texts: find the file it is from.
  for (Outcome& outcome : prepared) {
    std::vector<Outcome> alone;
    alone.push_back(std::move(outcome));
    status = EmbedAndPut(&alone);
    if (absl::IsInvalidArgument(status)) {
      reporter_->AddProblem(alone[0].uri, status);
    } else if (!status.ok()) {
      return status;
    }
  }
  return absl::OkStatus();
}

// The collection may get another model meanwhile. INVALID_ARGUMENT only when nothing of what is left of the group was
// stored.
absl::Status FolderJob::EmbedAndPut(std::vector<Outcome>* group) {
  for (;;) {
    absl::Status status = PutByOneModel(group);
    if (!absl::IsFailedPrecondition(status)) return status;
    LASTRO_ASSIGN_OR_RETURN(bool another, embedder_->Follow(context_));
    if (!another) return status;
  }
}

absl::Status FolderJob::PutByOneModel(std::vector<Outcome>* group) {
  if (group->empty()) return absl::OkStatus();
  std::vector<PreparedDocument*> documents;
  for (Outcome& outcome : *group) documents.push_back(&outcome.prepared);
  LASTRO_ASSIGN_OR_RETURN(retrieval::EmbedderInfo info, embedder_->current()->Info(context_));
  LASTRO_ASSIGN_OR_RETURN(std::vector<int64_t> reused,
                          FillVectors(documents, request_.collection, store_, embedder_->current(), context_));
  size_t done = 0;
  absl::Status status;
  for (; done < group->size() && status.ok(); done += status.ok()) {
    status = PutOne(&(*group)[done], info.fingerprint, reused[done]);
    if (status.ok()) status = reporter_->Update();
  }
  group->erase(group->begin(), group->begin() + static_cast<std::ptrdiff_t>(done));
  return status;
}

absl::Status FolderJob::PutOne(Outcome* outcome, const std::string& fingerprint, int64_t reused) {
  LASTRO_RETURN_IF_ERROR(context_.Check());
  const PreparedDocument& prepared = outcome->prepared;
  absl::Status status =
      store_->PutDocument(prepared.document, fingerprint, prepared.chunks, prepared.original, prepared.extracted)
          .status();
  retrieval::Job& job = reporter_->job();
  if (absl::IsInvalidArgument(status)) {
    reporter_->AddProblem(outcome->uri, status);
    return absl::OkStatus();
  }
  LASTRO_RETURN_IF_ERROR(status);
  states_.contains(outcome->uri) ? ++job.files_updated : ++job.files_added;
  job.chunks_added += static_cast<int64_t>(prepared.chunks.size());
  job.chunks_reused += reused;
  return absl::OkStatus();
}

absl::Status FolderJob::RemoveVanished() {
  if (walk_.truncated) return absl::OkStatus();  // what was not seen may still be there
  absl::flat_hash_set<std::string> seen;
  for (const FoundFile& file : walk_.files) seen.insert(file.uri);
  for (const retrieval::FileProblem& problem : walk_.problems) seen.insert(problem.uri);
  std::vector<std::string> vanished;
  for (const auto& [uri, state] : states_) {
    bool gone = state.origin == root_ && !seen.contains(uri) && !IsUnder(uri, walk_.unseen_folders);
    if (gone) vanished.push_back(state.document_id);
  }
  for (size_t begin = 0; begin < vanished.size(); begin += kDeleteBatch) {
    LASTRO_RETURN_IF_ERROR(context_.Check());
    auto batch = absl::MakeConstSpan(vanished).subspan(begin, kDeleteBatch);
    LASTRO_ASSIGN_OR_RETURN(int64_t removed, store_->DeleteDocuments(request_.collection, batch));
    reporter_->job().files_removed += removed;
    LASTRO_RETURN_IF_ERROR(reporter_->Update());
  }
  return absl::OkStatus();
}

}  // namespace lastro::ingest
