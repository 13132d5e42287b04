// What StoreWriter does in the background (upkeep.h), so that a commit does no more than commit:
//
// The log (WAL) goes into the database beside commits and searches, by a connection of its own. SQLite begins it anew
// only when no search reads it, which under searches that overlap may never be; where it gets too long, a commit waits
// for those that read it, a moment at most, and while they go on again after the log has grown by a quarter of the
// limit. A search that goes on for long makes the log long, but stops nobody. Nor do commits that follow each other at
// once: there is no rest where the log is too long, and at four times the limit they wait until it is moved.
//
// Every commit adds a segment to the full-text index of its collection; they are merged from four of a size on. A
// commit itself merges only where the background falls behind (SetUpFullText), in proportion to what it writes.
//
// Pages that deletions freed are used again; where they are many, the database gets smaller by moving its last pages
// there.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "retrieval/page_sums.h"
#include "retrieval/schema.h"
#include "retrieval/store_writer.h"

namespace lastro::retrieval {
namespace {

constexpr int kWaitForReadersMs = 100;
constexpr int64_t kPaceBytes = 1 << 20;  // the log is put into the database in pieces of this size
constexpr int64_t kOutrun = 4;           // times max_log_bytes: commits are too fast for the background
constexpr int64_t kMergeAfterCommits = 8;
// A step of these takes some 10 ms.
constexpr int kMergePages = 128;  // of about 4 KB
constexpr int64_t kMovePages = 64;

}  // namespace

StoreWriter::StoreWriter(std::unique_ptr<Database> db, int64_t commit, VectorCatalog* catalog, IndexBuilder* builder,
                         const UpkeepOptions& options)
    : db_(std::move(db)), commit_(commit), catalog_(catalog), builder_(builder), options_(options) {
  begin_anew_at_ = options_.max_log_bytes;
  upkeep_ = std::make_unique<Upkeep>(
      options_.bytes_per_second,
      std::vector<Upkeep::Step>{[this] { return MoveLog(); }, [this] { return GiveSomePagesBack(); },
                                [this] { return MergeSomeFullText(); }});
  absl::MutexLock lock(&mutex_);
  db_->LeaveLogAlone([this](int64_t bytes) {
    log_bytes_.store(bytes, std::memory_order_relaxed);
    upkeep_->Nudge(/*urgent=*/bytes >= begin_anew_at_);
  });
}

absl::Status StoreWriter::FinishUpkeep() { return upkeep_->Finish(); }

absl::Status StoreWriter::OpenLogConnection() {
  if (log_db_ != nullptr) return absl::OkStatus();
  std::string path;
  {
    absl::MutexLock lock(&mutex_);
    path = db_->path();
  }
  LASTRO_ASSIGN_OR_RETURN(log_db_, Database::Open(path, /*read_only=*/false));
  log_db_->SetBusyTimeout(kWaitForReadersMs);
  pace_ = [this, unpaced = int64_t{0}](int64_t bytes) mutable {
    unpaced += bytes;
    if (unpaced < kPaceBytes) return;
    // Where the log is too long already, there is no time to lose.
    if (log_bytes_.load(std::memory_order_relaxed) < begin_anew_at_) upkeep_->Pace(unpaced);
    unpaced = 0;
  };
  PaceWrites(log_db_->handle(), &pace_);
  return absl::OkStatus();
}

absl::StatusOr<int64_t> StoreWriter::MoveLog() {
  if (log_bytes_.load(std::memory_order_relaxed) < options_.log_bytes) return 0;
  LASTRO_RETURN_IF_ERROR(OpenLogConnection());
  LASTRO_ASSIGN_OR_RETURN(Database::LogState log, log_db_->MoveLog(/*begin_anew=*/false));
  const int64_t moved = log.moved >= moved_ ? log.moved - moved_ : log.moved;  // it was begun anew in between
  moved_ = log.moved;
  if (log.bytes < options_.max_log_bytes) begin_anew_at_ = options_.max_log_bytes;
  // What a commit would wait for must be little; else once more without one that waits, unless commits come faster than
  // the log can be moved beside them.
  const bool little = log.bytes - log.moved < options_.max_log_bytes;
  const bool outrun = log.bytes >= kOutrun * options_.max_log_bytes;
  if (log.bytes >= begin_anew_at_ && (little || outrun)) LASTRO_RETURN_IF_ERROR(BeginLogAnew());
  return moved;
}

absl::Status StoreWriter::BeginLogAnew() {
  absl::MutexLock lock(&mutex_);
  PaceWrites(log_db_->handle(), nullptr);
  absl::StatusOr<Database::LogState> log = log_db_->MoveLog(/*begin_anew=*/true);
  PaceWrites(log_db_->handle(), &pace_);
  LASTRO_RETURN_IF_ERROR(log.status());
  begin_anew_at_ = log->anew ? options_.max_log_bytes : log->bytes + options_.max_log_bytes / 4;
  moved_ = log->anew ? 0 : log->moved;
  if (log->anew) log_bytes_.store(0, std::memory_order_relaxed);
  return absl::OkStatus();
}

absl::StatusOr<int64_t> StoreWriter::MergeSomeFullText() {
  absl::MutexLock lock(&mutex_);
  for (auto& [collection, upkeep] : collections_) {
    if (upkeep.commits < kMergeAfterCommits) continue;
    absl::StatusOr<int64_t> bytes = MergeSome(collection, &upkeep);
    if (!bytes.ok()) upkeep.commits = 0;  // the others' turn; tried again after as many commits
    if (!bytes.ok() || *bytes > 0) return bytes;
  }
  return 0;
}

absl::StatusOr<int64_t> StoreWriter::MergeSome(int64_t collection, CollectionUpkeep* upkeep) {
  const int64_t written = db_->bytes_written();
  LASTRO_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*db_, Transaction::Kind::kWrite));
  if (!upkeep->is_set_up) LASTRO_RETURN_IF_ERROR(SetUpFullText(*db_, collection));
  const int64_t changes = db_->total_changes();
  const std::string table = FtsTable(collection);
  LASTRO_RETURN_IF_ERROR(
      db_->Execute(absl::StrCat("INSERT INTO ", table, "(", table, ", rank) VALUES('merge', ", kMergePages, ")")));
  const bool merged = db_->total_changes() - changes >= 2;  // one is the statement itself; see FTS5's documentation
  LASTRO_RETURN_IF_ERROR(CommitUpkeep(transaction));
  upkeep->is_set_up = true;
  if (!merged) upkeep->commits = 0;
  return merged ? std::max<int64_t>(1, db_->bytes_written() - written) : 0;
}

