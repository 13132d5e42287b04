#include "base/json.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace lastro {
namespace {

constexpr size_t kMaxDepth = 256;

std::string_view ToStd(absl::string_view text) { return {text.data(), text.size()}; }
absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

absl::Status JsonValue::TypeError(absl::string_view expected) const {
  return absl::InvalidArgumentError(absl::StrCat(path_, " must be ", expected));
}

absl::StatusOr<JsonValue> JsonValue::Get(absl::string_view key) const {
  if (!element_.is_object()) return TypeError("an object");
  std::string path = absl::StrCat(path_, absl::EndsWith(path_, ":") ? " " : ".", key);
  simdjson::dom::element member;
  if (element_.at_key(ToStd(key)).get(member) != simdjson::SUCCESS) {
    return absl::NotFoundError(absl::StrCat(path, " is missing"));
  }
  return JsonValue(member, std::move(path));
}

bool JsonValue::Has(absl::string_view key) const {
  absl::StatusOr<JsonValue> member = Get(key);
  return member.ok() && !member->is_null();
}

absl::StatusOr<absl::string_view> JsonValue::AsString() const {
  std::string_view value;
  if (element_.get(value) != simdjson::SUCCESS) return TypeError("a string");
  return ToAbsl(value);
}

absl::StatusOr<int64_t> JsonValue::AsInt() const {
  int64_t value;
  if (element_.get(value) != simdjson::SUCCESS) return TypeError("an integer");
  return value;
}

absl::StatusOr<double> JsonValue::AsDouble() const {
  double value;
  if (element_.get(value) != simdjson::SUCCESS) return TypeError("a number");
  return value;
}

absl::StatusOr<bool> JsonValue::AsBool() const {
  bool value;
  if (element_.get(value) != simdjson::SUCCESS) return TypeError("true or false");
  return value;
}

absl::StatusOr<std::vector<JsonValue>> JsonValue::AsArray() const {
  simdjson::dom::array array;
  if (element_.get(array) != simdjson::SUCCESS) return TypeError("an array");
  std::vector<JsonValue> values;
  values.reserve(array.size());
  for (simdjson::dom::element item : array) {
    values.emplace_back(item, absl::StrCat(path_, "[", values.size(), "]"));
  }
  return values;
}

absl::StatusOr<std::string> JsonValue::GetString(absl::string_view key, absl::string_view otherwise) const {
  if (!Has(key)) return std::string(otherwise);
  LASTRO_ASSIGN_OR_RETURN(JsonValue member, Get(key));
  LASTRO_ASSIGN_OR_RETURN(absl::string_view value, member.AsString());
  return std::string(value);
}

absl::StatusOr<int64_t> JsonValue::GetInt(absl::string_view key, int64_t otherwise) const {
  if (!Has(key)) return otherwise;
  LASTRO_ASSIGN_OR_RETURN(JsonValue member, Get(key));
  return member.AsInt();
}

absl::StatusOr<double> JsonValue::GetDouble(absl::string_view key, double otherwise) const {
  if (!Has(key)) return otherwise;
  LASTRO_ASSIGN_OR_RETURN(JsonValue member, Get(key));
  return member.AsDouble();
}

absl::StatusOr<bool> JsonValue::GetBool(absl::string_view key, bool otherwise) const {
  if (!Has(key)) return otherwise;
  LASTRO_ASSIGN_OR_RETURN(JsonValue member, Get(key));
  return member.AsBool();
}

absl::StatusOr<JsonDocument> JsonDocument::Parse(absl::string_view text, const std::string& name, uint64_t max_bytes) {
  if (text.size() > max_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat(name, ": JSON of ", text.size(), " bytes; the limit is ", max_bytes));
  }
  JsonDocument document;
  document.name_ = name;
  document.parser_ = std::make_unique<simdjson::dom::parser>();
  simdjson::error_code error = document.parser_->allocate(std::max<size_t>(text.size(), 1024), kMaxDepth);
  if (error == simdjson::SUCCESS) {
    error = document.parser_->parse(simdjson::padded_string(text.data(), text.size())).get(document.root_);
  }
  if (error != simdjson::SUCCESS) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": not valid JSON: ", simdjson::error_message(error)));
  }
  return document;
}

absl::StatusOr<JsonDocument> JsonDocument::ParseFile(const std::string& path, uint64_t max_bytes) {
  LASTRO_ASSIGN_OR_RETURN(std::string text, ReadFile(path, max_bytes));
  return Parse(text, path, max_bytes);
}

}  // namespace lastro
