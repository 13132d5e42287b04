#include "retrieval/filter.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "retrieval/filter_fields.h"

namespace lastro::retrieval {
namespace {

constexpr int kMaxDepth = 16;
constexpr int kMaxNodes = 256;
constexpr size_t kMaxValues = 10000;

using Op = Filter::Op;

bool IsLogical(Op op) { return op == Op::kAnd || op == Op::kOr || op == Op::kNot; }

absl::Status ValidateValue(const MetadataScalar& value, const std::string& field) {
  const double* number = std::get_if<double>(&value);
  if (number != nullptr && !std::isfinite(*number)) {
    return absl::InvalidArgumentError(absl::StrCat("filter on \"", field, "\": a number is not finite"));
  }
  return absl::OkStatus();
}

absl::Status ValidateComparison(const Filter& filter) {
  if (filter.field.empty() || !IsValidUtf8(filter.field)) {
    return absl::InvalidArgumentError("filter: a comparison needs the name of a field in valid UTF-8");
  }
  if (!filter.children.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("filter on \"", filter.field, "\": a comparison has no children"));
  }
  if (filter.op != Op::kIn && filter.values.size() != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("filter on \"", filter.field, "\": expected one value, got ", filter.values.size()));
  }
  if (filter.op == Op::kPrefix && !std::holds_alternative<std::string>(filter.values[0])) {
    return absl::InvalidArgumentError(absl::StrCat("filter on \"", filter.field, "\": a prefix must be a string"));
  }
  for (const MetadataScalar& value : filter.values) LASTRO_RETURN_IF_ERROR(ValidateValue(value, filter.field));
  return absl::OkStatus();
}

absl::Status ValidateNode(const Filter& filter) {
  if (filter.op < Op::kAll || filter.op > Op::kPrefix) return absl::InvalidArgumentError("filter: unknown operation");
  if (!IsLogical(filter.op) && filter.op != Op::kAll) return ValidateComparison(filter);
  if (!filter.values.empty() || !filter.field.empty()) {
    return absl::InvalidArgumentError("filter: only comparisons have a field and values");
  }
  if (filter.op == Op::kAll && !filter.children.empty()) {
    return absl::InvalidArgumentError("filter: the filter that matches all has no children");
  }
  if (filter.op == Op::kNot && filter.children.size() != 1) {
    return absl::InvalidArgumentError("filter: not needs exactly one child");
  }
  if (IsLogical(filter.op) && filter.children.empty()) {
    return absl::InvalidArgumentError("filter: and, or need at least one child");
  }
  return absl::OkStatus();
}

struct Budget {
  int nodes = kMaxNodes;
  size_t values = kMaxValues;
};

absl::Status ValidateTree(const Filter& filter, int depth, Budget* budget) {
  if (depth > kMaxDepth) return absl::InvalidArgumentError(absl::StrCat("filter: deeper than ", kMaxDepth));
  if (--budget->nodes < 0) return absl::InvalidArgumentError(absl::StrCat("filter: more than ", kMaxNodes, " nodes"));
  if (filter.values.size() > budget->values) {
    return absl::InvalidArgumentError(absl::StrCat("filter: more than ", kMaxValues, " values"));
  }
  budget->values -= filter.values.size();
  LASTRO_RETURN_IF_ERROR(ValidateNode(filter));
  for (const Filter& child : filter.children) LASTRO_RETURN_IF_ERROR(ValidateTree(child, depth + 1, budget));
  return absl::OkStatus();
}

// Values of different types are unequal and unordered; strings are ordered by bytes, false comes before true.
template <typename Compare>
bool SameTypeAnd(const MetadataScalar& left, const MetadataScalar& right, Compare compare) {
  return left.index() == right.index() && compare(left, right);
}

bool HasPrefix(const MetadataScalar& value, const MetadataScalar& prefix) {
  const auto* text = std::get_if<std::string>(&value);
  const auto* start = std::get_if<std::string>(&prefix);
  return text != nullptr && start != nullptr && absl::StartsWith(*text, *start);
}

bool Compare(const Filter& filter, const MetadataScalar& value) {
  if (filter.values.empty()) return false;  // an empty kIn, or malformed
  switch (filter.op) {
    case Op::kEqual:
      return value == filter.values[0];
    case Op::kNotEqual:
      return value != filter.values[0];
    case Op::kLess:
      return SameTypeAnd(value, filter.values[0], std::less<>());
    case Op::kLessOrEqual:
      return SameTypeAnd(value, filter.values[0], std::less_equal<>());
    case Op::kGreater:
      return SameTypeAnd(value, filter.values[0], std::greater<>());
    case Op::kGreaterOrEqual:
      return SameTypeAnd(value, filter.values[0], std::greater_equal<>());
    case Op::kIn:
      return std::find(filter.values.begin(), filter.values.end(), value) != filter.values.end();
    case Op::kPrefix:
      return HasPrefix(value, filter.values[0]);
    default:
      return false;
  }
}

bool CompareField(const Filter& filter, const MetadataList& values) {
  auto compare = [&](const MetadataScalar& value) { return Compare(filter, value); };
  if (filter.op == Op::kNotEqual) return !values.empty() && std::all_of(values.begin(), values.end(), compare);
  return std::any_of(values.begin(), values.end(), compare);
}

}  // namespace

Filter Both(const Filter& left, const Filter& right) {
  if (left.op == Op::kAll) return right;
  if (right.op == Op::kAll) return left;
  Filter both;
  both.op = Op::kAnd;
  both.children = {left, right};
  return both;
}

absl::Status Filter::Validate() const {
  Budget budget;
  return ValidateTree(*this, 1, &budget);
}

bool Filter::Matches(const Document& document) const {
  auto matches = [&](const Filter& child) { return child.Matches(document); };
  switch (op) {
    case Op::kAll:
      return true;
    case Op::kAnd:
      return std::all_of(children.begin(), children.end(), matches);
    case Op::kOr:
      return std::any_of(children.begin(), children.end(), matches);
    case Op::kNot:
      return std::none_of(children.begin(), children.end(), matches);
    default:
      return CompareField(*this, FieldOf(document, field));
  }
}

}  // namespace lastro::retrieval
