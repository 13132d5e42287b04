#include "retrieval/sqlite.h"

#include <sqlite3.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/status_macros.h"
#include "retrieval/bm25.h"
#include "retrieval/fts_tokenizer.h"
#include "retrieval/page_sums.h"

namespace lastro::retrieval {
namespace {

constexpr int kProgressSteps = 20000;  // virtual machine steps between two checks of the context: about a millisecond
constexpr int kBusyTimeoutMs = 10000;

absl::StatusCode CodeOf(int code) {
  if (code == SQLITE_IOERR_DATA) return absl::StatusCode::kDataLoss;
  switch (code & 0xFF) {
    case SQLITE_FULL:
    case SQLITE_TOOBIG:
    case SQLITE_NOMEM:
      return absl::StatusCode::kResourceExhausted;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::StatusCode::kDataLoss;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::StatusCode::kUnavailable;
    case SQLITE_CONSTRAINT:
      return absl::StatusCode::kFailedPrecondition;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_CANTOPEN:
      return absl::StatusCode::kPermissionDenied;
    case SQLITE_INTERRUPT:
      return absl::StatusCode::kCancelled;
    default:
      return absl::StatusCode::kInternal;
  }
}

absl::string_view AdviceFor(absl::StatusCode status, int code) {
  if (status == absl::StatusCode::kDataLoss) return "; 'lastro doctor' tells what is damaged and what can be mended";
  if ((code & 0xFF) == SQLITE_FULL) return "; free some disk space and try again";
  if ((code & 0xFF) == SQLITE_IOERR) return "; check the disk and the system's log, then try again";
  if ((code & 0xFF) == SQLITE_CANTOPEN) return "; check that the folder is there and may be written, then try again";
  return "";
}

int CheckContext(void* context) { return static_cast<const CallContext*>(context)->Check().ok() ? 0 : 1; }

}  // namespace

absl::Status SqliteError(int code, sqlite3* db, absl::string_view doing) {
  const char* detail = db != nullptr ? sqlite3_errmsg(db) : sqlite3_errstr(code);
  bool differs = code == SQLITE_IOERR_DATA;
  if (differs) detail = "a page of the file differs from its checksum";
  std::string message = absl::StrCat("store: ", doing, ": ", detail);
  bool from_system = (code & 0xFF) == SQLITE_IOERR || (code & 0xFF) == SQLITE_CANTOPEN;
  int system_error = db != nullptr && from_system && !differs ? sqlite3_system_errno(db) : 0;
  if (system_error != 0) absl::StrAppend(&message, " (", std::strerror(system_error), ")");
  absl::StatusCode status = CodeOf(code);
  absl::StrAppend(&message, AdviceFor(status, code));
  return absl::Status(status, message);
}

// --- Statement

void Statement::Finalizer::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

void Statement::Note(int code) {
  if (code != SQLITE_OK && bind_error_ == SQLITE_OK) bind_error_ = code;
}

Statement& Statement::Bind(int parameter, int64_t value) {
  Note(sqlite3_bind_int64(statement_.get(), parameter, value));
  return *this;
}

Statement& Statement::Bind(int parameter, double value) {
  Note(sqlite3_bind_double(statement_.get(), parameter, value));
  return *this;
}

Statement& Statement::BindText(int parameter, absl::string_view value) {
  const char* data = value.empty() ? "" : value.data();
  Note(sqlite3_bind_text64(statement_.get(), parameter, data, value.size(), SQLITE_TRANSIENT, SQLITE_UTF8));
  return *this;
}

Statement& Statement::BindBlob(int parameter, absl::string_view value) {
  const char* data = value.empty() ? "" : value.data();
  Note(sqlite3_bind_blob64(statement_.get(), parameter, data, value.size(), SQLITE_STATIC));
  return *this;
}

absl::StatusOr<bool> Statement::Step() {
  if (bind_error_ != SQLITE_OK) return db_->Error(std::exchange(bind_error_, SQLITE_OK), "bind a parameter");
  int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  absl::Status error = db_->Error(code, "run a statement");
  sqlite3_reset(statement_.get());
  return error;
}

absl::Status Statement::Run() {
  while (true) {
    LASTRO_ASSIGN_OR_RETURN(bool more, Step());
    if (!more) break;
  }
  Reset();
  return absl::OkStatus();
}

void Statement::Reset() { sqlite3_reset(statement_.get()); }

int64_t Statement::Int(int column) const { return sqlite3_column_int64(statement_.get(), column); }
double Statement::Double(int column) const { return sqlite3_column_double(statement_.get(), column); }
bool Statement::IsNull(int column) const { return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL; }

absl::string_view Statement::Bytes(int column) const {
  const void* data = sqlite3_column_blob(statement_.get(), column);  // text comes as it is: the database is UTF-8
  int size = sqlite3_column_bytes(statement_.get(), column);
  return data == nullptr ? absl::string_view() : absl::string_view(static_cast<const char*>(data), size);
}

// --- Database

void Database::Closer::operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }

