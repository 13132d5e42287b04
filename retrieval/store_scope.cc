#include "retrieval/store_scope.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "retrieval/filter_fields.h"
#include "retrieval/validation.h"

namespace lastro::retrieval {
namespace {

// Documents that share a label, or have none (see FieldsOf).
Filter VisibleTo(const Scope& scope) {
  Filter filter;
  if (scope.all_labels) return filter;
  filter.op = Filter::Op::kIn;
  filter.field = std::string(kLabelField);
  filter.values.emplace_back(std::string());
  filter.values.insert(filter.values.end(), scope.labels.begin(), scope.labels.end());
  return filter;
}

}  // namespace

StoreScope::StoreScope(const Scope& scope) : scope_(scope), visible_(VisibleTo(scope)) {
  LASTRO_CHECK(ValidateScope(scope).ok());
}

absl::StatusOr<std::string> StoreScope::StoredName(const std::string& name) const {
  std::string plain = name;
  if (size_t slash = name.find('/'); scope_.all_tenants && slash != std::string::npos) {
    LASTRO_RETURN_IF_ERROR(ValidateTenant(name.substr(0, slash)));
    plain = name.substr(slash + 1);
  }
  LASTRO_RETURN_IF_ERROR(ValidateCollectionName(plain));
  return scope_.tenant.empty() ? name : absl::StrCat(scope_.tenant, "/", name);
}

std::optional<std::string> StoreScope::KnownName(const std::string& stored) const {
  if (scope_.all_tenants) return stored;
  absl::string_view name = stored;
  bool mine = scope_.tenant.empty() || absl::ConsumePrefix(&name, absl::StrCat(scope_.tenant, "/"));
  if (!mine || name.find('/') != absl::string_view::npos) return std::nullopt;
  return std::string(name);
}

absl::Status StoreScope::CheckMayGive(const std::vector<std::string>& labels) const {
  if (Sees(labels)) return absl::OkStatus();
  return absl::PermissionDeniedError("a document must keep an access label that the caller has, or have none");
}

absl::Status StoreScope::CheckSeesAll(const std::string& action) const {
  if (sees_all()) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrCat(action, " takes a caller that all access labels are open to"));
}

}  // namespace lastro::retrieval
