#include "ingest/job_reporter.h"

#include <utility>

#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "base/utf8.h"

namespace lastro::ingest {
namespace {

constexpr absl::Duration kStoreInterval = absl::Seconds(2);
constexpr absl::Duration kTellInterval = absl::Milliseconds(100);
constexpr size_t kMaxProblems = 1000;

retrieval::JobState StateOf(const absl::Status& status) {
  if (status.ok()) return retrieval::JobState::kSucceeded;
  return absl::IsCancelled(status) ? retrieval::JobState::kCancelled : retrieval::JobState::kFailed;
}

// The counters and problems of a run that is done again start afresh.
retrieval::Job Fresh(const retrieval::Job& job) {
  retrieval::Job fresh;
  fresh.id = job.id;
  fresh.collection = job.collection;
  fresh.request = job.request;
  fresh.created_at = job.created_at;
  return fresh;
}

}  // namespace

JobReporter::JobReporter(retrieval::Job job, retrieval::ChunkStore* store, ProgressSink progress)
    : job_(Fresh(job)),
      store_(store),
      progress_(std::move(progress)),
      stored_at_(absl::InfinitePast()),
      told_at_(absl::InfinitePast()) {}

absl::Status JobReporter::Start() {
  job_.state = retrieval::JobState::kRunning;
  LASTRO_RETURN_IF_ERROR(Store());
  Tell();
  return absl::OkStatus();
}

absl::Status JobReporter::Update() {
  absl::Time now = absl::Now();
  if (now - told_at_ >= kTellInterval) Tell();
  return now - stored_at_ >= kStoreInterval ? Store() : absl::OkStatus();
}

absl::Status JobReporter::End(const absl::Status& status) {
  job_.state = StateOf(status);
  if (job_.state == retrieval::JobState::kFailed) job_.error = std::string(status.message());
  absl::Status stored = Store();
  Tell();
  return stored;
}

void JobReporter::AddProblem(const std::string& uri, const absl::Status& status) {
  ++job_.files_failed;
  if (job_.problems.size() >= kMaxProblems) return;
  job_.problems.push_back({ReplaceInvalidUtf8(uri), ReplaceInvalidUtf8(std::string(status.message()))});
}

absl::Status JobReporter::Store() {
  stored_at_ = job_.updated_at = absl::Now();
  return store_->PutJob(job_);
}

void JobReporter::Tell() {
  told_at_ = absl::Now();
  if (progress_) progress_(job_);
}

}  // namespace lastro::ingest
