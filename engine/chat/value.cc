#include "engine/chat/value.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "base/utf8.h"

namespace lastro::engine::chat {
namespace {

// Accounts for `item` inside `container`.
template <typename Container>
absl::Status Account(const Value& item, int64_t key_bytes, Container* container) {
  container->depth = std::max(container->depth, 1 + item.depth());
  container->weight += 1 + key_bytes + item.weight();
  if (container->depth > kMaxValueDepth) {
    return absl::ResourceExhaustedError(absl::StrCat("a value nests deeper than ", kMaxValueDepth, " levels"));
  }
  if (container->weight > kMaxValueWeight) {
    return absl::ResourceExhaustedError(absl::StrCat("a value holds more than ", kMaxValueWeight, " bytes"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Value> FromElement(simdjson::dom::element element, const std::string& path);

absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }

absl::StatusOr<Value> FromArray(simdjson::dom::array array, const std::string& path) {
  std::vector<Value> items;
  for (simdjson::dom::element item : array) {
    LASTRO_ASSIGN_OR_RETURN(Value value, FromElement(item, path));
    items.push_back(std::move(value));
  }
  return Value::MakeList(std::move(items));
}

absl::StatusOr<Value> FromObject(simdjson::dom::object object, const std::string& path) {
  std::vector<std::pair<Text, Value>> items;
  for (auto [key, member] : object) {
    LASTRO_ASSIGN_OR_RETURN(Value value, FromElement(member, path));
    items.emplace_back(Text(ToAbsl(key), false), std::move(value));
  }
  return Value::MakeDict(std::move(items));
}

// Depth is bounded by JsonDocument's limit.
absl::StatusOr<Value> FromElement(simdjson::dom::element element, const std::string& path) {
  switch (element.type()) {
    case simdjson::dom::element_type::ARRAY:
      return FromArray(element.get_array().value(), path);
    case simdjson::dom::element_type::OBJECT:
      return FromObject(element.get_object().value(), path);
    case simdjson::dom::element_type::INT64:
      return Value(element.get_int64().value());
    case simdjson::dom::element_type::UINT64:
      return absl::InvalidArgumentError(
          absl::StrCat(path, " holds the integer ", element.get_uint64().value(), ", which is beyond 64 bits signed"));
    case simdjson::dom::element_type::DOUBLE:
      return Value(element.get_double().value());
    case simdjson::dom::element_type::STRING:
      return Value::Untrusted(ToAbsl(element.get_string().value()));
    case simdjson::dom::element_type::BOOL:
      return Value(element.get_bool().value());
    case simdjson::dom::element_type::NULL_VALUE:
      return Value::None();
  }
  return Value();
}

bool EqualLists(const List& a, const List& b) {
  return a.items.size() == b.items.size() && std::equal(a.items.begin(), a.items.end(), b.items.begin(), Equal);
}

bool EqualDicts(const Value& a, const Value& b) {
  if (a.AsDict()->items.size() != b.AsDict()->items.size()) return false;
  for (const auto& [key, value] : a.AsDict()->items) {
    const Value* other = b.Find(key.bytes());
    if (other == nullptr || !Equal(value, *other)) return false;
  }
  return true;
}

// Code points that Python's repr writes as an escape: controls and the invisible ones of Latin-1.
bool IsEscaped(char32_t rune) { return rune < 0x20 || (rune >= 0x7F && rune <= 0xA0) || rune == 0xAD; }

Text TextRepr(const Text& text) {
  const bool has_single = text.bytes().find('\'') != std::string::npos;
  const char quote = has_single && text.bytes().find('"') == std::string::npos ? '"' : '\'';
  Text out(absl::string_view(&quote, 1), true);
  const std::vector<size_t> offsets = text.Offsets();
  for (size_t i = 0; i + 1 < offsets.size(); ++i) {
    const Text one = text.Substring(offsets[i], offsets[i + 1]);
    const char32_t rune = DecodeRune(one.bytes()).rune;
    const bool trusted = text.TrustedAt(offsets[i]);
    if (rune == '\\' || rune == static_cast<char32_t>(quote)) {
      out.Append("\\", trusted);
      out.Append(one);
    } else if (rune == '\n' || rune == '\r' || rune == '\t') {
      out.Append(rune == '\n' ? "\\n" : rune == '\r' ? "\\r" : "\\t", trusted);
    } else if (IsEscaped(rune)) {
      out.Append(absl::StrFormat("\\x%02x", static_cast<uint32_t>(rune)), trusted);
    } else {
      out.Append(one);
    }
  }
  out.Append(absl::string_view(&quote, 1), true);
  return out;
}

Text ListRepr(const List& list) {
  Text out(list.tuple ? "(" : "[", true);
  for (size_t i = 0; i < list.items.size(); ++i) {
    if (i > 0) out.Append(", ", true);
    out.Append(ToRepr(list.items[i]));
  }
  out.Append(!list.tuple ? "]" : list.items.size() == 1 ? ",)" : ")", true);
  return out;
}

Text DictRepr(const Dict& dict) {
  Text out("{", true);
  for (size_t i = 0; i < dict.items.size(); ++i) {
    if (i > 0) out.Append(", ", true);
    out.Append(TextRepr(dict.items[i].first));
    out.Append(": ", true);
    out.Append(ToRepr(dict.items[i].second));
  }
  out.Append("}", true);
  return out;
}

}  // namespace

Value Value::None() { return Value(Data(NoneType())); }

Value Value::MissingName(absl::string_view name) { return Value(Data(Undefined{std::string(name)})); }

absl::StatusOr<Value> Value::MakeList(std::vector<Value> items, bool tuple) {
  List list;
  for (const Value& item : items) LASTRO_RETURN_IF_ERROR(Account(item, 0, &list));
  list.items = std::move(items);
  list.tuple = tuple;
  return Value(Data(std::make_shared<const List>(std::move(list))));
}

absl::StatusOr<Value> Value::MakeDict(std::vector<std::pair<Text, Value>> items) {
  Dict dict;
  for (auto& [key, value] : items) {
    LASTRO_RETURN_IF_ERROR(Account(value, static_cast<int64_t>(key.size()), &dict));
    auto [at, inserted] = dict.index.emplace(key.bytes(), dict.items.size());
    if (inserted) {
      dict.items.emplace_back(std::move(key), std::move(value));
    } else {
      dict.items[at->second].second = std::move(value);
    }
  }
  return Value(Data(std::make_shared<const Dict>(std::move(dict))));
}

absl::StatusOr<Value> Value::FromJson(const JsonValue& json) { return FromElement(json.element(), json.path()); }

double Value::ToDouble() const {
  if (const double* number = AsFloat()) return *number;
  return static_cast<double>(ToInt());
}

int64_t Value::ToInt() const {
  if (const bool* flag = AsBool()) return *flag ? 1 : 0;
  LASTRO_CHECK(AsInt() != nullptr);
  return *AsInt();
}

const Value* Value::Find(absl::string_view key) const {
  const Dict* dict = AsDict();
  if (dict == nullptr) return nullptr;
  auto at = dict->index.find(key);
  return at == dict->index.end() ? nullptr : &dict->items[at->second].second;
}

bool Value::Truth() const {
  if (is_undefined() || is_none()) return false;
  if (is_number()) return ToDouble() != 0;
  if (const Text* text = AsText()) return !text->empty();
  if (const List* list = AsList()) return !list->items.empty();
  if (const Dict* dict = AsDict()) return !dict->items.empty();
  return true;
}

int Value::depth() const {
  if (const List* list = AsList()) return list->depth;
  if (const Dict* dict = AsDict()) return dict->depth;
  if (const Builtin* builtin = AsBuiltin()) return builtin->receiver ? 1 + builtin->receiver->depth() : 1;
  return 0;
}

int64_t Value::weight() const {
  if (const Text* text = AsText()) return 1 + static_cast<int64_t>(text->size());
  if (const List* list = AsList()) return list->weight;
  if (const Dict* dict = AsDict()) return dict->weight;
  return 1;
}

std::string Value::KindName() const {
  if (is_undefined()) return "an undefined value";
  if (is_none()) return "none";
  if (AsBool()) return "a boolean";
  if (AsInt()) return "an integer";
  if (AsFloat()) return "a float";
  if (AsText()) return "a string";
  if (const List* list = AsList()) return list->tuple ? "a tuple" : "a list";
  if (AsDict()) return "a dict";
  if (AsNamespace()) return "a namespace";
  if (AsLoop()) return "a loop";
  return "a function";
}

bool Equal(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    return a.AsFloat() || b.AsFloat() ? a.ToDouble() == b.ToDouble() : a.ToInt() == b.ToInt();
  }
  if (a.is_undefined() || a.is_none()) return a.is_undefined() ? b.is_undefined() : b.is_none();
  if (a.AsText() && b.AsText()) return *a.AsText() == *b.AsText();
  if (a.AsList() && b.AsList()) return EqualLists(*a.AsList(), *b.AsList());
  if (a.AsDict() && b.AsDict()) return EqualDicts(a, b);
  if (a.AsNamespace()) return a.AsNamespace() == b.AsNamespace();
  if (a.AsMacro()) return a.AsMacro() == b.AsMacro();
  if (a.AsLoop()) return a.AsLoop() == b.AsLoop();
  if (a.AsBuiltin()) return a.AsBuiltin() == b.AsBuiltin();
  return false;
}

std::string FloatToString(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[64];
  const double size = std::abs(value);
  const bool plain = size == 0 || (size >= 1e-4 && size < 1e16);
  auto format = plain ? std::chars_format::fixed : std::chars_format::scientific;
  std::string text(buffer, std::to_chars(buffer, buffer + sizeof(buffer), value, format).ptr);
  if (plain && text.find('.') == std::string::npos) text += ".0";
  return text;
}

Text ToText(const Value& value) {
  if (value.is_undefined()) return Text();
  if (const Text* text = value.AsText()) return *text;
  return ToRepr(value);
}

Text ToRepr(const Value& value) {
  if (value.is_undefined()) return Text("Undefined", true);
  if (value.is_none()) return Text("None", true);
  if (const bool* flag = value.AsBool()) return Text(*flag ? "True" : "False", true);
  if (const int64_t* number = value.AsInt()) return Text(absl::StrCat(*number), true);
  if (const double* number = value.AsFloat()) return Text(FloatToString(*number), true);
  if (const Text* text = value.AsText()) return TextRepr(*text);
  if (const List* list = value.AsList()) return ListRepr(*list);
  if (const Dict* dict = value.AsDict()) return DictRepr(*dict);
  return Text(absl::StrCat("<", value.KindName(), ">"), true);
}

}  // namespace lastro::engine::chat
