// A caller's Scope as metadata of a gRPC call; retrieval.proto says what it means. Pure functions, thread-safe.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/scope.h"

namespace lastro::services {

inline constexpr char kTenantHeader[] = "lastro-tenant";
inline constexpr char kLabelsHeader[] = "lastro-labels";

// The values of the two headers, where the call has them.
struct ScopeHeaders {
  std::optional<std::string> tenant;
  std::optional<std::string> labels;
};

// INVALID_ARGUMENT: malformed. UNAUTHENTICATED: `required` and one of them is missing.
absl::StatusOr<Scope> ScopeOfHeaders(const ScopeHeaders& headers, bool required);

// What says `scope`; absent where it is the default.
ScopeHeaders HeadersOfScope(const Scope& scope);

}  // namespace lastro::services
