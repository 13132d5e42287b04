#include "services/scope_headers.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"

namespace lastro::services {
namespace {

constexpr char kAll[] = "*";

}  // namespace

absl::StatusOr<Scope> ScopeOfHeaders(const ScopeHeaders& headers, bool required) {
  if (required && (headers.tenant.value_or("").empty() || !headers.labels.has_value())) {
    return absl::UnauthenticatedError(
        absl::StrCat("this server answers calls that say whose they are: send the metadata ", kTenantHeader, " and ",
                     kLabelsHeader, " (\"*\": all labels)"));
  }
  Scope scope;
  scope.all_tenants = headers.tenant == kAll;
  if (!scope.all_tenants) scope.tenant = headers.tenant.value_or("");
  scope.all_labels = headers.labels.value_or(kAll) == kAll;
  if (!scope.all_labels) {
    LASTRO_ASSIGN_OR_RETURN(scope.labels, ParseLabels(*headers.labels));
  }
  LASTRO_RETURN_IF_ERROR(ValidateScope(scope));
  return scope;
}

ScopeHeaders HeadersOfScope(const Scope& scope) {
  ScopeHeaders headers;
  if (scope.all_tenants) {
    headers.tenant = kAll;
  } else if (!scope.tenant.empty()) {
    headers.tenant = scope.tenant;
  }
  if (!scope.all_labels) {
    headers.labels = absl::StrJoin(scope.labels, ",");
  } else if (headers.tenant.has_value()) {
    headers.labels = kAll;  // for servers that require both
  }
  return headers;
}

}  // namespace lastro::services
