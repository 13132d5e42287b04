// Tool parameters in Harmony's TypeScript-like notation.
#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/chat/budget.h"
#include "engine/chat/harmony.h"
#include "engine/chat/json_writer.h"

namespace lastro::engine::chat {
namespace {

// The string member `key`; "" when there is none.
std::string StringOf(const Value& schema, absl::string_view key) {
  const Value* value = schema.Find(key);
  return value != nullptr && value->AsText() ? value->AsText()->bytes() : "";
}

const std::vector<Value>& ItemsAt(const Value& schema, absl::string_view key) {
  static const auto* const kNone = new std::vector<Value>();
  const Value* value = schema.Find(key);
  return value != nullptr && value->AsList() ? value->AsList()->items : *kNone;
}

std::string DefaultOf(const Value& schema) {
  const Value* value = schema.Find("default");
  if (value == nullptr) return "";
  if (value->AsText()) {
    const std::string& text = value->AsText()->bytes();
    return absl::StrCat("default: ", ItemsAt(schema, "enum").empty() ? absl::StrCat("\"", text, "\"") : text);
  }
  Budget budget(kMaxValueWeight, kMaxValueWeight);
  absl::StatusOr<Text> json = ToJson(*value, {.item_separator = ",", .key_separator = ":"}, &budget);
  return json.ok() ? absl::StrCat("default: ", json->bytes()) : "";
}

std::string TypeOf(const Value& schema, const std::string& indent);

// TypeOf, with "| null" where the schema says nullable.
std::string NullableTypeOf(const Value& schema, const std::string& indent) {
  std::string type = TypeOf(schema, indent);
  const Value* nullable = schema.Find("nullable");
  if (nullable != nullptr && nullable->Truth() && !absl::StrContains(type, "null")) type += " | null";
  return type;
}

// One variant of a oneOf, with what is told of it behind.
std::string VariantOf(const Value& variant, const std::string& indent, absl::string_view known_description) {
  std::vector<std::string> comments = {StringOf(variant, "description"), DefaultOf(variant)};
  if (comments[0] == known_description) comments[0].clear();
  comments.erase(std::remove(comments.begin(), comments.end(), ""), comments.end());
  return absl::StrCat(indent, " | ", NullableTypeOf(variant, indent + "   "), comments.empty() ? "" : " // ",
                      absl::StrJoin(comments, " "));
}

// The comment lines above a property.
std::string CommentsOf(const Value& schema, const std::string& indent, bool with_description) {
  std::string out;
  if (const std::string title = StringOf(schema, "title"); !title.empty()) {
    absl::StrAppend(&out, indent, "// ", title, "\n", indent, "//\n");
  }
  const std::string description = StringOf(schema, "description");
  if (with_description && !description.empty()) absl::StrAppend(&out, indent, "// ", description, "\n");
  if (!ItemsAt(schema, "examples").empty()) absl::StrAppend(&out, indent, "// Examples:\n");
  for (const Value& example : ItemsAt(schema, "examples")) {
    if (example.AsText()) absl::StrAppend(&out, indent, "// - \"", example.AsText()->bytes(), "\"\n");
  }
  return out;
}

std::string VariantsProperty(const std::string& name, const Value& schema, const std::string& indent) {
  const std::vector<Value>& variants = ItemsAt(schema, "oneOf");
  const std::string description = StringOf(schema, "description");
  const bool above = !description.empty() && StringOf(variants[0], "description") != description;
  std::string out = CommentsOf(schema, indent, false);
  if (above) absl::StrAppend(&out, indent, "// ", description, "\n");
  if (schema.Find("default")) absl::StrAppend(&out, indent, "// ", DefaultOf(schema), "\n");
  absl::StrAppend(&out, indent, name, ":\n");
  for (size_t i = 0; i < variants.size(); ++i) {
    // Below a description of the property, the first variant shows none of its own.
    const std::string known = above && i == 0 ? StringOf(variants[0], "description") : description;
    absl::StrAppend(&out, VariantOf(variants[i], indent, known), "\n");
  }
  return absl::StrCat(out, indent, ",\n");
}

std::string ObjectType(const Value& schema, const std::string& indent) {
  const std::string description = StringOf(schema, "description");
  std::string out = description.empty() ? "" : absl::StrCat(indent, "// ", description, "\n");
  out += "{\n";
  const Value* properties = schema.Find("properties");
  const std::vector<Value>& required = ItemsAt(schema, "required");
  for (size_t i = 0; properties != nullptr && properties->AsDict() && i < properties->AsDict()->items.size(); ++i) {
    const Text& key = properties->AsDict()->items[i].first;
    const Value& property = properties->AsDict()->items[i].second;
    const bool optional =
        std::none_of(required.begin(), required.end(), [&](const Value& name) { return Equal(name, Value(key)); });
    const std::string name = absl::StrCat(key.bytes(), optional ? "?" : "");
    if (!ItemsAt(property, "oneOf").empty()) {
      out += VariantsProperty(name, property, indent);
      continue;
    }
    const std::string by_default = DefaultOf(property);
    absl::StrAppend(&out, CommentsOf(property, indent, true), indent, name, ": ",
                    NullableTypeOf(property, indent + "    "), ",", by_default.empty() ? "" : " // ", by_default, "\n");
  }
  return absl::StrCat(out, indent, "}");
}

std::string StringType(const Value& schema) {
  std::vector<std::string> values;
  for (const Value& value : ItemsAt(schema, "enum")) {
    if (value.AsText()) values.push_back(absl::StrCat("\"", value.AsText()->bytes(), "\""));
  }
  return values.empty() ? "string" : absl::StrJoin(values, " | ");
}

std::string TypeOf(const Value& schema, const std::string& indent) {
  if (const std::vector<Value>& variants = ItemsAt(schema, "oneOf"); !variants.empty()) {
    std::string out;
    for (const Value& variant : variants) absl::StrAppend(&out, "\n", VariantOf(variant, indent, ""));
    return out;
  }
  std::vector<std::string> types;
  for (const Value& type : ItemsAt(schema, "type")) {
    if (type.AsText()) types.push_back(type.AsText()->bytes() == "integer" ? "number" : type.AsText()->bytes());
  }
  if (!types.empty()) return absl::StrJoin(types, " | ");
  const std::string type = StringOf(schema, "type");
  if (type == "object") return ObjectType(schema, indent);
  if (type == "string") return StringType(schema);
  if (type == "number" || type == "integer") return "number";
  if (type == "boolean") return "boolean";
  if (type != "array") return "any";
  const Value* items = schema.Find("items");
  return items == nullptr ? "Array<any>" : absl::StrCat(TypeOf(*items, indent), "[]");
}

}  // namespace

// Depth is bounded by that of values.
std::string SchemaToTypeScript(const Value& schema) { return TypeOf(schema, ""); }

}  // namespace lastro::engine::chat
