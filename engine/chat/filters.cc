#include "engine/chat/filters.h"

#include <algorithm>
#include <cmath>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "engine/chat/access.h"
#include "engine/chat/json_writer.h"
#include "engine/chat/methods.h"
#include "engine/chat/operators.h"
#include "engine/chat/value_tests.h"

namespace lastro::engine::chat {
namespace {

// What a filter is called with.
struct Call {
  absl::string_view name;
  const Value& value;
  const Arguments& arguments;
  Budget* budget;

  absl::Status Check(size_t most, absl::Span<const absl::string_view> names = {}) const {
    return arguments.Check(absl::StrCat("the filter '", name, "'"), 0, most, names);
  }
  absl::Status WrongValue() const {
    if (value.is_undefined())
      return absl::InvalidArgumentError(absl::StrCat("'", value.MissingWhat(), "' is undefined"));
    return absl::InvalidArgumentError(absl::StrCat("the filter '", name, "' does not take ", value.KindName()));
  }
  absl::StatusOr<Text> Printed() const { return PrintedText(value, budget); }
  absl::StatusOr<std::vector<Value>> Items() const { return ItemsOf(value, budget); }
};

using Filter = absl::StatusOr<Value> (*)(const Call&);

// ---- of text

absl::StatusOr<Value> Trim(const Call& call) {
  LASTRO_RETURN_IF_ERROR(call.Check(1, {"chars"}));
  LASTRO_ASSIGN_OR_RETURN(Text text, call.Printed());
  const Value* chars = call.arguments.Find(0, "chars");
  if (chars == nullptr || chars->is_none()) return Value(Strip(text, Side::kBoth));
  LASTRO_ASSIGN_OR_RETURN(Text set, call.arguments.String(0, "chars", ""));
  return Value(Strip(text, Side::kBoth, &set));
}

absl::StatusOr<Value> ChangeCase(const Call& call) {
  LASTRO_RETURN_IF_ERROR(call.Check(0));
  LASTRO_ASSIGN_OR_RETURN(Text text, call.Printed());
  return Value(WithCase(text, call.name == "upper"   ? Case::kUpper
                              : call.name == "lower" ? Case::kLower
                              : call.name == "title" ? Case::kTitle
                                                     : Case::kCapitalize));
}

absl::StatusOr<Value> ToStringFilter(const Call& call) {
  LASTRO_RETURN_IF_ERROR(call.Check(0));
  LASTRO_ASSIGN_OR_RETURN(Text text, call.Printed());
  return Value(std::move(text));
}

absl::StatusOr<Value> ReplaceFilter(const Call& call) {
  LASTRO_ASSIGN_OR_RETURN(Text text, call.Printed());
  return CallTextMethod(text, "replace", call.arguments, call.budget);
}

absl::StatusOr<Value> Indent(const Call& call) {
  LASTRO_RETURN_IF_ERROR(call.Check(3, {"width", "first", "blank"}));
  LASTRO_ASSIGN_OR_RETURN(Text text, call.Printed());
  const Value* given = call.arguments.Find(0, "width");
  Text margin;
  if (given != nullptr && given->AsText()) {
    margin = *given->AsText();
  } else {
    LASTRO_ASSIGN_OR_RETURN(int64_t width, call.arguments.Int(0, "width", 4));
    margin.Append(std::string(static_cast<size_t>(std::clamp<int64_t>(width, 0, 1000)), ' '), true);
  }
  LASTRO_ASSIGN_OR_RETURN(bool first, call.arguments.Bool(1, "first", false));
  LASTRO_ASSIGN_OR_RETURN(bool blank, call.arguments.Bool(2, "blank", false));
  text.Append("\n", true);  // the reference does so, so that a last line break is kept
  const std::vector<Text> lines = SplitLines(text);
  LASTRO_RETURN_IF_ERROR(call.budget->Write(static_cast<int64_t>(lines.size() * (margin.size() + 1))));
  Text out;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out.Append("\n", true);
    if (i == 0 ? first : blank || !lines[i].empty()) out.Append(margin);
    out.Append(lines[i]);
  }
  return Value(std::move(out));
}

absl::StatusOr<Value> Format(const Call& call) {
  if (call.value.AsText() == nullptr) return call.WrongValue();
  LASTRO_RETURN_IF_ERROR(call.Check(SIZE_MAX));
  LASTRO_ASSIGN_OR_RETURN(Value values, Value::MakeList(call.arguments.positional, true));
  LASTRO_ASSIGN_OR_RETURN(Text text, FormatPercent(*call.value.AsText(), values, call.budget));
  return Value(std::move(text));
}

absl::StatusOr<Value> ToJsonFilter(const Call& call) {
  LASTRO_RETURN_IF_ERROR(call.Check(4, {"ensure_ascii", "indent", "separators", "sort_keys"}));
  JsonStyle style;
  LASTRO_ASSIGN_OR_RETURN(style.ensure_ascii, call.arguments.Bool(0, "ensure_ascii", false));
  const Value* indent = call.arguments.Find(1, "indent");
  if (indent != nullptr && !indent->is_none()) {
    LASTRO_ASSIGN_OR_RETURN(int64_t spaces, call.arguments.Int(1, "indent", 0));
    style.indent = static_cast<int>(std::clamp<int64_t>(spaces, 0, 100));
    style.item_separator = ",";
  }
  const Value* separators = call.arguments.Find(2, "separators");
  if (separators != nullptr && !separators->is_none()) {
    const List* pair = separators->AsList();
    if (pair == nullptr || pair->items.size() != 2 || !pair->items[0].AsText() || !pair->items[1].AsText()) {
      return absl::InvalidArgumentError("tojson: separators must be two strings");
    }
    style.item_separator = pair->items[0].AsText()->bytes();
    style.key_separator = pair->items[1].AsText()->bytes();
  }
  LASTRO_ASSIGN_OR_RETURN(style.sort_keys, call.arguments.Bool(3, "sort_keys", false));
  LASTRO_ASSIGN_OR_RETURN(Text text, ToJson(call.value, style, call.budget));
  return Value(std::move(text));
}

// ---- of numbers and of anything

absl::StatusOr<Value> ToIntFilter(const Call& call) {
  LASTRO_RETURN_IF_ERROR(call.Check(1, {"default"}));
  LASTRO_ASSIGN_OR_RETURN(int64_t otherwise, call.arguments.Int(0, "default", 0));
  double real = 0;
  if (const Text* text = call.value.AsText()) {
    int64_t integer = 0;
    if (absl::SimpleAtoi(text->bytes(), &integer)) return Value(integer);
    if (!absl::SimpleAtod(text->bytes(), &real)) return Value(otherwise);
  } else if (!call.value.is_number()) {
    return Value(otherwise);
  } else if (call.value.AsFloat() == nullptr) {
    return Value(call.value.ToInt());
  } else {
    real = *call.value.AsFloat();
  }
  return Value(std::abs(real) < 9e18 ? static_cast<int64_t>(real) : otherwise);
}

absl::StatusOr<Value> ToFloatFilter(const Call& call) {
  LASTRO_RETURN_IF_ERROR(call.Check(1, {"default"}));
  double real = 0;
  if (call.value.is_number()) return Value(call.value.ToDouble());
  if (call.value.AsText() && absl::SimpleAtod(call.value.AsText()->bytes(), &real)) return Value(real);
  const Value* otherwise = call.arguments.Find(0, "default");
  return otherwise != nullptr ? *otherwise : Value(0.0);
}

absl::StatusOr<Value> Abs(const Call& call) {
  LASTRO_RETURN_IF_ERROR(call.Check(0));
  if (!call.value.is_number()) return call.WrongValue();
  return call.value.ToDouble() < 0 ? Negate(call.value) : call.value;
}

absl::StatusOr<Value> Round(const Call& call) {
  LASTRO_RETURN_IF_ERROR(call.Check(2, {"precision", "method"}));
  if (!call.value.is_number()) return call.WrongValue();
  LASTRO_ASSIGN_OR_RETURN(int64_t precision, call.arguments.Int(0, "precision", 0));
  LASTRO_ASSIGN_OR_RETURN(Text method, call.arguments.String(1, "method", "common"));
  const double scale = std::pow(10.0, static_cast<double>(std::clamp<int64_t>(precision, -15, 15)));
  const double scaled = call.value.ToDouble() * scale;
  return Value((method.bytes() == "ceil"    ? std::ceil(scaled)
                : method.bytes() == "floor" ? std::floor(scaled)
                                            : std::nearbyint(scaled)) /
               scale);
}

absl::StatusOr<Value> Default(const Call& call) {
  LASTRO_RETURN_IF_ERROR(call.Check(2, {"default_value", "boolean"}));
  LASTRO_ASSIGN_OR_RETURN(bool boolean, call.arguments.Bool(1, "boolean", false));
  if (!call.value.is_undefined() && (!boolean || call.value.Truth())) return call.value;
  const Value* otherwise = call.arguments.Find(0, "default_value");
  return otherwise != nullptr ? *otherwise : Value(Text());
}

absl::StatusOr<Value> Identity(const Call& call) {
  LASTRO_RETURN_IF_ERROR(call.Check(0));
  return call.value;
}

// ---- of sequences

absl::StatusOr<Value> Length(const Call& call) {
  LASTRO_RETURN_IF_ERROR(call.Check(0));
  if (call.value.is_undefined()) return Value(int64_t{0});
  if (const Text* text = call.value.AsText()) return Value(static_cast<int64_t>(text->Length()));
  if (const List* list = call.value.AsList()) return Value(static_cast<int64_t>(list->items.size()));
  if (const Dict* dict = call.value.AsDict()) return Value(static_cast<int64_t>(dict->items.size()));
  return call.WrongValue();
}

absl::StatusOr<Value> FirstOrLast(const Call& call) {
  LASTRO_RETURN_IF_ERROR(call.Check(0));
  LASTRO_ASSIGN_OR_RETURN(std::vector<Value> items, call.Items());
  if (items.empty()) return Value::MissingName(absl::StrCat(call.name, " item of an empty sequence"));
  return call.name == "first" ? items.front() : items.back();
}

absl::StatusOr<Value> ToListFilter(const Call& call) {
  LASTRO_RETURN_IF_ERROR(call.Check(0));
  LASTRO_ASSIGN_OR_RETURN(std::vector<Value> items, call.Items());
  return Value::MakeList(std::move(items));
}

absl::StatusOr<Value> Reverse(const Call& call) {
  LASTRO_RETURN_IF_ERROR(call.Check(0));
  return GetSlice(call.value, std::nullopt, std::nullopt, -1, call.budget);
}

absl::StatusOr<Value> ItemsFilter(const Call& call) {
  LASTRO_RETURN_IF_ERROR(call.Check(0));
  if (call.value.is_undefined()) return Value::MakeList({});
  if (call.value.AsDict() == nullptr) return call.WrongValue();
  return CallDictMethod(call.value, "items", {});
}

// `value` at a dotted path such as "function.name".
absl::StatusOr<Value> AtPath(const Value& value, absl::string_view path) {
  Value current = value;
  for (absl::string_view part : absl::StrSplit(path, '.')) {
    int64_t index = 0;
    const bool numeric = absl::SimpleAtoi(part, &index);
    LASTRO_ASSIGN_OR_RETURN(current, GetItem(current, numeric ? Value(index) : Value(Text(part, true))));
  }
  return current;
}

// `value`, or its attribute when the filter is called with one.
absl::StatusOr<Value> AttributeOf(const Call& call, const Value& value, size_t position) {
  const Value* path = call.arguments.Find(position, "attribute");
  if (path == nullptr || path->is_none()) return value;
  if (path->AsInt()) return GetItem(value, *path);
  LASTRO_ASSIGN_OR_RETURN(Text text, call.arguments.String(position, "attribute", ""));
  return AtPath(value, text.bytes());
}

absl::StatusOr<Value> JoinFilter(const Call& call) {
  LASTRO_RETURN_IF_ERROR(call.Check(2, {"d", "attribute"}));
  LASTRO_ASSIGN_OR_RETURN(Text separator, call.arguments.String(0, "d", ""));
  LASTRO_ASSIGN_OR_RETURN(std::vector<Value> items, call.Items());
  for (Value& item : items) {
    LASTRO_ASSIGN_OR_RETURN(item, AttributeOf(call, item, 1));
  }
  return Join(separator, items, true, call.budget);
}

absl::StatusOr<Value> Map(const Call& call) {
  if (!call.value.Truth()) return Value::MakeList({});
  LASTRO_ASSIGN_OR_RETURN(std::vector<Value> items, call.Items());
  const bool by_name = !call.arguments.positional.empty();
  if (!by_name) {
    LASTRO_RETURN_IF_ERROR(call.Check(0, {"attribute", "default"}));
  }
  Text name;
  if (by_name) {
    LASTRO_ASSIGN_OR_RETURN(name, call.arguments.String(0, "filter", ""));
    if (!IsFilter(name.bytes()) || name.bytes() == "map") {
      return absl::UnimplementedError(absl::StrCat("the filter '", name.bytes(), "' is not supported in 'map'"));
    }
  }
  const Arguments rest = by_name ? call.arguments.After(1) : Arguments();
  const Value* otherwise = call.arguments.Keyword("default");
  for (Value& item : items) {
    if (by_name) {
      LASTRO_ASSIGN_OR_RETURN(item, ApplyFilter(name.bytes(), item, rest, call.budget));
    } else {
      LASTRO_ASSIGN_OR_RETURN(item, AttributeOf(call, item, SIZE_MAX));
      if (item.is_undefined() && otherwise != nullptr) item = *otherwise;
    }
  }
  return Value::MakeList(std::move(items));
}

// select, reject (of the items themselves), selectattr, rejectattr (of an attribute): by a test, or by truth.
absl::StatusOr<Value> SelectItems(const Call& call) {
  if (!call.value.Truth()) return Value::MakeList({});
  LASTRO_ASSIGN_OR_RETURN(std::vector<Value> items, call.Items());
  const size_t test_at = call.name.size() > 6 ? 1 : 0;  // after the attribute
  if (call.arguments.positional.size() < test_at) return call.Check(0).ok() ? call.WrongValue() : call.Check(0);
  const bool wanted = call.name[0] == 's', tested = call.arguments.positional.size() > test_at;
  LASTRO_ASSIGN_OR_RETURN(Text test, call.arguments.String(test_at, "test", ""));
  if (test.bytes() == "==") test = Text("eq", true);
  if (tested && !IsTest(test.bytes())) {
    return absl::UnimplementedError(absl::StrCat("the test '", test.bytes(), "' is not supported"));
  }
  const Arguments rest = tested ? call.arguments.After(test_at + 1) : Arguments();
  std::vector<Value> selected;
  for (const Value& item : items) {
    Value subject = item;
    if (test_at > 0) {
      LASTRO_ASSIGN_OR_RETURN(subject, AttributeOf(call, item, 0));
    }
    bool holds = subject.Truth();
    if (tested) {
      LASTRO_ASSIGN_OR_RETURN(holds, ApplyTest(test.bytes(), subject, rest, call.budget));
    }
    if (holds == wanted) selected.push_back(item);
  }
  return Value::MakeList(std::move(selected));
}

// What sorting and uniqueness compare: strings in lower case unless told otherwise.
absl::StatusOr<Value> SortKey(const Value& value, bool case_sensitive, Budget* budget) {
  LASTRO_RETURN_IF_ERROR(budget->Write(value.weight()));
  if (value.AsText() == nullptr || case_sensitive) return value;
  return Value(WithCase(*value.AsText(), Case::kLower));
}

// Sorts by the keys, stably. The first error of a comparison is returned.
absl::StatusOr<Value> SortBy(std::vector<std::pair<Value, Value>> keyed, bool reverse, Budget* budget) {
  absl::Status status;
  auto less = [&](const auto& a, const auto& b) {
    absl::StatusOr<bool> result =
        ApplyComparison("<", reverse ? b.first : a.first, reverse ? a.first : b.first, budget);
    if (!result.ok() && status.ok()) status = result.status();
    return result.ok() && *result;
  };
  std::stable_sort(keyed.begin(), keyed.end(), less);
  LASTRO_RETURN_IF_ERROR(status);
  std::vector<Value> items;
  for (auto& [key, item] : keyed) items.push_back(std::move(item));
  return Value::MakeList(std::move(items));
}

absl::StatusOr<Value> Sort(const Call& call) {
  LASTRO_RETURN_IF_ERROR(call.Check(3, {"reverse", "case_sensitive", "attribute"}));
  LASTRO_ASSIGN_OR_RETURN(bool reverse, call.arguments.Bool(0, "reverse", false));
  LASTRO_ASSIGN_OR_RETURN(bool case_sensitive, call.arguments.Bool(1, "case_sensitive", false));
  LASTRO_ASSIGN_OR_RETURN(std::vector<Value> items, call.Items());
  std::vector<std::pair<Value, Value>> keyed;
  for (Value& item : items) {
    LASTRO_ASSIGN_OR_RETURN(Value subject, AttributeOf(call, item, 2));
    LASTRO_ASSIGN_OR_RETURN(Value key, SortKey(subject, case_sensitive, call.budget));
    keyed.emplace_back(std::move(key), std::move(item));
  }
  return SortBy(std::move(keyed), reverse, call.budget);
}

absl::StatusOr<Value> DictSort(const Call& call) {
  LASTRO_RETURN_IF_ERROR(call.Check(3, {"case_sensitive", "by", "reverse"}));
  if (call.value.AsDict() == nullptr) return call.WrongValue();
  LASTRO_ASSIGN_OR_RETURN(bool case_sensitive, call.arguments.Bool(0, "case_sensitive", false));
  LASTRO_ASSIGN_OR_RETURN(Text by, call.arguments.String(1, "by", "key"));
  LASTRO_ASSIGN_OR_RETURN(bool reverse, call.arguments.Bool(2, "reverse", false));
  std::vector<std::pair<Value, Value>> keyed;
  for (const auto& [key, value] : call.value.AsDict()->items) {
    LASTRO_ASSIGN_OR_RETURN(Value subject,
                            SortKey(by.bytes() == "value" ? value : Value(key), case_sensitive, call.budget));
    LASTRO_ASSIGN_OR_RETURN(Value pair, Value::MakeList({Value(key), value}, true));
    keyed.emplace_back(std::move(subject), std::move(pair));
  }
  return SortBy(std::move(keyed), reverse, call.budget);
}

absl::StatusOr<Value> Unique(const Call& call) {
  LASTRO_RETURN_IF_ERROR(call.Check(2, {"case_sensitive", "attribute"}));
  LASTRO_ASSIGN_OR_RETURN(bool case_sensitive, call.arguments.Bool(0, "case_sensitive", false));
  LASTRO_ASSIGN_OR_RETURN(std::vector<Value> items, call.Items());
  std::vector<Value> kept, keys;
  for (Value& item : items) {
    LASTRO_ASSIGN_OR_RETURN(Value subject, AttributeOf(call, item, 1));
    LASTRO_ASSIGN_OR_RETURN(Value key, SortKey(subject, case_sensitive, call.budget));
    LASTRO_RETURN_IF_ERROR(call.budget->Step(static_cast<int64_t>(keys.size()) * (1 + key.weight() / 16)));
    if (std::any_of(keys.begin(), keys.end(), [&](const Value& other) { return Equal(key, other); })) continue;
    keys.push_back(std::move(key));
    kept.push_back(std::move(item));
  }
  return Value::MakeList(std::move(kept));
}

absl::StatusOr<Value> LeastOrMost(const Call& call) {
  LASTRO_RETURN_IF_ERROR(call.Check(2, {"case_sensitive", "attribute"}));
  LASTRO_ASSIGN_OR_RETURN(bool case_sensitive, call.arguments.Bool(0, "case_sensitive", false));
  LASTRO_ASSIGN_OR_RETURN(std::vector<Value> items, call.Items());
  Value best = Value::MissingName(absl::StrCat(call.name, " of an empty sequence")), best_key;
  for (size_t i = 0; i < items.size(); ++i) {
    LASTRO_ASSIGN_OR_RETURN(Value subject, AttributeOf(call, items[i], 1));
    LASTRO_ASSIGN_OR_RETURN(Value key, SortKey(subject, case_sensitive, call.budget));
    bool better = i == 0;
    if (i > 0) {
      LASTRO_ASSIGN_OR_RETURN(better, ApplyComparison(call.name == "min" ? "<" : ">", key, best_key, call.budget));
    }
    if (!better) continue;
    best = items[i];
    best_key = std::move(key);
  }
  return best;
}

absl::StatusOr<Value> Sum(const Call& call) {
  LASTRO_RETURN_IF_ERROR(call.Check(2, {"attribute", "start"}));
  LASTRO_ASSIGN_OR_RETURN(std::vector<Value> items, call.Items());
  const Value* start = call.arguments.Find(1, "start");
  Value total = start != nullptr ? *start : Value(int64_t{0});
  for (const Value& item : items) {
    LASTRO_ASSIGN_OR_RETURN(Value term, AttributeOf(call, item, 0));
    LASTRO_ASSIGN_OR_RETURN(total, ApplyBinary("+", total, term, call.budget));
  }
  return total;
}

const absl::flat_hash_map<absl::string_view, Filter>& Filters() {
  static const auto* const kFilters = new absl::flat_hash_map<absl::string_view, Filter>{
      {"abs", Abs},
      {"capitalize", ChangeCase},
      {"count", Length},
      {"d", Default},
      {"default", Default},
      {"dictsort", DictSort},
      {"first", FirstOrLast},
      {"float", ToFloatFilter},
      {"format", Format},
      {"indent", Indent},
      {"int", ToIntFilter},
      {"items", ItemsFilter},
      {"join", JoinFilter},
      {"last", FirstOrLast},
      {"length", Length},
      {"list", ToListFilter},
      {"lower", ChangeCase},
      {"map", Map},
      {"max", LeastOrMost},
      {"min", LeastOrMost},
      {"reject", SelectItems},
      {"rejectattr", SelectItems},
      {"replace", ReplaceFilter},
      {"reverse", Reverse},
      {"round", Round},
      {"safe", Identity},
      {"select", SelectItems},
      {"selectattr", SelectItems},
      {"sort", Sort},
      {"string", ToStringFilter},
      {"sum", Sum},
      {"title", ChangeCase},
      {"tojson", ToJsonFilter},
      {"trim", Trim},
      {"unique", Unique},
      {"upper", ChangeCase},
  };
  return *kFilters;
}

}  // namespace

bool IsFilter(absl::string_view name) { return Filters().contains(name); }

absl::StatusOr<Value> ApplyFilter(absl::string_view name, const Value& value, const Arguments& arguments,
                                  Budget* budget) {
  LASTRO_RETURN_IF_ERROR(budget->Step());
  return Filters().at(name)(Call{name, value, arguments, budget});
}

}  // namespace lastro::engine::chat
