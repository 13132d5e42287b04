#include "engine/chat/methods.h"

#include <unicode/uchar.h>

#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/chat/operators.h"

namespace lastro::engine::chat {
namespace {

using TextMethod = absl::StatusOr<Value> (*)(const Text&, absl::string_view, const Arguments&, Budget*);

absl::StatusOr<Value> StripMethod(const Text& text, absl::string_view name, const Arguments& arguments, Budget*) {
  LASTRO_RETURN_IF_ERROR(arguments.Check(name, 0, 1));
  const Side side = name == "strip" ? Side::kBoth : name == "lstrip" ? Side::kLeft : Side::kRight;
  if (arguments.positional.empty() || arguments.positional[0].is_none()) return Value(Strip(text, side));
  LASTRO_ASSIGN_OR_RETURN(Text set, arguments.String(0, "chars", ""));
  return Value(Strip(text, side, &set));
}

absl::StatusOr<Value> SplitMethod(const Text& text, absl::string_view name, const Arguments& arguments,
                                  Budget* budget) {
  LASTRO_RETURN_IF_ERROR(arguments.Check(name, 0, 2, {"sep", "maxsplit"}));
  LASTRO_ASSIGN_OR_RETURN(int64_t limit, arguments.Int(1, "maxsplit", -1));
  const Value* given = arguments.Find(0, "sep");
  const bool from_right = name == "rsplit";
  if (given == nullptr || given->is_none()) return ListOfTexts(SplitSpace(text, limit, from_right), budget);
  LASTRO_ASSIGN_OR_RETURN(Text separator, arguments.String(0, "sep", ""));
  if (separator.empty()) return absl::InvalidArgumentError("an empty separator");
  return ListOfTexts(Split(text, separator, limit, from_right), budget);
}

absl::StatusOr<Value> SplitLinesMethod(const Text& text, absl::string_view name, const Arguments& arguments,
                                       Budget* budget) {
  LASTRO_RETURN_IF_ERROR(arguments.Check(name, 0, 0));
  return ListOfTexts(SplitLines(text), budget);
}

absl::StatusOr<Value> AffixMethod(const Text& text, absl::string_view name, const Arguments& arguments, Budget*) {
  LASTRO_RETURN_IF_ERROR(arguments.Check(name, 1, 1));
  auto matches = [&](const Text& affix) {
    return name == "startswith" ? absl::StartsWith(text.bytes(), affix.bytes())
                                : absl::EndsWith(text.bytes(), affix.bytes());
  };
  const List* several = arguments.positional[0].AsList();
  if (several == nullptr) {
    LASTRO_ASSIGN_OR_RETURN(Text affix, arguments.String(0, "prefix", ""));
    return Value(matches(affix));
  }
  return Value(std::any_of(several->items.begin(), several->items.end(),
                           [&](const Value& affix) { return affix.AsText() && matches(*affix.AsText()); }));
}

absl::StatusOr<Value> RemoveAffixMethod(const Text& text, absl::string_view name, const Arguments& arguments, Budget*) {
  LASTRO_RETURN_IF_ERROR(arguments.Check(name, 1, 1));
  LASTRO_ASSIGN_OR_RETURN(Text affix, arguments.String(0, "affix", ""));
  if (name == "removeprefix") {
    return Value(absl::StartsWith(text.bytes(), affix.bytes()) ? text.Substring(affix.size(), text.size()) : text);
  }
  return Value(absl::EndsWith(text.bytes(), affix.bytes()) ? text.Substring(0, text.size() - affix.size()) : text);
}

absl::StatusOr<Value> CaseMethod(const Text& text, absl::string_view name, const Arguments& arguments, Budget*) {
  LASTRO_RETURN_IF_ERROR(arguments.Check(name, 0, 0));
  return Value(WithCase(text, name == "upper"   ? Case::kUpper
                              : name == "lower" ? Case::kLower
                              : name == "title" ? Case::kTitle
                                                : Case::kCapitalize));
}

absl::StatusOr<Value> ReplaceMethod(const Text& text, absl::string_view name, const Arguments& arguments,
                                    Budget* budget) {
  LASTRO_RETURN_IF_ERROR(arguments.Check(name, 2, 3));
  LASTRO_ASSIGN_OR_RETURN(Text from, arguments.String(0, "old", ""));
  LASTRO_ASSIGN_OR_RETURN(Text to, arguments.String(1, "new", ""));
  LASTRO_ASSIGN_OR_RETURN(int64_t limit, arguments.Int(2, "count", -1));
  const size_t places = from.empty() ? text.size() + 1 : text.size() / from.size();
  LASTRO_RETURN_IF_ERROR(budget->Write(static_cast<int64_t>(text.size() + places * to.size())));
  return Value(Replace(text, from, to, limit));
}

absl::StatusOr<Value> JoinMethod(const Text& text, absl::string_view name, const Arguments& arguments, Budget* budget) {
  LASTRO_RETURN_IF_ERROR(arguments.Check(name, 1, 1));
  LASTRO_ASSIGN_OR_RETURN(std::vector<Value> items, ItemsOf(arguments.positional[0], budget));
  return Join(text, items, false, budget);
}

absl::StatusOr<Value> FindMethod(const Text& text, absl::string_view name, const Arguments& arguments, Budget*) {
  LASTRO_RETURN_IF_ERROR(arguments.Check(name, 1, 1));
  LASTRO_ASSIGN_OR_RETURN(Text wanted, arguments.String(0, "sub", ""));
  const bool from_right = name == "rfind";
  const size_t at = from_right ? text.bytes().rfind(wanted.bytes()) : text.bytes().find(wanted.bytes());
  if (at != std::string::npos) return Value(static_cast<int64_t>(text.Substring(0, at).Length()));
  if (name == "index") return absl::InvalidArgumentError("index: the substring is not there");
  return Value(int64_t{-1});
}

absl::StatusOr<Value> CountMethod(const Text& text, absl::string_view name, const Arguments& arguments, Budget*) {
  LASTRO_RETURN_IF_ERROR(arguments.Check(name, 1, 1));
  LASTRO_ASSIGN_OR_RETURN(Text wanted, arguments.String(0, "sub", ""));
  if (wanted.empty()) return Value(static_cast<int64_t>(text.Length() + 1));
  int64_t count = 0;
  for (size_t at = 0; (at = text.bytes().find(wanted.bytes(), at)) != std::string::npos; at += wanted.size()) ++count;
  return Value(count);
}

absl::StatusOr<Value> ClassMethod(const Text& text, absl::string_view name, const Arguments& arguments, Budget*) {
  LASTRO_RETURN_IF_ERROR(arguments.Check(name, 0, 0));
  if (name == "isspace") return Value(AllOf(text, IsPythonSpace));
  if (name == "isdigit") {
    return Value(AllOf(text, [](char32_t r) { return u_charDigitValue(static_cast<UChar32>(r)) >= 0; }));
  }
  if (name == "isalnum") {
    return Value(AllOf(text, [](char32_t r) { return u_isalnum(static_cast<UChar32>(r)) != 0; }));
  }
  return Value(AllOf(text, [](char32_t r) { return u_isalpha(static_cast<UChar32>(r)) != 0; }));
}

// str.format with the fields {}, {0} and {name}.
absl::StatusOr<Value> FormatMethod(const Text& text, absl::string_view, const Arguments& arguments, Budget* budget) {
  const std::string& bytes = text.bytes();
  Text out;
  size_t used = 0;
  for (size_t at = 0; at < bytes.size();) {
    const size_t brace = std::min(bytes.find_first_of("{}", at), bytes.size());
    out.Append(text.Substring(at, brace));
    if (brace == bytes.size()) break;
    if (brace + 1 < bytes.size() && bytes[brace + 1] == bytes[brace]) {  // doubled: itself
      out.Append(text.Substring(brace, brace + 1));
      at = brace + 2;
      continue;
    }
    const size_t end = bytes.find('}', brace);
    if (bytes[brace] == '}' || end == std::string::npos) return absl::InvalidArgumentError("format: a single brace");
    const std::string field = bytes.substr(brace + 1, end - brace - 1);
    size_t position = 0;
    const Value* value = nullptr;
    if (field.empty() || absl::SimpleAtoi(field, &position)) {
      position = field.empty() ? used++ : position;
      value = position < arguments.positional.size() ? &arguments.positional[position] : nullptr;
    } else {
      value = arguments.Keyword(field);
    }
    if (value == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("format: there is no argument for the field '{", field, "}'"));
    }
    LASTRO_ASSIGN_OR_RETURN(Text printed, PrintedText(*value, budget));
    out.Append(printed);
    at = end + 1;
  }
  return Value(std::move(out));
}

const absl::flat_hash_map<absl::string_view, TextMethod>& TextMethods() {
  static const auto* const kMethods = new absl::flat_hash_map<absl::string_view, TextMethod>{
      {"strip", StripMethod},
      {"lstrip", StripMethod},
      {"rstrip", StripMethod},
      {"split", SplitMethod},
      {"rsplit", SplitMethod},
      {"splitlines", SplitLinesMethod},
      {"startswith", AffixMethod},
      {"endswith", AffixMethod},
      {"removeprefix", RemoveAffixMethod},
      {"removesuffix", RemoveAffixMethod},
      {"upper", CaseMethod},
      {"lower", CaseMethod},
      {"title", CaseMethod},
      {"capitalize", CaseMethod},
      {"replace", ReplaceMethod},
      {"join", JoinMethod},
      {"find", FindMethod},
      {"rfind", FindMethod},
      {"index", FindMethod},
      {"count", CountMethod},
      {"isspace", ClassMethod},
      {"isdigit", ClassMethod},
      {"isalpha", ClassMethod},
      {"isalnum", ClassMethod},
      {"format", FormatMethod},
  };
  return *kMethods;
}

}  // namespace

