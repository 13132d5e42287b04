#include "engine/model_files.h"

#include "absl/strings/match.h"
#include "base/status_macros.h"
#include "engine/gguf_model.h"
#include "engine/hf_folder.h"

namespace lastro::engine {

absl::StatusOr<std::optional<std::string>> ModelFiles::ChatTemplate() const {
  constexpr char kKey[] = "chat_template";
  if (!tokenizer_config().has_value() || !tokenizer_config()->Has(kKey)) return std::optional<std::string>();
  LASTRO_ASSIGN_OR_RETURN(JsonValue value, tokenizer_config()->Get(kKey));
  if (value.is_array()) {  // [{"name": "default", "template": "..."}, ...]
    LASTRO_ASSIGN_OR_RETURN(std::vector<JsonValue> named, value.AsArray());
    for (const JsonValue& entry : named) {
      LASTRO_ASSIGN_OR_RETURN(std::string name, entry.GetString("name", ""));
      if (name != "default") continue;
      LASTRO_ASSIGN_OR_RETURN(value, entry.Get("template"));
    }
    if (value.is_array()) return std::optional<std::string>();
  }
  LASTRO_ASSIGN_OR_RETURN(absl::string_view text, value.AsString());
  return std::optional<std::string>(text);
}

absl::StatusOr<std::string> ModelFiles::SpecialToken(absl::string_view name) const {
  for (const std::optional<JsonValue>& file : {tokenizer_config(), special_tokens_map()}) {
    if (!file.has_value() || !file->Has(name)) continue;
    LASTRO_ASSIGN_OR_RETURN(JsonValue token, file->Get(name));
    if (token.is_object()) {  // an added token with its options
      LASTRO_ASSIGN_OR_RETURN(token, token.Get("content"));
    }
    LASTRO_ASSIGN_OR_RETURN(absl::string_view text, token.AsString());
    return std::string(text);
  }
  return std::string();
}

absl::StatusOr<std::unique_ptr<ModelFiles>> OpenModel(const std::string& path) {
  if (absl::EndsWith(path, ".gguf")) return GgufModel::Open(path);
  return HfFolder::Open(path);
}

}  // namespace lastro::engine
