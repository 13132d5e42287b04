#include "retrieval/connection_pool.h"

#include "base/status_macros.h"
#include "retrieval/schema.h"

namespace lastro::retrieval {

ReadSnapshot::ReadSnapshot(ReadSnapshot&& other) noexcept = default;

ReadSnapshot::~ReadSnapshot() {
  if (db_ == nullptr) return;  // moved from
  db_->SetContext(nullptr);    // a cancelled call must not keep the transaction from ending
  transaction_.reset();
  pool_->Release(std::move(db_));
}

absl::StatusOr<ReadSnapshot> ConnectionPool::Snapshot(const CallContext* context) {
  LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<Database> db, Acquire(context));
  ReadSnapshot snapshot(this, std::move(db));
  snapshot.db().SetContext(context);
  LASTRO_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(snapshot.db(), Transaction::Kind::kRead));
  snapshot.transaction_ = std::make_unique<Transaction>(std::move(transaction));
  // SQLite takes the snapshot at the first read.
  LASTRO_ASSIGN_OR_RETURN(snapshot.commit_, ReadCommit(snapshot.db()));
  return snapshot;
}

absl::Status ConnectionPool::TakeSlot(const CallContext* context) {
  absl::MutexLock lock(&mutex_);
  auto available = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return free_slots_ > 0; };
  while (!mutex_.AwaitWithTimeout(absl::Condition(&available), absl::Milliseconds(50))) {
    if (context != nullptr) LASTRO_RETURN_IF_ERROR(context->Check());
  }
  --free_slots_;
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Database>> ConnectionPool::Acquire(const CallContext* context) {
  LASTRO_RETURN_IF_ERROR(TakeSlot(context));
  {
    absl::MutexLock lock(&mutex_);
    if (!idle_.empty()) {
      std::unique_ptr<Database> db = std::move(idle_.back());
      idle_.pop_back();
      return db;
    }
  }
  absl::StatusOr<std::unique_ptr<Database>> db = Database::Open(path_, /*read_only=*/true);
  if (!db.ok()) Release(nullptr);
  return db;
}

void ConnectionPool::Release(std::unique_ptr<Database> db) {
  absl::MutexLock lock(&mutex_);
  ++free_slots_;
  if (db != nullptr) idle_.push_back(std::move(db));
}

}  // namespace lastro::retrieval
