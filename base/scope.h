// Scope: what a caller may see and change. Travels in the CallContext; every read and search of the store applies it,
// and every cache of what was read keeps the scopes apart. Plain data.
//
// Tenants do not see each other: a collection of one does not exist for another. Within a tenant, a document has
// access labels, such as "hr" or "board"; a caller sees the documents that share a label with it, and those without.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace lastro {

struct Scope {
  std::string tenant;               // "": the tenant of those who name none
  bool all_labels = true;           // sees every document of its tenant
  std::vector<std::string> labels;  // unless all_labels: those it shares documents with
  bool all_tenants = false;         // the operator's: every tenant, whose collections are named "tenant/name"

  static Scope Operator();

  friend bool operator==(const Scope&, const Scope&) = default;
};

inline constexpr size_t kMaxLabels = 64;  // of a caller, of a document

// 1 to 64 of a-z, 0-9, '_' and '-', the first a letter or digit.
absl::Status ValidateTenant(absl::string_view tenant);
// At most kMaxLabels, each 1 to 128 of A-Z, a-z, 0-9 and ". _ - : @ / +".
absl::Status ValidateLabels(absl::Span<const std::string> labels);
// INVALID_ARGUMENT unless the tenant (or "") and the labels are well-formed.
absl::Status ValidateScope(const Scope& scope);

// Sorted, each once. INVALID_ARGUMENT as ValidateLabels.
absl::StatusOr<std::vector<std::string>> SortedLabels(std::vector<std::string> labels);
// "hr, board" -> {"board", "hr"}; "" gives none. INVALID_ARGUMENT as ValidateLabels.
absl::StatusOr<std::vector<std::string>> ParseLabels(absl::string_view text);

// True when a document with `labels` is visible.
bool Sees(const Scope& scope, absl::Span<const std::string> labels);

// Different for scopes that see different things: the part of a cache's key that keeps them apart.
std::string ScopeKey(const Scope& scope);

}  // namespace lastro
