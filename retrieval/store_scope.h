// StoreScope: a caller's Scope in the store's terms. A collection of a tenant is stored as "tenant/name", which no
// caller but the operator can spell; what a caller's labels let it see is a filter. Thread-safe, immutable.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/scope.h"
#include "retrieval/filter.h"
#include "retrieval/types.h"

namespace lastro::retrieval {

class StoreScope {
 public:
  // REQUIRES: ValidateScope(scope).ok().
  explicit StoreScope(const Scope& scope);

  // What the store calls the caller's collection `name`. INVALID_ARGUMENT when it is no name of a collection.
  absl::StatusOr<std::string> StoredName(const std::string& name) const;
  // What the caller calls a collection of the store; none when it is another tenant's.
  std::optional<std::string> KnownName(const std::string& stored) const;

  // The documents of its collections that the caller sees; kAll when there is no limit.
  const Filter& visible() const { return visible_; }
  bool Sees(const std::vector<std::string>& labels) const { return lastro::Sees(scope_, labels); }
  // Whether a job of one of the caller's collections is for him.
  bool SeesJob(const Job& job) const { return Sees(job.labels) && (sees_all() || !job.for_all_labels); }
  bool sees_all() const { return scope_.all_labels; }

  // PERMISSION_DENIED unless the caller may give a document these labels: it must keep seeing it.
  absl::Status CheckMayGive(const std::vector<std::string>& labels) const;
  // PERMISSION_DENIED, saying that `action` takes more than some labels, unless the caller sees all.
  absl::Status CheckSeesAll(const std::string& action) const;

 private:
  const Scope scope_;
  Filter visible_;
};

}  // namespace lastro::retrieval
