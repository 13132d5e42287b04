#include "retrieval/filter_sql.h"

#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/check.h"
#include "retrieval/timestamps.h"

namespace lastro::retrieval {
namespace {

using Op = Filter::Op;

const char* SqlOperator(Op op) {
  switch (op) {
    case Op::kLess:
      return "<";
    case Op::kLessOrEqual:
      return "<=";
    case Op::kGreater:
      return ">";
    case Op::kGreaterOrEqual:
      return ">=";
    default:
      return "=";
  }
}

// The first byte string after all that begin with `prefix`; "" when there is none.
std::string AfterPrefix(std::string prefix) {
  while (!prefix.empty() && static_cast<unsigned char>(prefix.back()) == 0xFF) prefix.pop_back();
  if (!prefix.empty()) ++prefix.back();
  return prefix;
}

}  // namespace

int64_t StoredType(const MetadataScalar& value) { return static_cast<int64_t>(value.index()); }

MetadataScalar StoredValue(const Statement& row, int type_column, int value_column) {
  switch (row.Int(type_column)) {
    case 1:
      return row.Double(value_column);
    case 2:
      return row.Int(value_column) != 0;
    case 3:
      return FromStoredTime(row.Int(value_column));
    default:
      return std::string(row.Bytes(value_column));
  }
}

void BindStoredValue(Statement& statement, int parameter, const MetadataScalar& value) {
  if (const auto* text = std::get_if<std::string>(&value)) statement.BindBlob(parameter, *text);
  if (const auto* number = std::get_if<double>(&value)) statement.Bind(parameter, *number);
  if (const auto* flag = std::get_if<bool>(&value)) statement.Bind(parameter, int64_t{*flag});
  if (const auto* time = std::get_if<absl::Time>(&value)) statement.Bind(parameter, ToStoredTime(*time));
}

FilterSql::FilterSql(const Filter& filter, int64_t collection, int first_parameter)
    : collection_(collection), first_parameter_(first_parameter) {
  condition_ = Node(filter);
}

void FilterSql::BindTo(Statement& statement) const {
  for (size_t i = 0; i < parameters_.size(); ++i) {
    int parameter = first_parameter_ + static_cast<int>(i);
    if (is_text_[i]) {
      statement.BindText(parameter, std::get<std::string>(parameters_[i]));
    } else {
      BindStoredValue(statement, parameter, parameters_[i]);
    }
  }
}

std::string FilterSql::Node(const Filter& filter) {
  switch (filter.op) {
    case Op::kAll:
      return "1";
    case Op::kAnd:
      return Logical(filter, " AND ");
    case Op::kOr:
      return Logical(filter, " OR ");
    case Op::kNot:
      return absl::StrCat("NOT ", Node(filter.children[0]));
    default:
      return Comparison(filter);
  }
}

std::string FilterSql::Logical(const Filter& filter, const char* separator) {
  std::vector<std::string> parts;
  for (const Filter& child : filter.children) parts.push_back(Node(child));
  return absl::StrCat("(", absl::StrJoin(parts, separator), ")");
}

std::string FilterSql::Parameter(MetadataScalar value) {
  parameters_.push_back(std::move(value));
  is_text_.push_back(false);
  return absl::StrCat("?", first_parameter_ + static_cast<int>(parameters_.size()) - 1);
}

std::string FilterSql::Comparison(const Filter& filter) {
  if (filter.op != Op::kNotEqual) return RowsWith(filter.field, Test(filter));
  return absl::StrCat("(", RowsWith(filter.field, "1"), " AND NOT ",
                      RowsWith(filter.field, TypedTest("=", filter.values[0])), ")");
}

// Documents with a value of `field` for which `test` holds.
std::string FilterSql::RowsWith(const std::string& field, const std::string& test) {
  std::string key = Parameter(field);
  is_text_.back() = true;
  return absl::StrCat("(d.row IN (SELECT document FROM fields WHERE collection=", collection_, " AND key=", key,
                      " AND ", test, "))");
}

std::string FilterSql::TypedTest(const char* comparison, const MetadataScalar& value) {
  return absl::StrCat("(type=", StoredType(value), " AND value", comparison, Parameter(value), ")");
}

std::string FilterSql::Prefix(const std::string& prefix) {
  std::string test = absl::StrCat("(type=0 AND value>=", Parameter(prefix));
  std::string after = AfterPrefix(prefix);
  if (!after.empty()) absl::StrAppend(&test, " AND value<", Parameter(after));
  return test + ")";
}

std::string FilterSql::Test(const Filter& filter) {
  if (filter.op == Op::kPrefix) return Prefix(std::get<std::string>(filter.values[0]));
  if (filter.op != Op::kIn) return TypedTest(SqlOperator(filter.op), filter.values[0]);
  // One list per type, so that SQL stays flat however many values there are.
  std::map<int64_t, std::vector<std::string>> by_type;
  for (const MetadataScalar& value : filter.values) by_type[StoredType(value)].push_back(Parameter(value));
  std::vector<std::string> tests;
  for (const auto& [type, list] : by_type) {
    tests.push_back(absl::StrCat("(type=", type, " AND value IN (", absl::StrJoin(list, ","), "))"));
  }
  return tests.empty() ? "0" : absl::StrCat("(", absl::StrJoin(tests, " OR "), ")");
}

}  // namespace lastro::retrieval
