#include "engine/constrained/schema_compiler.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <set>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "engine/constrained/json_grammar.h"

namespace lastro::engine::constrained {
namespace {

constexpr int kMaxDepth = 64;
constexpr int64_t kMaxUnrolled = 4096;  // lengths and counts of items
constexpr size_t kMaxProperties = 512;
constexpr size_t kMaxAlternatives = 1024;
constexpr size_t kMaxNodes = 1 << 19;
constexpr int64_t kMaxInteger = 999'999'999'999'999'999;

constexpr absl::string_view kAnnotations[] = {"title",  "description", "default",    "examples", "$schema",
                                              "$id",    "$comment",    "deprecated", "readOnly", "writeOnly",
                                              "format", "$defs",       "definitions"};
constexpr absl::string_view kTypes[] = {"object", "array", "string", "integer", "number", "boolean", "null"};
// The keywords that say something of values of one type.
struct TypedKeyword {
  absl::string_view name, type;
};
constexpr TypedKeyword kTyped[] = {
    {"properties", "object"}, {"required", "object"},          {"additionalProperties", "object"},
    {"items", "array"},       {"minItems", "array"},           {"maxItems", "array"},
    {"minLength", "string"},  {"maxLength", "string"},         {"minimum", "integer"},
    {"maximum", "integer"},   {"exclusiveMinimum", "integer"}, {"exclusiveMaximum", "integer"},
};

template <typename Range>
bool Contains(const Range& range, absl::string_view value) {
  return std::find(std::begin(range), std::end(range), value) != std::end(range);
}

absl::Status Invalid(const JsonValue& at, absl::string_view message) {
  return absl::InvalidArgumentError(absl::StrCat(at.path(), " ", message));
}
absl::Status Unsupported(const JsonValue& at, absl::string_view message) {
  return absl::UnimplementedError(absl::StrCat(at.path(), ": ", message));
}

std::vector<std::string> KeysOf(const JsonValue& object) {
  std::vector<std::string> keys;
  simdjson::dom::object members;
  if (object.element().get(members) != simdjson::SUCCESS) return keys;
  for (auto [key, value] : members) keys.emplace_back(key);
  return keys;
}

// The type of a value: "integer" for integral numbers.
absl::string_view TypeOf(const JsonValue& value) {
  if (value.is_object()) return "object";
  if (value.is_array()) return "array";
  if (value.is_string()) return "string";
  if (value.is_bool()) return "boolean";
  if (value.is_null()) return "null";
  return value.element().type() == simdjson::dom::element_type::DOUBLE ? "number" : "integer";
}

// A value in the form that is generated, without optional spaces.
std::string Canonical(const JsonValue& value) {
  if (value.is_string()) return CanonicalString(*value.AsString());
  if (!value.is_object() && !value.is_array()) return simdjson::minify(value.element());
  std::string out = value.is_object() ? "{" : "[";
  bool first = true;
  auto separate = [&] { out += std::exchange(first, false) ? "" : ","; };
  if (value.is_object()) {
    for (const std::string& key : KeysOf(value)) {
      separate();
      absl::StrAppend(&out, CanonicalString(key), ":", Canonical(*value.Get(key)));
    }
    return out + "}";
  }
  const std::vector<JsonValue> items = *value.AsArray();
  for (const JsonValue& item : items) {
    separate();
    out += Canonical(item);
  }
  return out + "]";
}

class Compiler {
 public:
  explicit Compiler(const JsonValue& root) : root_(root), grammar_(&automaton_) {}

  absl::StatusOr<Automaton> Run() {
    LASTRO_ASSIGN_OR_RETURN(NodeId start, Rule(root_, 0));
    absl::Status finished = automaton_.Finish(start);
    if (!finished.ok()) return Invalid(root_, finished.message());
    return std::move(automaton_);
  }

 private:
  using Types = std::vector<absl::string_view>;

