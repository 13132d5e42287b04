// A full check of the store: SQLite's own pages and keys, the full-text indexes, and that every record is whole. Reads
// everything: for tests and `lastro doctor`.
#pragma once

#include "absl/status/status.h"
#include "retrieval/sqlite.h"

namespace lastro::retrieval {

// DATA_LOSS with the first problems found. `db` must be writable and not in a transaction: FTS5 offers its check as a
// statement that counts as a write, though it changes nothing.
absl::Status CheckStoreIntegrity(Database& db);

}  // namespace lastro::retrieval
