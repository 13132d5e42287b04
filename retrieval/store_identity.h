// Which store this is and how far it came, told by the database (the table `meta`) and noted again beside it
// (page_sums.h): a log (WAL) or a database that was lost, or belongs to another store or an older time of this one, is
// one that SQLite would take without a word. Used by who opens a store, before anything else, and by who writes to it.
//
// Every write transaction, commits (AdvanceCommit) and others (AdvanceUpkeep), counts itself in `meta`: so that each
// log has the count with it, and pages of an older one do not get into the database.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "retrieval/sqlite.h"

namespace lastro::retrieval {

// DATA_LOSS when the database has fewer writes than were made, or is another's. Changes nothing, and when it
// fails nor does closing `db`: what the log holds is then not put into the database.
absl::Status CheckIdentity(Database& db);

// Whether it is the former.
absl::StatusOr<bool> HasLostWrites(Database& db);

// Goes on from what is there: what was noted of later ones is forgotten.
absl::Status AcceptLoss(Database& db);

// The store's number, given to a store that has none. REQUIRES: CheckIdentity and PrepareSchema went well.
absl::StatusOr<int64_t> EnsureIdentity(Database& db);

// Commits a write transaction that has counted itself, and notes the count.
absl::Status CommitAndNote(Database& db, Transaction& transaction);

}  // namespace lastro::retrieval