  // The rule of a schema; each of the functions below builds one for a form of it.
  absl::StatusOr<NodeId> Rule(const JsonValue& schema, int depth);
  absl::StatusOr<NodeId> Reference(const JsonValue& schema, int depth);
  absl::StatusOr<NodeId> Values(const JsonValue& schema, const Types& types);
  absl::StatusOr<NodeId> Alternatives(const JsonValue& list, int depth);
  absl::StatusOr<NodeId> Typed(const JsonValue& schema, absl::string_view type, int depth);
  absl::StatusOr<NodeId> Object(const JsonValue& schema, int depth);
  absl::StatusOr<NodeId> Array(const JsonValue& schema, int depth);
  absl::StatusOr<NodeId> String(const JsonValue& schema);
  absl::StatusOr<NodeId> Integer(const JsonValue& schema);

  absl::Status CheckKeywords(const JsonValue& schema) const;
  // INVALID_ARGUMENT unless `keyword` stands alone beside annotations and `others`.
  absl::Status CheckAlone(const JsonValue& schema, absl::string_view keyword,
                          absl::Span<const absl::string_view> others = {}) const;
  absl::StatusOr<Types> TypesOf(const JsonValue& schema) const;
  absl::StatusOr<JsonValue> Resolve(const JsonValue& schema) const;
  absl::StatusOr<int64_t> Count(const JsonValue& schema, absl::string_view keyword, int64_t otherwise) const;
  absl::Status CheckExclusive(const JsonValue& list) const;
  bool Exclude(const JsonValue& a, const JsonValue& b) const;
  // What an object's member of name `key` must be, when that is a list of values.
  std::optional<std::set<std::string>> ListedValues(const JsonValue& schema) const;