absl::StatusOr<std::unique_ptr<Database>> Database::OpenHandle(const std::string& path, const std::string& name,
                                                               int flags) {
  LASTRO_RETURN_IF_ERROR(RegisterPageSums());
  std::unique_ptr<Database> db(new Database(path));
  sqlite3* handle = nullptr;
  int code = sqlite3_open_v2(name.c_str(), &handle, flags | SQLITE_OPEN_NOMUTEX, kPageSumsVfs);
  db->handle_.reset(handle);
  if (code != SQLITE_OK) return SqliteError(code, handle, "open " + path);
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, kBusyTimeoutMs);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  LASTRO_RETURN_IF_ERROR(RegisterTokenizer(handle));
  LASTRO_RETURN_IF_ERROR(RegisterBm25(handle));
  return db;
}

absl::StatusOr<std::unique_ptr<Database>> Database::OpenWithoutLog(const std::string& path) {
  // In a URI these three have a meaning.
  std::string name = absl::StrReplaceAll(path, {{"%", "%25"}, {"?", "%3f"}, {"#", "%23"}});
  return OpenHandle(path, absl::StrCat("file:", name, "?immutable=1"), SQLITE_OPEN_READONLY | SQLITE_OPEN_URI);
}

absl::StatusOr<std::unique_ptr<Database>> Database::Open(const std::string& path, bool read_only) {
  int flags = SQLITE_OPEN_READWRITE | (read_only ? 0 : SQLITE_OPEN_CREATE);
  LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<Database> db, OpenHandle(path, path, flags));
  if (!read_only) {
    // A new database can give pages back; one of an earlier version can from its next purge on.
    LASTRO_RETURN_IF_ERROR(db->Execute("PRAGMA page_size=8192;"));
    LASTRO_ASSIGN_OR_RETURN(int64_t pages, db->QueryInt("PRAGMA page_count"));
    if (pages == 0) LASTRO_RETURN_IF_ERROR(db->Execute("PRAGMA auto_vacuum=INCREMENTAL;"));
  }
  // FULL: a commit is on the disk when it returns, so that it survives a power cut too.
  LASTRO_RETURN_IF_ERROR(
      db->Execute("PRAGMA page_size=8192; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
                  "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA journal_size_limit=67108864;"
                  "PRAGMA cache_size=-16000;"));
  if (read_only) LASTRO_RETURN_IF_ERROR(db->Execute("PRAGMA query_only=ON;"));
  return db;
}

absl::Status Database::Error(int code, absl::string_view doing) const {
  if ((code & 0xFF) == SQLITE_INTERRUPT && context_ != nullptr) {
    if (absl::Status status = context_->Check(); !status.ok()) return status;
  }
  return SqliteError(code, handle_.get(), absl::StrCat(doing, " (", path_, ")"));
}

