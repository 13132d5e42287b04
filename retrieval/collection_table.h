// The table `collections`. Functions run in the caller's transaction.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "retrieval/sqlite.h"
#include "retrieval/types.h"

namespace lastro::retrieval {

struct CollectionRow {
  int64_t row = 0;
  Collection collection;
  int64_t removed = 0;  // documents that were removed or replaced
};

absl::StatusOr<CollectionRow> FindCollection(Database& db, const std::string& name);   // NOT_FOUND
absl::StatusOr<std::vector<CollectionRow>> AllCollections(Database& db);               // by name
absl::StatusOr<int64_t> InsertCollection(Database& db, const Collection& collection);  // ALREADY_EXISTS
absl::Status AddToCounts(Database& db, int64_t collection, int64_t documents, int64_t chunks);
absl::Status CountRemovedDocument(Database& db, int64_t collection);

}  // namespace lastro::retrieval
