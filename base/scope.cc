#include "base/scope.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"

namespace lastro {
namespace {

constexpr size_t kMaxTenantBytes = 64;
constexpr size_t kMaxLabelBytes = 128;

bool IsNameStart(char c) { return absl::ascii_islower(c) || absl::ascii_isdigit(c); }
bool IsTenantPart(char c) { return IsNameStart(c) || c == '_' || c == '-'; }
bool IsLabelPart(char c) { return absl::ascii_isalnum(c) || absl::string_view("._-:@/+").find(c) != std::string::npos; }

}  // namespace

Scope Scope::Operator() {
  Scope scope;
  scope.all_tenants = true;
  return scope;
}

absl::Status ValidateTenant(absl::string_view tenant) {
  if (!tenant.empty() && tenant.size() <= kMaxTenantBytes && IsNameStart(tenant[0]) &&
      std::all_of(tenant.begin(), tenant.end(), IsTenantPart)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("tenant: expected 1 to ", kMaxTenantBytes,
                   " of a-z, 0-9, '_', '-', beginning with a letter or digit, such as \"acme\""));
}

absl::Status ValidateLabels(absl::Span<const std::string> labels) {
  if (labels.size() > kMaxLabels) {
    return absl::InvalidArgumentError(
        absl::StrCat("access labels: ", labels.size(), ", at most ", kMaxLabels, " are allowed"));
  }
  for (const std::string& label : labels) {
    if (label.empty() || label.size() > kMaxLabelBytes || !std::all_of(label.begin(), label.end(), IsLabelPart)) {
      return absl::InvalidArgumentError(absl::StrCat("access labels: expected 1 to ", kMaxLabelBytes,
                                                     " letters, digits or . _ - : @ / + in each, such as \"hr\""));
    }
  }
  return absl::OkStatus();
}

absl::Status ValidateScope(const Scope& scope) {
  if (!scope.tenant.empty()) LASTRO_RETURN_IF_ERROR(ValidateTenant(scope.tenant));
  return ValidateLabels(scope.labels);
}

absl::StatusOr<std::vector<std::string>> SortedLabels(std::vector<std::string> labels) {
  LASTRO_RETURN_IF_ERROR(ValidateLabels(labels));
  std::sort(labels.begin(), labels.end());
  labels.erase(std::unique(labels.begin(), labels.end()), labels.end());
  return labels;
}

absl::StatusOr<std::vector<std::string>> ParseLabels(absl::string_view text) {
  std::vector<std::string> labels;
  if (text.empty()) return labels;
  for (absl::string_view label : absl::StrSplit(text, ',')) labels.emplace_back(absl::StripAsciiWhitespace(label));
  return SortedLabels(std::move(labels));
}

bool Sees(const Scope& scope, absl::Span<const std::string> labels) {
  if (scope.all_labels || labels.empty()) return true;
  return std::any_of(labels.begin(), labels.end(), [&](const std::string& label) {
    return std::find(scope.labels.begin(), scope.labels.end(), label) != scope.labels.end();
  });
}

std::string ScopeKey(const Scope& scope) {
  std::vector<std::string> labels = scope.labels;
  std::sort(labels.begin(), labels.end());
  return absl::StrCat(scope.all_tenants ? "*" : scope.tenant, "|", scope.all_labels ? "*" : absl::StrJoin(labels, ","));
}

}  // namespace lastro
