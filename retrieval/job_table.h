// The table `jobs`. Functions run in the caller's transaction.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "retrieval/sqlite.h"
#include "retrieval/types.h"

namespace lastro::retrieval {

absl::Status StoreJob(Database& db, const Job& job);               // adds or replaces by id
absl::StatusOr<Job> FindJob(Database& db, const std::string& id);  // NOT_FOUND
absl::StatusOr<std::vector<Job>> LatestJobs(Database& db);         // newest first, at most 1,000

}  // namespace lastro::retrieval
