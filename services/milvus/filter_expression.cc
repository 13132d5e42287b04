#include "services/milvus/filter_expression.h"

#include <bit>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/hash.h"
#include "retrieval/filter_fields.h"

namespace lastro::services {
namespace {

using retrieval::Filter;
using retrieval::MetadataList;
using retrieval::MetadataScalar;
using Op = Filter::Op;

constexpr size_t kMaxFacetDigits = 256;
constexpr uint64_t kSign = uint64_t{1} << 63;

std::string Digits(uint64_t number) { return absl::StrCat(absl::Hex(number, absl::kZeroPad16)); }

// Ordered as the numbers are; both zeros are one.
uint64_t OrderedBits(double number) {
  const uint64_t bits = std::bit_cast<uint64_t>(number == 0 ? 0.0 : number);
  return (bits & kSign) != 0 ? ~bits : bits | kSign;
}

std::string ValueDigits(const MetadataScalar& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return Hex(*text);
  if (const auto* number = std::get_if<double>(&value)) return Digits(OrderedBits(*number));
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "1" : "0";
  return Digits(static_cast<uint64_t>(absl::ToUnixNanos(std::get<absl::Time>(value))) ^ kSign);
}

std::string FieldFacet(const std::string& field) { return absl::StrCat("k", Hex(field)); }

std::string TypeFacet(const std::string& field, const MetadataScalar& value) {
  return absl::StrCat(FieldFacet(field), "t", value.index());
}

std::string ValueFacet(const std::string& field, const MetadataScalar& value) {
  std::string digits = ValueDigits(value);
  if (digits.size() > kMaxFacetDigits) digits = absl::StrCat("h", Sha256Hex(digits));
  return absl::StrCat(TypeFacet(field, value), "v", digits);
}

// --- Expressions

std::string Contains(const std::string& facet) {
  return absl::StrCat("array_contains(", kFacetsColumn, ", \"", facet, "\")");
}

std::string Negated(bool negate, const std::string& condition) {
  return negate ? absl::StrCat("(not ", condition, ")") : condition;
}

// No row has the empty facet.
std::string Constant(bool value) { return Negated(value, Contains("")); }

std::string InExpression(const Filter& filter) {
  if (filter.values.empty()) return Constant(false);
  std::vector<std::string> facets;
  for (const MetadataScalar& value : filter.values) {
    facets.push_back(absl::StrCat("\"", ValueFacet(filter.field, value), "\""));
  }
  return absl::StrCat("array_contains_any(", kFacetsColumn, ", [", absl::StrJoin(facets, ","), "])");
}

std::string PrefixExpression(const Filter& filter) {
  return absl::StrCat("(", kFlatColumn, " like \"%|", FieldFacet(filter.field), "v",
                      Hex(std::get<std::string>(filter.values[0])), "%\")");
}

// Some value is less (greater) when the least (greatest) is. What is missing in a JSON is never compared, because
// servers differ in what they take it for.
std::string RangeExpression(const Filter& filter, bool negate) {
  const MetadataScalar& value = filter.values[0];
  const bool less = filter.op == Op::kLess || filter.op == Op::kLessOrEqual;
  const bool strict = filter.op == Op::kLess || filter.op == Op::kGreater;
  const std::string type = TypeFacet(filter.field, value);
  const char* order = less ? (negate ? ">" : "<") : (negate ? "<" : ">");
  const std::string compared = absl::StrCat(kRangesColumn, "[\"", type, less ? "b" : "e", "\"] ", order,
                                            strict != negate ? "" : "=", " \"", ValueDigits(value), "\"");
  return negate ? absl::StrCat("((not ", Contains(type), ") or ", compared, ")")
                : absl::StrCat("(", Contains(type), " and ", compared, ")");
}

std::string NotEqualExpression(const Filter& filter, bool negate) {
  const std::string has = Contains(FieldFacet(filter.field));
  const std::string equal = Contains(ValueFacet(filter.field, filter.values[0]));
  return negate ? absl::StrCat("((not ", has, ") or ", equal, ")") : absl::StrCat("(", has, " and (not ", equal, "))");
}

// Negations go down to the comparisons.
std::string Expression(const Filter& filter, bool negate) {
  switch (filter.op) {
    case Op::kAll:
      return Constant(!negate);
    case Op::kNot:
      return Expression(filter.children[0], !negate);
    case Op::kAnd:
    case Op::kOr: {
      std::vector<std::string> parts;
      for (const Filter& child : filter.children) parts.push_back(Expression(child, negate));
      return absl::StrCat("(", absl::StrJoin(parts, (filter.op == Op::kAnd) != negate ? " and " : " or "), ")");
    }
    case Op::kEqual:
      return Negated(negate, Contains(ValueFacet(filter.field, filter.values[0])));
    case Op::kNotEqual:
      return NotEqualExpression(filter, negate);
    case Op::kIn:
      return Negated(negate, InExpression(filter));
    case Op::kPrefix:
      return Negated(negate, PrefixExpression(filter));
    case Op::kLess:
    case Op::kLessOrEqual:
    case Op::kGreater:
    case Op::kGreaterOrEqual:
      break;
  }
  return RangeExpression(filter, negate);
}

// --- Rows

// `values` are sorted, by type and then by value.
void AddField(const std::string& field, const MetadataList& values, std::vector<std::string>* ranges,
              FacetColumns* columns) {
  if (values.empty()) return;
  columns->facets.push_back(FieldFacet(field));
  for (size_t i = 0; i < values.size(); ++i) {
    const std::string type = TypeFacet(field, values[i]);
    const std::string digits = ValueDigits(values[i]);
    const bool first = i == 0 || values[i - 1].index() != values[i].index();
    const bool last = i + 1 == values.size() || values[i + 1].index() != values[i].index();
    if (first) columns->facets.push_back(type);
    if (first) ranges->push_back(absl::StrCat("\"", type, "b\":\"", digits, "\""));
    if (last) ranges->push_back(absl::StrCat("\"", type, "e\":\"", digits, "\""));
    columns->facets.push_back(ValueFacet(field, values[i]));
    if (std::holds_alternative<std::string>(values[i])) {
      absl::StrAppend(&columns->flat, "|", FieldFacet(field), "v", digits);
    }
  }
}

absl::Status TooLarge(const retrieval::Document& document, absl::string_view what, size_t size, size_t limit) {
  return absl::InvalidArgumentError(absl::StrCat("document ", document.uri, ": its fields need ", size, " ", what,
                                                 ", a row of Milvus holds ", limit,
                                                 "; shorten its title, origin or metadata"));
}

}  // namespace

std::string Hex(absl::string_view bytes) { return absl::BytesToHexString(bytes); }

std::string AllOf(const std::string& left, const std::string& right) {
  if (left.empty() || right.empty()) return left.empty() ? right : left;
  return absl::StrCat("(", left, ") and (", right, ")");
}

void FacetColumns::AddTo(MilvusRows* rows) const {
  rows->AddTexts(kFacetsColumn, facets);
  rows->AddJson(kRangesColumn, ranges);
  rows->AddText(kFlatColumn, flat);
}

absl::StatusOr<FacetColumns> FacetsOf(const retrieval::Document& document) {
  FacetColumns columns;
  std::vector<std::string> ranges;
  for (const auto& [field, values] : retrieval::FieldsOf(document)) AddField(field, values, &ranges, &columns);
  columns.ranges = absl::StrCat("{", absl::StrJoin(ranges, ","), "}");
  columns.flat += "|";
  if (columns.facets.size() > kMaxFacets) return TooLarge(document, "entries", columns.facets.size(), kMaxFacets);
  if (columns.flat.size() > kMaxColumnBytes) return TooLarge(document, "bytes", columns.flat.size(), kMaxColumnBytes);
  if (columns.ranges.size() > kMaxRangesBytes) {
    return TooLarge(document, "bytes", columns.ranges.size(), kMaxRangesBytes);
  }
  return columns;
}

std::string FilterExpression(const Filter& filter) {
  return filter.op == Op::kAll ? "" : Expression(filter, /*negate=*/false);
}

}  // namespace lastro::services