absl::StatusOr<int64_t> StoreWriter::GiveSomePagesBack() {
  absl::MutexLock lock(&mutex_);
  LASTRO_ASSIGN_OR_RETURN(int64_t may, db_->QueryInt("PRAGMA auto_vacuum"));
  if (may == 0) return 0;  // of an earlier version, until its next purge
  LASTRO_ASSIGN_OR_RETURN(int64_t free, db_->QueryInt("PRAGMA freelist_count"));
  LASTRO_ASSIGN_OR_RETURN(int64_t pages, db_->QueryInt("PRAGMA page_count"));
  LASTRO_ASSIGN_OR_RETURN(int64_t page_bytes, db_->QueryInt("PRAGMA page_size"));
  const int64_t many = std::max(options_.free_bytes / page_bytes, pages / 8);
  giving_back_ = free > many || (giving_back_ && free > many / 2);
  if (!giving_back_) return 0;
  const int64_t written = db_->bytes_written();
  LASTRO_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*db_, Transaction::Kind::kWrite));
  LASTRO_RETURN_IF_ERROR(db_->Execute(absl::StrCat("PRAGMA incremental_vacuum(", kMovePages, ")")));
  LASTRO_RETURN_IF_ERROR(CommitUpkeep(transaction));
  return std::max<int64_t>(1, db_->bytes_written() - written);
}

}  // namespace lastro::retrieval
