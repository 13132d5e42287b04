#include "engine/tokenizers/component.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace lastro::engine::tokenizers {

constexpr size_t kMaxItems = 256;

absl::StatusOr<std::string> TypeOf(const JsonValue& component) {
  LASTRO_ASSIGN_OR_RETURN(JsonValue type, component.Get("type"));
  LASTRO_ASSIGN_OR_RETURN(absl::string_view name, type.AsString());
  return std::string(name);
}

absl::StatusOr<std::vector<JsonValue>> ItemsOf(const JsonValue& component, absl::string_view key) {
  LASTRO_ASSIGN_OR_RETURN(JsonValue field, component.Get(key));
  LASTRO_ASSIGN_OR_RETURN(std::vector<JsonValue> items, field.AsArray());
  if (items.size() > kMaxItems) {
    return absl::InvalidArgumentError(
        absl::StrCat(field.path(), " has ", items.size(), " entries; the limit is ", kMaxItems));
  }
  return items;
}

absl::Status CheckSteps(const JsonValue& component, size_t steps) {
  if (steps < kMaxItems) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(component.path(), ": more than ", kMaxItems, " steps"));
}

absl::StatusOr<std::string> GetReplacement(const JsonValue& component, absl::string_view key,
                                           absl::string_view otherwise) {
  LASTRO_ASSIGN_OR_RETURN(std::string value, component.GetString(key, otherwise));
  if (value.size() <= kMaxReplacementBytes) return value;
  return absl::InvalidArgumentError(
      absl::StrCat(component.path(), ".", key, " has ", value.size(), " bytes; the limit is ", kMaxReplacementBytes));
}

absl::Status UnsupportedType(const JsonValue& component, absl::string_view type) {
  return absl::UnimplementedError(
      absl::StrCat(component.path(), ": type \"", type, "\" is not supported by this version"));
}

absl::StatusOr<int32_t> AsTokenId(const JsonValue& value) {
  LASTRO_ASSIGN_OR_RETURN(int64_t id, value.AsInt());
  if (id < 0 || id >= static_cast<int64_t>(kMaxVocabulary)) {
    return absl::InvalidArgumentError(
        absl::StrCat(value.path(), " is ", id, "; a token id lies in [0, ", kMaxVocabulary, ")"));
  }
  return static_cast<int32_t>(id);
}

}  // namespace lastro::engine::tokenizers
