// A full check of a store's database: SQLite's own pages and keys, that every record is whole and true to its source,
// and that what is derived agrees with it. Reads everything: for tests and `lastro doctor` (doctor.h, which also
// mends).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "retrieval/sqlite.h"

namespace lastro::retrieval {

// What one check found.
struct Finding {
  std::string check;                 // what was looked at, such as "documents"
  int64_t looked_at = 0;             // how many of them
  int64_t problems = 0;              // 0: all is well
  std::vector<std::string> details;  // of the first kMaxDetails problems

  static constexpr size_t kMaxDetails = 20;
  void Report(std::string problem);
  void Report(const absl::Status& damage);  // without what the message says to do and where, which the report does
};

// Whether an error of a statement tells of the data rather than of the call or the machine: SQLite has many codes for
// it, and FTS5 plain errors.
bool IsDamage(const absl::Status& status);

struct DamagedDocument {
  int64_t row = 0;
  std::string collection;
  std::string uri;
  std::string reason;
};

struct IntegrityReport {
  std::vector<Finding> findings;
  std::vector<DamagedDocument> documents;      // each is a problem of the finding "documents" too
  std::vector<int64_t> full_text_collections;  // rows of collections whose full-text index must be made anew
  std::vector<int64_t> other_vectors;          // sets that are not searched and must be filled anew
  bool ok() const;
};

// Told of long work: the check, and how much of it is done.
using CheckProgress = std::function<void(absl::string_view check, int64_t done, int64_t total)>;

// "SELECT count(*)" or "DELETE" of the vectors in a set that belong to no chunk of its collection.
std::string StrayVectors(absl::string_view action, int64_t collection, int64_t set);

// `db` must be writable and not in a transaction: FTS5 offers its check as a statement that counts as a write, though
// it changes nothing. `lister` names the rows to look at; another connection than `db` when pages are damaged, one that
// does not verify them. An error: the check itself could not be made.
absl::StatusOr<IntegrityReport> CheckIntegrity(Database& db, Database& lister, const CheckProgress& progress = nullptr);

// DATA_LOSS with the first problems found.
absl::Status CheckStoreIntegrity(Database& db);

}  // namespace lastro::retrieval