absl::StatusOr<Statement> Database::Prepare(absl::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  int code = sqlite3_prepare_v3(handle_.get(), sql.data(), static_cast<int>(sql.size()), 0, &statement, nullptr);
  if (code != SQLITE_OK) return Error(code, "prepare a statement");
  return Statement(statement, this);
}

absl::Status Database::Execute(const std::string& sql) {
  int code = sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return Error(code, "run a statement");
  return absl::OkStatus();
}

absl::StatusOr<int64_t> Database::QueryInt(absl::string_view sql) {
  LASTRO_ASSIGN_OR_RETURN(Statement statement, Prepare(sql));
  LASTRO_ASSIGN_OR_RETURN(bool found, statement.Step());
  if (!found) return absl::NotFoundError("store: a query gave no row");
  return statement.Int(0);
}

int64_t Database::last_insert_id() const { return sqlite3_last_insert_rowid(handle_.get()); }
int64_t Database::changes() const { return sqlite3_changes64(handle_.get()); }
int64_t Database::total_changes() const { return sqlite3_total_changes64(handle_.get()); }

int64_t Database::page_bytes() {
  if (page_bytes_ == 0) page_bytes_ = QueryInt("PRAGMA page_size").value_or(0);
  return page_bytes_;
}

int64_t Database::bytes_written() {
  int pages = 0, highest = 0;
  (void)sqlite3_db_status(handle_.get(), SQLITE_DBSTATUS_CACHE_WRITE, &pages, &highest, /*resetFlg=*/0);
  return pages * page_bytes();
}

void Database::LeaveLogAlone(std::function<void(int64_t log_bytes)> hear) {
  hear_log_ = std::move(hear);
  (void)page_bytes();  // a hook must not use the connection
  sqlite3_wal_hook(
      handle_.get(),
      [](void* self, sqlite3*, const char*, int pages) {
        auto* db = static_cast<Database*>(self);
        db->hear_log_(pages * db->page_bytes_);
        return SQLITE_OK;
      },
      this);
}

absl::StatusOr<Database::LogState> Database::MoveLog(bool begin_anew) {
  int pages = 0, moved = 0;
  const int mode = begin_anew ? SQLITE_CHECKPOINT_RESTART : SQLITE_CHECKPOINT_PASSIVE;
  int code = sqlite3_wal_checkpoint_v2(handle_.get(), "main", mode, &pages, &moved);
  if (code != SQLITE_OK && code != SQLITE_BUSY) return Error(code, "put the log into the database");
  LogState state;
  state.bytes = std::max(0, pages) * page_bytes();
  state.moved = std::max(0, moved) * page_bytes();
  state.anew = begin_anew && code == SQLITE_OK;
  return state;
}

void Database::SetBusyTimeout(int busy_ms) { sqlite3_busy_timeout(handle_.get(), busy_ms); }

void Database::SetContext(const CallContext* context) {
  context_ = context;
  void* argument = const_cast<CallContext*>(context);
  sqlite3_progress_handler(handle_.get(), context == nullptr ? 0 : kProgressSteps,
                           context == nullptr ? nullptr : CheckContext, argument);
}

// --- Transaction

absl::StatusOr<Transaction> Transaction::Begin(Database& db, Kind kind) {
  LASTRO_RETURN_IF_ERROR(db.Execute(kind == Kind::kWrite ? "BEGIN IMMEDIATE" : "BEGIN"));
  return Transaction(&db);
}

Transaction::Transaction(Transaction&& other) noexcept : db_(std::exchange(other.db_, nullptr)) {}

Transaction::~Transaction() {
  if (db_ == nullptr) return;
  if (sqlite3_get_autocommit(db_->handle()) == 0) sqlite3_exec(db_->handle(), "ROLLBACK", nullptr, nullptr, nullptr);
}

absl::Status Transaction::Commit() {
  absl::Status status = db_->Execute("COMMIT");
  if (status.ok()) db_ = nullptr;
  return status;
}

}  // namespace lastro::retrieval
