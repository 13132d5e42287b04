// A thin layer over SQLite: connections, statements and transactions that clean up after themselves, and the one
// translation of SQLite's errors into Status. A connection and all that hangs on it serve one thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/call_context.h"

struct sqlite3;
struct sqlite3_stmt;

namespace lastro::retrieval {

class Database;

// SQLite result code -> Status: FULL and TOOBIG are RESOURCE_EXHAUSTED, CORRUPT, NOTADB and IOERR_DATA (a page that
// differs from its checksum) DATA_LOSS, BUSY and LOCKED UNAVAILABLE, CONSTRAINT FAILED_PRECONDITION, READONLY, PERM and
// CANTOPEN PERMISSION_DENIED, INTERRUPT CANCELLED, the rest INTERNAL. `db` may be null; `doing` is a phrase such as
// "open /data/lastro.db".
absl::Status SqliteError(int code, sqlite3* db, absl::string_view doing);

// A prepared statement. Parameters and columns count from 1 and 0, as in SQLite. Bind errors are returned by the next
// Step(). Movable; must not outlive its Database.
class Statement {
 public:
  Statement& Bind(int parameter, int64_t value);
  Statement& Bind(int parameter, double value);
  Statement& BindText(int parameter, absl::string_view value);  // copied
  Statement& BindBlob(int parameter, absl::string_view value);  // not copied: must live until the last Step()

  absl::StatusOr<bool> Step();  // true: a row is there; false: done
  absl::Status Run();           // steps to the end, then Reset()
  void Reset();                 // ready to be bound and stepped again; bindings stay

  // Of the current row. Views live until the next Step() or Reset().
  int64_t Int(int column) const;
  double Double(int column) const;
  absl::string_view Bytes(int column) const;  // a text or a blob
  std::string Text(int column) const { return std::string(Bytes(column)); }
  bool IsNull(int column) const;

 private:
  friend class Database;
  struct Finalizer {
    void operator()(sqlite3_stmt* statement) const;
  };
  Statement(sqlite3_stmt* statement, Database* db) : statement_(statement), db_(db) {}
  void Note(int code);

  std::unique_ptr<sqlite3_stmt, Finalizer> statement_;
  Database* db_;
  int bind_error_ = 0;
};

class Database {
 public:
  // Opens `path`, made when missing, with the settings every connection of the store has (WAL, FULL, foreign keys) and
  // the "lastro" tokenizer. `read_only` connections refuse to change anything.
  static absl::StatusOr<std::unique_ptr<Database>> Open(const std::string& path, bool read_only);
  // Reads the database as its file alone has it, without a log (WAL) beside it. Nobody may write meanwhile.
  static absl::StatusOr<std::unique_ptr<Database>> OpenWithoutLog(const std::string& path);
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  absl::StatusOr<Statement> Prepare(absl::string_view sql);
  absl::Status Execute(const std::string& sql);             // one or more statements without results
  absl::StatusOr<int64_t> QueryInt(absl::string_view sql);  // the first column of the first row; NOT_FOUND: no row
  int64_t last_insert_id() const;
  int64_t changes() const;  // rows changed by the latest statement
  // Since the connection was opened, with those of full-text indexes' own tables.
  int64_t total_changes() const;
  int64_t bytes_written();  // pages given to the disk since then

  // From now on commits do not put the log into the database: `hear` is told after each how long the log is, in bytes.
  void LeaveLogAlone(std::function<void(int64_t log_bytes)> hear);
  struct LogState {
    int64_t bytes = 0;  // length of the log
    int64_t moved = 0;  // of them in the database
    bool anew = false;  // the next commit begins the log anew
  };
  // Puts into the database what the log has, up to what the oldest reader needs. `begin_anew`: waits for readers, each
  // step of that no longer than SetBusyTimeout says, so that the log can begin anew. REQUIRES: no other connection does
  // so at the same time; with `begin_anew`, nobody writes.
  absl::StatusOr<LogState> MoveLog(bool begin_anew);
  void SetBusyTimeout(int busy_ms);  // how long a lock is waited for

  // While set, every statement checks `context` now and then and fails with its status. nullptr: no check. Not owned.
  void SetContext(const CallContext* context);

  sqlite3* handle() const { return handle_.get(); }
  const std::string& path() const { return path_; }

 private:
  friend class Statement;
  struct Closer {
    void operator()(sqlite3* handle) const;
  };
  explicit Database(std::string path) : path_(std::move(path)) {}
  static absl::StatusOr<std::unique_ptr<Database>> OpenHandle(const std::string& path, const std::string& name,
                                                              int flags);
  absl::Status Error(int code, absl::string_view doing) const;
  int64_t page_bytes();

  const std::string path_;
  std::unique_ptr<sqlite3, Closer> handle_;
  const CallContext* context_ = nullptr;
  std::function<void(int64_t)> hear_log_;
  int64_t page_bytes_ = 0;  // 0: not known yet
};

// BEGIN on construction; rolled back at the end of its life unless committed.
class Transaction {
 public:
  enum class Kind { kRead, kWrite };
  static absl::StatusOr<Transaction> Begin(Database& db, Kind kind);
  Transaction(Transaction&& other) noexcept;
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();
  absl::Status Commit();  // on failure the transaction is rolled back

 private:
  explicit Transaction(Database* db) : db_(db) {}
  Database* db_;
};

}  // namespace lastro::retrieval