bool HasMethod(const Value& value, absl::string_view name) {
  if (value.AsText()) return TextMethods().contains(name);
  if (value.AsList()) return name == "index" || name == "count";
  return value.AsDict() && (name == "items" || name == "keys" || name == "values" || name == "get" || name == "copy");
}

absl::StatusOr<Value> CallTextMethod(const Text& text, absl::string_view name, const Arguments& arguments,
                                     Budget* budget) {
  LASTRO_RETURN_IF_ERROR(budget->Write(static_cast<int64_t>(text.size())));
  return TextMethods().at(name)(text, name, arguments, budget);
}

absl::StatusOr<Value> CallListMethod(const Value& list, absl::string_view name, const Arguments& arguments,
                                     Budget* budget) {
  LASTRO_RETURN_IF_ERROR(arguments.Check(name, 1, 1));
  LASTRO_RETURN_IF_ERROR(budget->Step(list.weight() / 16));
  int64_t count = 0;
  const std::vector<Value>& items = list.AsList()->items;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!Equal(items[i], arguments.positional[0])) continue;
    if (name == "index") return Value(static_cast<int64_t>(i));
    ++count;
  }
  if (name == "index") return absl::InvalidArgumentError("index: the item is not in the list");
  return Value(count);
}

absl::StatusOr<Value> CallDictMethod(const Value& dict, absl::string_view name, const Arguments& arguments) {
  if (name == "get") {
    LASTRO_RETURN_IF_ERROR(arguments.Check(name, 1, 2));
    const Text* key = arguments.positional[0].AsText();
    const Value* member = key != nullptr ? dict.Find(key->bytes()) : nullptr;
    if (member != nullptr) return *member;
    return arguments.positional.size() > 1 ? arguments.positional[1] : Value::None();
  }
  LASTRO_RETURN_IF_ERROR(arguments.Check(name, 0, 0));
  if (name == "copy") return dict;
  std::vector<Value> items;
  for (const auto& [key, value] : dict.AsDict()->items) {
    if (name == "keys") items.emplace_back(key);
    if (name == "values") items.push_back(value);
    if (name == "items") {
      LASTRO_ASSIGN_OR_RETURN(Value pair, Value::MakeList({Value(key), value}, true));
      items.push_back(std::move(pair));
    }
  }
  return Value::MakeList(std::move(items));
}

absl::StatusOr<Value> ListOfTexts(std::vector<Text> texts, Budget* budget) {
  LASTRO_RETURN_IF_ERROR(budget->Write(static_cast<int64_t>(texts.size()) * 128));
  std::vector<Value> items;
  items.reserve(texts.size());
  for (Text& text : texts) items.emplace_back(std::move(text));
  return Value::MakeList(std::move(items));
}

absl::StatusOr<Value> Join(const Text& separator, const std::vector<Value>& items, bool print, Budget* budget) {
  Text out;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!print && items[i].AsText() == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("join: item ", i, " is ", items[i].KindName(), ", not a string"));
    }
    LASTRO_RETURN_IF_ERROR(budget->Write(static_cast<int64_t>(separator.size())));
    LASTRO_ASSIGN_OR_RETURN(Text printed, PrintedText(items[i], budget));
    if (i > 0) out.Append(separator);
    out.Append(printed);
  }
  return Value(std::move(out));
}

}  // namespace lastro::engine::chat
