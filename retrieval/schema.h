// The tables of the store and their migrations. See schema.cc for the tables.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "retrieval/sqlite.h"

namespace lastro::retrieval {

inline constexpr int64_t kSchemaVersion = 5;
inline constexpr int64_t kApplicationId = 0x4C535452;  // "LSTR"

// Makes or migrates the tables of `db`, and rebuilds full-text indexes that another tokenizer made. FAILED_PRECONDITION
// when the file belongs to another application or to a newer version of this one.
absl::Status PrepareSchema(Database& db);

// The full-text index of a collection, and the view that FTS5 reads the indexed columns from.
std::string FtsTable(int64_t collection);
std::string FtsView(int64_t collection);
absl::Status CreateFtsTable(Database& db, int64_t collection);
// Has commits merge its segments only where they are so many that the background does not follow (store_upkeep.cc).
absl::Status SetUpFullText(Database& db, int64_t collection);
absl::Status DropFtsTable(Database& db, int64_t collection);
absl::Status RebuildFtsTable(Database& db, int64_t collection);  // from the chunks as they are

// Takes a table or index too damaged to be dropped out of the schema: its pages belong to nobody until a VACUUM.
absl::Status Forget(Database& db, const std::string& name);

// The commit number, kept in `meta`.
absl::StatusOr<int64_t> ReadCommit(Database& db);
absl::StatusOr<int64_t> AdvanceCommit(Database& db);  // within a write transaction; the new number
// Counts a write that is no commit, within its transaction.
absl::Status AdvanceUpkeep(Database& db);

}  // namespace lastro::retrieval
