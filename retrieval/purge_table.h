// Receipts of purges: when what was deleted had gone from every file of the store. The table `purges`; functions run in
// the caller's transaction.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "retrieval/sqlite.h"

namespace lastro::retrieval {

// What was deleted or replaced by commits up to `to_commit` is in no file any more. Bytes are of all files of the data
// folder.
struct PurgeReceipt {
  int64_t id = 0;
  int64_t from_commit = 0;  // of the purge before, 0: there was none
  int64_t to_commit = 0;
  absl::Time at;
  int64_t bytes_before = 0;
  int64_t bytes_after = 0;
  int64_t full_text_indexes = 0;  // merged
  int64_t vector_indexes = 0;     // made anew, because they held vectors of chunks that were deleted
};

absl::Status CreatePurgeTable(Database& db);                         // does nothing when there is one
absl::Status InsertPurge(Database& db, PurgeReceipt* receipt);       // sets `id`
absl::StatusOr<std::vector<PurgeReceipt>> ListPurges(Database& db);  // newest first

}  // namespace lastro::retrieval