  const JsonValue root_;
  Automaton automaton_;
  JsonGrammar grammar_;
  absl::flat_hash_map<std::string, NodeId> references_;
};

absl::Status Compiler::CheckKeywords(const JsonValue& schema) const {
  constexpr absl::string_view kOthers[] = {"type", "enum", "const", "anyOf", "oneOf", "$ref"};
  for (const std::string& key : KeysOf(schema)) {
    const bool typed = std::any_of(std::begin(kTyped), std::end(kTyped), [&](const auto& k) { return k.name == key; });
    if (typed || Contains(kAnnotations, key) || Contains(kOthers, key)) continue;
    return Unsupported(schema, absl::StrCat("the keyword \"", key, "\" is not supported"));
  }
  return absl::OkStatus();
}

absl::Status Compiler::CheckAlone(const JsonValue& schema, absl::string_view keyword,
                                  absl::Span<const absl::string_view> others) const {
  for (const std::string& key : KeysOf(schema)) {
    if (key == keyword || Contains(kAnnotations, key) || Contains(others, key)) continue;
    return Unsupported(schema, absl::StrCat("\"", keyword, "\" together with \"", key, "\" is not supported"));
  }
  return absl::OkStatus();
}

absl::StatusOr<NodeId> Compiler::Rule(const JsonValue& schema, int depth) {
  if (depth > kMaxDepth) return Invalid(schema, absl::StrCat("nests deeper than ", kMaxDepth, " levels"));
  if (automaton_.size() > kMaxNodes) return Invalid(root_, "is too large");
  if (schema.is_bool()) {
    if (*schema.AsBool()) return grammar_.Any();
    return automaton_.NewNode();  // accepts nothing
  }
  if (!schema.is_object()) return Invalid(schema, "must be an object or a boolean");
  LASTRO_RETURN_IF_ERROR(CheckKeywords(schema));
  if (schema.Get("$ref").ok()) return Reference(schema, depth);
  for (absl::string_view keyword : {"anyOf", "oneOf"}) {
    if (!schema.Get(keyword).ok()) continue;
    LASTRO_RETURN_IF_ERROR(CheckAlone(schema, keyword));
    LASTRO_ASSIGN_OR_RETURN(JsonValue list, schema.Get(keyword));
    if (keyword == "oneOf") LASTRO_RETURN_IF_ERROR(CheckExclusive(list));
    return Alternatives(list, depth);
  }
  LASTRO_ASSIGN_OR_RETURN(Types types, TypesOf(schema));
  if (schema.Get("enum").ok() || schema.Get("const").ok()) return Values(schema, types);
  const NodeId start = automaton_.NewNode(), end = automaton_.NewFinal();
  for (absl::string_view type : types) {
    if (type == "integer" && Contains(types, "number")) continue;  // among the numbers
    LASTRO_ASSIGN_OR_RETURN(NodeId rule, Typed(schema, type, depth));
    automaton_.AddCall(start, rule, end, type == "object" || type == "array");
  }
  return start;
}

absl::StatusOr<Compiler::Types> Compiler::TypesOf(const JsonValue& schema) const {
  absl::StatusOr<JsonValue> type = schema.Get("type");
  if (!type.ok()) return Types(std::begin(kTypes), std::end(kTypes));
  std::vector<JsonValue> names = {*type};
  if (type->is_array()) {
    LASTRO_ASSIGN_OR_RETURN(names, type->AsArray());
  }
  Types types;
  for (const JsonValue& name : names) {
    LASTRO_ASSIGN_OR_RETURN(absl::string_view text, name.AsString());
    if (!Contains(kTypes, text)) return Invalid(name, absl::StrCat("is \"", text, "\", which is no type"));
    types.push_back(text);
  }
  return types;
}

absl::StatusOr<JsonValue> Compiler::Resolve(const JsonValue& schema) const {
  LASTRO_ASSIGN_OR_RETURN(JsonValue reference, schema.Get("$ref"));
  LASTRO_ASSIGN_OR_RETURN(absl::string_view pointer, reference.AsString());
  if (pointer != "#" && !absl::StartsWith(pointer, "#/")) {
    return Unsupported(reference, absl::StrCat("\"", pointer, "\" does not point into this document (\"#/...\")"));
  }
  JsonValue at = root_;
  const std::vector<absl::string_view> parts = absl::StrSplit(pointer, '/');
  for (size_t i = 1; i < parts.size(); ++i) {
    absl::StatusOr<JsonValue> next = at.Get(absl::StrReplaceAll(parts[i], {{"~1", "/"}, {"~0", "~"}}));
    if (!next.ok()) return Invalid(reference, absl::StrCat("points to \"", pointer, "\", which is not there"));
    at = *next;
  }
  return at;
}

absl::StatusOr<NodeId> Compiler::Reference(const JsonValue& schema, int depth) {
  LASTRO_RETURN_IF_ERROR(CheckAlone(schema, "$ref"));
  LASTRO_ASSIGN_OR_RETURN(std::string pointer, schema.GetString("$ref", ""));
  if (auto known = references_.find(pointer); known != references_.end()) return known->second;
  LASTRO_ASSIGN_OR_RETURN(JsonValue target, Resolve(schema));
  // The number stands before the rule is built: it may refer to itself.
  const NodeId start = automaton_.NewNode(), end = automaton_.NewFinal();
  references_[pointer] = start;
  LASTRO_ASSIGN_OR_RETURN(NodeId rule, Rule(target, depth + 1));
  automaton_.AddCall(start, rule, end);
  return start;
}

absl::StatusOr<NodeId> Compiler::Values(const JsonValue& schema, const Types& types) {
  const bool is_enum = schema.Get("enum").ok();
  LASTRO_RETURN_IF_ERROR(CheckAlone(schema, is_enum ? "enum" : "const", {"type"}));
  LASTRO_ASSIGN_OR_RETURN(JsonValue given, schema.Get(is_enum ? "enum" : "const"));
  std::vector<JsonValue> values = {given};
  if (is_enum) {
    LASTRO_ASSIGN_OR_RETURN(values, given.AsArray());
  }
  if (values.size() > kMaxAlternatives)
    return Invalid(given, absl::StrCat("has more than ", kMaxAlternatives, " values"));
  const NodeId start = automaton_.NewNode(), end = automaton_.NewFinal();
  for (const JsonValue& value : values) {
    const absl::string_view type = TypeOf(value);
    if (!Contains(types, type) && !(type == "integer" && Contains(types, "number"))) continue;
    automaton_.AddEmpty(automaton_.AddLiteral(start, Canonical(value)), end);
  }
  return start;
}

absl::StatusOr<NodeId> Compiler::Alternatives(const JsonValue& list, int depth) {
  LASTRO_ASSIGN_OR_RETURN(std::vector<JsonValue> schemas, list.AsArray());
  if (schemas.size() > kMaxAlternatives)
    return Invalid(list, absl::StrCat("has more than ", kMaxAlternatives, " schemas"));
  const NodeId start = automaton_.NewNode(), end = automaton_.NewFinal();
  for (const JsonValue& schema : schemas) {
    LASTRO_ASSIGN_OR_RETURN(NodeId rule, Rule(schema, depth + 1));
    automaton_.AddCall(start, rule, end);
  }
  return start;
}

absl::StatusOr<NodeId> Compiler::Typed(const JsonValue& schema, absl::string_view type, int depth) {
  if (type == "object") return Object(schema, depth);
  if (type == "array") return Array(schema, depth);
  if (type == "string") return String(schema);
  if (type == "integer") return Integer(schema);
  if (type == "boolean") return grammar_.Boolean();
  if (type == "null") return grammar_.Null();
  for (const TypedKeyword& keyword : kTyped) {
    if (keyword.type == "integer" && schema.Get(keyword.name).ok()) {
      return Unsupported(schema,
                         absl::StrCat("\"", keyword.name, "\" of numbers that are no integers is not supported"));
    }
  }
  return grammar_.Number();
}

absl::StatusOr<int64_t> Compiler::Count(const JsonValue& schema, absl::string_view keyword, int64_t otherwise) const {
  LASTRO_ASSIGN_OR_RETURN(int64_t count, schema.GetInt(keyword, otherwise));
  if (count == otherwise || (count >= 0 && count <= kMaxUnrolled)) return count;
  return Invalid(schema, absl::StrCat("has ", keyword, " = ", count, "; it must be from 0 to ", kMaxUnrolled));
}

absl::StatusOr<NodeId> Compiler::String(const JsonValue& schema) {
  LASTRO_ASSIGN_OR_RETURN(int64_t least, Count(schema, "minLength", 0));
  LASTRO_ASSIGN_OR_RETURN(int64_t most, Count(schema, "maxLength", -1));
  if (least == 0 && most < 0) return grammar_.String();
  return most >= 0 && most < least ? automaton_.NewNode() : grammar_.StringOfLength(least, most);
}

absl::StatusOr<NodeId> Compiler::Integer(const JsonValue& schema) {
  LASTRO_ASSIGN_OR_RETURN(int64_t low, schema.GetInt("minimum", -kMaxInteger));
  LASTRO_ASSIGN_OR_RETURN(int64_t high, schema.GetInt("maximum", kMaxInteger));
  LASTRO_ASSIGN_OR_RETURN(int64_t above, schema.GetInt("exclusiveMinimum", -kMaxInteger - 1));
  LASTRO_ASSIGN_OR_RETURN(int64_t below, schema.GetInt("exclusiveMaximum", kMaxInteger + 1));
  low = std::max({low, std::min(above, kMaxInteger) + 1, -kMaxInteger});
  high = std::min({high, std::max(below, -kMaxInteger) - 1, kMaxInteger});
  if (low == -kMaxInteger && high == kMaxInteger) return grammar_.Integer();
  return low > high ? automaton_.NewNode() : grammar_.IntegerBetween(low, high);
}

absl::StatusOr<NodeId> Compiler::Array(const JsonValue& schema, int depth) {
  LASTRO_ASSIGN_OR_RETURN(int64_t least, Count(schema, "minItems", 0));
  LASTRO_ASSIGN_OR_RETURN(int64_t most, Count(schema, "maxItems", -1));
  absl::StatusOr<JsonValue> items = schema.Get("items");
  NodeId item = grammar_.Any();
  if (items.ok()) {
    LASTRO_ASSIGN_OR_RETURN(item, Rule(*items, depth + 1));
  }
  const NodeId start = automaton_.NewNode(), end = automaton_.NewFinal();
  NodeId at = automaton_.AddLiteral(start, "[");
  const int64_t unrolled = most < 0 ? std::max<int64_t>(least, 1) : most;
  for (int64_t count = 0;; ++count) {
    if (count >= least) automaton_.AddBytes(at, ']', ']', end);
    if (count == unrolled) break;
    const NodeId next = automaton_.NewNode();
    automaton_.AddCall(count == 0 ? at : grammar_.AddSeparator(at, ','), item, next);
    at = next;
  }
  if (most < 0) automaton_.AddCall(grammar_.AddSeparator(at, ','), item, at);
  return start;
}

// Two rows of nodes along the declared members, one before any member is written and one after: the second needs a
// comma.
absl::StatusOr<NodeId> Compiler::Object(const JsonValue& schema, int depth) {
  absl::StatusOr<JsonValue> properties = schema.Get("properties"), others = schema.Get("additionalProperties");
  if (properties.ok() && !properties->is_object()) return Invalid(*properties, "must be an object");
  std::vector<std::string> names = properties.ok() ? KeysOf(*properties) : std::vector<std::string>();
  const size_t declared = names.size();
  std::set<std::string> required;
  if (absl::StatusOr<JsonValue> list = schema.Get("required"); list.ok()) {
    LASTRO_ASSIGN_OR_RETURN(std::vector<JsonValue> entries, list->AsArray());
    for (const JsonValue& entry : entries) {
      LASTRO_ASSIGN_OR_RETURN(absl::string_view name, entry.AsString());
      if (required.insert(std::string(name)).second && !Contains(names, name)) names.emplace_back(name);
    }
  }
  if (names.size() > kMaxProperties)
    return Invalid(schema, absl::StrCat("has more than ", kMaxProperties, " properties"));
  NodeId other = grammar_.Any();
  if (others.ok()) {
    LASTRO_ASSIGN_OR_RETURN(other, Rule(*others, depth + 1));
  }
  const NodeId start = automaton_.NewNode(), end = automaton_.NewFinal();
  NodeId none = automaton_.AddLiteral(start, "{"), some = automaton_.NewNode();
  // A member behind `none` or `some`: from its quote to the node returned.
  auto member = [&](NodeId key_rule, NodeId value_rule) {
    const NodeId key = automaton_.NewNode(), colon = automaton_.NewNode(), behind = automaton_.NewNode();
    automaton_.AddEmpty(none, key);
    automaton_.AddEmpty(grammar_.AddSeparator(some, ','), key);
    automaton_.AddCall(key, key_rule, colon);
    automaton_.AddCall(grammar_.AddSeparator(colon, ':'), value_rule, behind);
    return behind;
  };
  for (size_t i = 0; i < names.size(); ++i) {
    NodeId value = other;
    if (i < declared) {
      LASTRO_ASSIGN_OR_RETURN(JsonValue property, properties->Get(names[i]));
      LASTRO_ASSIGN_OR_RETURN(value, Rule(property, depth + 1));
    }
    const NodeId behind = member(grammar_.Literal(CanonicalString(names[i])), value);
    const NodeId next = automaton_.NewNode();
    if (!required.contains(names[i])) {
      automaton_.AddEmpty(none, next);
      automaton_.AddEmpty(some, behind);
    }
    none = next;
    some = behind;
  }
  automaton_.AddEmpty(member(grammar_.KeyOtherThan(names), other), some);
  automaton_.AddBytes(none, '}', '}', end);
  automaton_.AddBytes(some, '}', '}', end);
  return start;
}

// ---- oneOf

std::optional<std::set<std::string>> Compiler::ListedValues(const JsonValue& schema) const {
  std::set<std::string> values;
  if (absl::StatusOr<JsonValue> value = schema.Get("const"); value.ok()) return std::set{Canonical(*value)};
  absl::StatusOr<JsonValue> list = schema.Get("enum");
  if (!list.ok() || !list->is_array()) return std::nullopt;
  const std::vector<JsonValue> entries = *list->AsArray();
  for (const JsonValue& entry : entries) values.insert(Canonical(entry));
  return values;
}

bool Compiler::Exclude(const JsonValue& a, const JsonValue& b) const {
  if (a.Get("$ref").ok()) {
    absl::StatusOr<JsonValue> target = Resolve(a);
    return target.ok() && !target->Get("$ref").ok() && Exclude(*target, b);
  }
  if (b.Get("$ref").ok()) return Exclude(b, a);
  auto disjoint = [](const auto& x, const auto& y) {
    return std::none_of(x.begin(), x.end(),
                        [&](const auto& item) { return std::find(y.begin(), y.end(), item) != y.end(); });
  };
  auto a_values = ListedValues(a), b_values = ListedValues(b);
  if (a_values && b_values) return disjoint(*a_values, *b_values);
  absl::StatusOr<Types> a_types = TypesOf(a), b_types = TypesOf(b);
  if (!a_types.ok() || !b_types.ok()) return false;
  for (Types* types : {&*a_types, &*b_types}) {
    if (Contains(*types, "number") && !Contains(*types, "integer")) types->push_back("integer");
  }
  if (disjoint(*a_types, *b_types)) return true;
  if (*a_types != Types{"object"} || *b_types != Types{"object"}) return false;
  absl::StatusOr<JsonValue> a_members = a.Get("properties"), b_members = b.Get("properties");
  if (!a_members.ok() || !b_members.ok()) return false;
  // A member that tells them apart need be required in one only if the other lists values as well: an object without it
  // would satisfy both, so it must be in both.
  auto is_required = [](const JsonValue& schema, const std::string& name) {
    absl::StatusOr<JsonValue> list = schema.Get("required");
    if (!list.ok() || !list->is_array()) return false;
    const std::vector<JsonValue> entries = *list->AsArray();
    return std::any_of(entries.begin(), entries.end(),
                       [&](const JsonValue& e) { return e.is_string() && *e.AsString() == name; });
  };
  for (const std::string& name : KeysOf(*a_members)) {
    if (!b_members->Get(name).ok() || !is_required(a, name) || !is_required(b, name)) continue;
    auto a_listed = ListedValues(*a_members->Get(name)), b_listed = ListedValues(*b_members->Get(name));
    if (a_listed && b_listed && disjoint(*a_listed, *b_listed)) return true;
  }
  return false;
}

absl::Status Compiler::CheckExclusive(const JsonValue& list) const {
  LASTRO_ASSIGN_OR_RETURN(std::vector<JsonValue> schemas, list.AsArray());
  if (schemas.size() > kMaxAlternatives)
    return Invalid(list, absl::StrCat("has more than ", kMaxAlternatives, " schemas"));
  for (size_t i = 0; i < schemas.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (Exclude(schemas[i], schemas[j])) continue;
      return Unsupported(list, absl::StrCat("a document may satisfy both ", j, " and ", i, "; use anyOf"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Automaton> CompileSchema(const JsonValue& schema) { return Compiler(schema).Run(); }

absl::StatusOr<Automaton> CompileJsonObject() {
  Automaton automaton;
  JsonGrammar grammar(&automaton);
  const NodeId start = grammar.AnyObject();
  LASTRO_RETURN_IF_ERROR(automaton.Finish(start));
  return automaton;
}

}  // namespace lastro::engine::constrained
