#include "retrieval/store_identity.h"

#include <sqlite3.h>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "retrieval/page_sums.h"

namespace lastro::retrieval {
namespace {

// 0 when there is none, or no such table: the database is new.
absl::StatusOr<int64_t> MetaValue(Database& db, const char* key) {
  LASTRO_ASSIGN_OR_RETURN(int64_t exists, db.QueryInt("SELECT count(*) FROM sqlite_schema WHERE name='meta'"));
  if (exists == 0) return 0;
  absl::StatusOr<int64_t> value = db.QueryInt(absl::StrCat("SELECT value FROM meta WHERE key='", key, "'"));
  if (absl::IsNotFound(value.status())) return 0;
  return value;
}

absl::StatusOr<int64_t> Writes(Database& db) {
  LASTRO_ASSIGN_OR_RETURN(const int64_t commits, MetaValue(db, "commit"));
  LASTRO_ASSIGN_OR_RETURN(const int64_t others, MetaValue(db, "upkeep"));
  return commits + others;
}

void KeepLogAtClose(Database& db, bool keep) {
  sqlite3_db_config(db.handle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep ? 1 : 0, nullptr);
}

// DATA_LOSS when the database is another store's than the one noted.
absl::Status CheckStore(Database& db) {
  const int64_t noted_store = ReadNote(db.handle(), Note::kStore);
  LASTRO_ASSIGN_OR_RETURN(int64_t store, MetaValue(db, "store"));
  if (noted_store == 0 || store == noted_store) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("store ", db.path(), ": it or its log (", db.path(), "-wal) is that of ",
                                          "another store; put back the files or restore a backup ",
                                          "('lastro store restore')"));
}

}  // namespace

absl::Status CheckIdentity(Database& db) {
  KeepLogAtClose(db, true);
  // The note first: another connection may commit in between.
  const int64_t noted = ReadNote(db.handle(), Note::kWrites);
  LASTRO_ASSIGN_OR_RETURN(const int64_t writes, Writes(db));
  if (noted > writes) {
    return absl::DataLossError(absl::StrCat("store ", db.path(), ": has ", writes, " writes, but ", noted,
                                            " were made: it or its log (", db.path(), "-wal) was lost, damaged or ",
                                            "replaced; put back the files, restore a backup ('lastro store restore'), ",
                                            "or go on with what is there: 'lastro doctor --repair --drop-damaged'"));
  }
  LASTRO_RETURN_IF_ERROR(CheckStore(db));
  KeepLogAtClose(db, false);
  return absl::OkStatus();
}

absl::StatusOr<bool> HasLostWrites(Database& db) {
  const int64_t noted = ReadNote(db.handle(), Note::kWrites);
  LASTRO_ASSIGN_OR_RETURN(const int64_t writes, Writes(db));
  return noted > writes;
}

absl::Status AcceptLoss(Database& db) {
  LASTRO_RETURN_IF_ERROR(CheckStore(db));
  LASTRO_ASSIGN_OR_RETURN(const int64_t writes, Writes(db));
  WriteNote(db.handle(), Note::kWrites, writes);
  return CheckIdentity(db);
}

absl::StatusOr<int64_t> EnsureIdentity(Database& db) {
  LASTRO_ASSIGN_OR_RETURN(int64_t store, MetaValue(db, "store"));
  if (store == 0) {
    LASTRO_RETURN_IF_ERROR(
        db.Execute("INSERT OR IGNORE INTO meta VALUES('store', (random() & 0x7fffffffffffffff) | 1)"));
    LASTRO_ASSIGN_OR_RETURN(store, MetaValue(db, "store"));
  }
  if (ReadNote(db.handle(), Note::kStore) == 0) WriteNote(db.handle(), Note::kStore, store);
  return store;
}

absl::Status CommitAndNote(Database& db, Transaction& transaction) {
  LASTRO_ASSIGN_OR_RETURN(const int64_t writes, Writes(db));
  LASTRO_RETURN_IF_ERROR(transaction.Commit());
  WriteNote(db.handle(), Note::kWrites, writes);
  return absl::OkStatus();
}

}  // namespace lastro::retrieval
