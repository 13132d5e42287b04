// SqliteStore: ChunkStore on one data folder. SQLite (WAL) is the truth; FTS5 and vector indexes are derived from it
// and rebuilt when they do not match. Thread-safe: one writer at a time, readers never wait for it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "retrieval/chunk_store.h"
#include "retrieval/index_kind.h"
#include "retrieval/purge_table.h"
#include "retrieval/row_device.h"
#include "retrieval/upkeep.h"

namespace lastro::retrieval {

struct SqliteStoreOptions {
  std::string folder;                     // made when it does not exist
  int64_t index_after_chunks = 5000;      // a collection's tail beyond this is moved into a new generation of its index
  IndexKindRule vector_index = {};        // which kind of index a generation has
  RowDevice* row_device = nullptr;        // scans exact indexes, as far as it has room; must outlive the store
  UpkeepOptions upkeep = {};              // the database's own work in the background
  size_t result_cache_bytes = 32u << 20;  // of search results, until the next commit; 0: none are kept
  size_t filter_cache_bytes = 64u << 20;  // of the documents that filters and scopes select, until then
};

class SqliteStore : public ChunkStore {
 public:
  // Opens or creates the store. FAILED_PRECONDITION when another process has the folder open for writing (its pid in
  // the message) or its schema is newer than this program; DATA_LOSS when SQLite finds it corrupt.
  static absl::StatusOr<std::unique_ptr<SqliteStore>> Open(const SqliteStoreOptions& options);

  // The number of the latest commit.
  virtual int64_t commit() const = 0;
  // Waits until derived indexes have caught up with the commit at the time of the call.
  virtual absl::Status Flush() = 0;
  // Does at once what is done in the background by and by: full-text indexes merged, the log put into the database,
  // free pages given back.
  virtual absl::Status FinishUpkeep() = 0;
  // Reads everything and compares: SQLite's pages and keys, full-text indexes, counts, orphans, vectors, layouts,
  // content hashes. OK, or DATA_LOSS with the first problems found. Writers wait meanwhile.
  virtual absl::Status CheckIntegrity() = 0;
  // What was deleted or replaced is gone from every search at its commit; when this returns, from every file too: the
  // vector indexes are made anew without it, the full-text indexes merged, the database is rewritten and its log cut.
  // Searches go on, writers wait. UNAVAILABLE: a search still reads what is to go; try again.
  virtual absl::StatusOr<PurgeReceipt> Purge() = 0;
  virtual absl::StatusOr<std::vector<PurgeReceipt>> Purges() = 0;  // all there were, newest first
};

}  // namespace lastro::retrieval
