// The table `collections`, with the sets of vectors of each. Functions run in the caller's transaction.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "retrieval/sqlite.h"
#include "retrieval/types.h"
#include "retrieval/vector_table.h"

namespace lastro::retrieval {

struct CollectionRow {
  int64_t row = 0;
  Collection collection;
  int64_t removed = 0;  // documents that were removed or replaced
  VectorSetRow searched;
  std::optional<VectorSetRow> other;  // on its way in, or kept to go back to

  // That of the model `fingerprint`; null: there is none.
  const VectorSetRow* FindSet(const std::string& fingerprint) const;
  std::vector<const VectorSetRow*> Sets() const;
};

absl::StatusOr<CollectionRow> FindCollection(Database& db, const std::string& name);  // NOT_FOUND
absl::StatusOr<std::vector<CollectionRow>> AllCollections(Database& db);              // by name
// With an empty set of vectors; `commit`: of this transaction. ALREADY_EXISTS.
absl::StatusOr<CollectionRow> InsertCollection(Database& db, const Collection& collection, int64_t commit);
// From here on the other set is searched, and the one that was is the other; `commit`: of this transaction.
absl::Status SearchOtherSet(Database& db, const CollectionRow& collection, int64_t commit);
absl::Status AddToCounts(Database& db, int64_t collection, int64_t documents, int64_t chunks);
absl::Status CountRemovedDocument(Database& db, int64_t collection);

}  // namespace lastro::retrieval
