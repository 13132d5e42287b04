// Read connections of one database file, handed out as snapshots. Thread-safe.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/call_context.h"
#include "retrieval/sqlite.h"

namespace lastro::retrieval {

class ConnectionPool;

// A read transaction: everything read through db() is of one commit. For one thread at a time.
class ReadSnapshot {
 public:
  ReadSnapshot(ReadSnapshot&& other) noexcept;
  ReadSnapshot& operator=(ReadSnapshot&&) = delete;
  ~ReadSnapshot();
  Database& db() const { return *db_; }
  int64_t commit() const { return commit_; }

 private:
  friend class ConnectionPool;
  ReadSnapshot(ConnectionPool* pool, std::unique_ptr<Database> db) : pool_(pool), db_(std::move(db)) {}

  ConnectionPool* pool_;
  std::unique_ptr<Database> db_;
  std::unique_ptr<Transaction> transaction_;
  int64_t commit_ = 0;
};

// Must outlive its snapshots.
class ConnectionPool {
 public:
  // At most `max_connections` are open; who comes then waits.
  ConnectionPool(std::string path, int max_connections) : path_(std::move(path)), free_slots_(max_connections) {}

  // `context`, when given, must outlive the snapshot: waiting and every statement watch it.
  absl::StatusOr<ReadSnapshot> Snapshot(const CallContext* context = nullptr);

 private:
  friend class ReadSnapshot;
  absl::StatusOr<std::unique_ptr<Database>> Acquire(const CallContext* context);
  absl::Status TakeSlot(const CallContext* context);
  void Release(std::unique_ptr<Database> db);  // null: a connection that could not be opened

  const std::string path_;
  absl::Mutex mutex_;
  int free_slots_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<Database>> idle_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace lastro::retrieval
