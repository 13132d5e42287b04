#include "engine/chat/value_tests.h"

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/chat/operators.h"

namespace lastro::engine::chat {
namespace {

using Predicate = bool (*)(const Value&);

bool IsSequence(const Value& v) { return v.AsText() || v.AsList() || v.AsDict() || v.is_undefined(); }
bool HasCase(const Value& v, bool upper) {
  if (v.AsText() == nullptr) return false;
  const Text cased = WithCase(*v.AsText(), upper ? Case::kUpper : Case::kLower);
  const Text other = WithCase(*v.AsText(), upper ? Case::kLower : Case::kUpper);
  return cased == *v.AsText() && !(other == *v.AsText());
}

const absl::flat_hash_map<absl::string_view, Predicate>& Predicates() {
  static const auto* const kPredicates = new absl::flat_hash_map<absl::string_view, Predicate>{
      {"defined", [](const Value& v) { return !v.is_undefined(); }},
      {"undefined", [](const Value& v) { return v.is_undefined(); }},
      {"none", [](const Value& v) { return v.is_none(); }},
      {"string", [](const Value& v) { return v.AsText() != nullptr; }},
      {"mapping", [](const Value& v) { return v.AsDict() != nullptr; }},
      {"sequence", IsSequence},
      {"iterable", IsSequence},
      {"number", [](const Value& v) { return v.is_number(); }},
      {"integer", [](const Value& v) { return v.AsInt() != nullptr; }},
      {"float", [](const Value& v) { return v.AsFloat() != nullptr; }},
      {"boolean", [](const Value& v) { return v.AsBool() != nullptr; }},
      {"true", [](const Value& v) { return v.AsBool() && *v.AsBool(); }},
      {"false", [](const Value& v) { return v.AsBool() && !*v.AsBool(); }},
      {"callable", [](const Value& v) { return v.AsMacro() || v.AsBuiltin() || v.is_undefined(); }},
      {"upper", [](const Value& v) { return HasCase(v, true); }},
      {"lower", [](const Value& v) { return HasCase(v, false); }},
  };
  return *kPredicates;
}

const absl::flat_hash_map<absl::string_view, absl::string_view>& Comparisons() {
  static const auto* const kComparisons = new absl::flat_hash_map<absl::string_view, absl::string_view>{
      {"eq", "=="}, {"equalto", "=="}, {"ne", "!="}, {"lt", "<"},          {"lessthan", "<"},
      {"le", "<="}, {"gt", ">"},       {"ge", ">="}, {"greaterthan", ">"}, {"in", "in"},
  };
  return *kComparisons;
}

bool IsSame(const Value& a, const Value& b) {
  const bool same_kind = a.KindName() == b.KindName();
  return same_kind && Equal(a, b);
}

}  // namespace

bool IsTest(absl::string_view name) {
  return Predicates().contains(name) || Comparisons().contains(name) || name == "odd" || name == "even" ||
         name == "divisibleby" || name == "sameas";
}

absl::StatusOr<bool> ApplyTest(absl::string_view name, const Value& value, const Arguments& arguments, Budget* budget) {
  if (auto predicate = Predicates().find(name); predicate != Predicates().end()) {
    LASTRO_RETURN_IF_ERROR(arguments.Check(absl::StrCat("the test '", name, "'"), 0, 0));
    return predicate->second(value);
  }
  const bool parity = name == "odd" || name == "even";
  LASTRO_RETURN_IF_ERROR(arguments.Check(absl::StrCat("the test '", name, "'"), parity ? 0 : 1, parity ? 0 : 1));
  if (auto comparison = Comparisons().find(name); comparison != Comparisons().end()) {
    return ApplyComparison(comparison->second, value, arguments.positional[0], budget);
  }
  if (name == "sameas") return IsSame(value, arguments.positional[0]);
  LASTRO_ASSIGN_OR_RETURN(int64_t divisor, arguments.Int(0, "num", 2));
  if (divisor == 0) return absl::InvalidArgumentError("division by zero");
  if (value.AsInt() == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("the test '", name, "' of ", value.KindName()));
  }
  const bool divides = divisor == -1 || *value.AsInt() % divisor == 0;
  return divides == (name != "odd");
}

}  // namespace lastro::engine::chat
