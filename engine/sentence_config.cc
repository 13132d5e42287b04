#include "engine/sentence_config.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/config_reader.h"

namespace lastro::engine {
namespace {

absl::Status ReadModules(const JsonValue& modules, SentenceConfig* config) {
  LASTRO_ASSIGN_OR_RETURN(std::vector<JsonValue> items, modules.AsArray());
  for (const JsonValue& item : items) {
    LASTRO_ASSIGN_OR_RETURN(std::string type, item.GetString("type", ""));
    if (absl::EndsWith(type, ".Normalize")) {
      config->normalize = true;
    } else if (!absl::EndsWith(type, ".Transformer") && !absl::EndsWith(type, ".Pooling")) {
      return absl::UnimplementedError(absl::StrCat(item.path(), " module \"", type,
                                                   "\" is not supported; supported: Transformer, Pooling, Normalize"));
    }
  }
  return absl::OkStatus();
}

absl::Status ReadPooling(const JsonValue& json, SentenceConfig* config) {
  constexpr const char* kModes[] = {"pooling_mode_mean_tokens",         "pooling_mode_cls_token",
                                    "pooling_mode_max_tokens",          "pooling_mode_mean_sqrt_len_tokens",
                                    "pooling_mode_weightedmean_tokens", "pooling_mode_lasttoken"};
  std::vector<std::string> chosen;
  for (const char* mode : kModes) {
    LASTRO_ASSIGN_OR_RETURN(bool on, json.GetBool(mode, false));
    if (on) chosen.push_back(mode);
  }
  const std::string mode = chosen.size() == 1 ? chosen[0] : "";
  if (mode == kModes[0] || mode == kModes[1] || mode == kModes[5]) {
    config->pooling = mode == kModes[0] ? Pooling::kMean : mode == kModes[1] ? Pooling::kCls : Pooling::kLast;
    return absl::OkStatus();
  }
  std::string found;
  for (const std::string& name : chosen) absl::StrAppend(&found, found.empty() ? "" : ", ", name);
  return absl::UnimplementedError(absl::StrCat(json.path(), " pooling by {", found,
                                               "} is not supported; supported: one of ", kModes[0], ", ", kModes[1],
                                               ", ", kModes[5]));
}

// config_sentence_transformers.json names prompts freely; these are the names in use.
absl::Status ReadPrompts(const JsonValue& json, SentenceConfig* config) {
  if (!json.Has("prompts")) return absl::OkStatus();
  LASTRO_ASSIGN_OR_RETURN(JsonValue prompts, json.Get("prompts"));
  LASTRO_ASSIGN_OR_RETURN(std::string by_default, json.GetString("default_prompt_name", ""));
  std::string otherwise;
  if (!by_default.empty()) {
    LASTRO_ASSIGN_OR_RETURN(otherwise, prompts.GetString(by_default, ""));
  }
  config->document_prefix = otherwise;
  LASTRO_ASSIGN_OR_RETURN(config->query_prefix, prompts.GetString("query", otherwise));
  for (const char* name : {"document", "passage", "corpus"}) {
    if (!prompts.Has(name)) continue;
    LASTRO_ASSIGN_OR_RETURN(config->document_prefix, prompts.GetString(name, ""));
    break;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SentenceConfig> ReadSentenceConfig(const ModelFiles& files, int64_t max_positions) {
  SentenceConfig config;
  if (files.modules().has_value()) LASTRO_RETURN_IF_ERROR(ReadModules(*files.modules(), &config));
  if (files.pooling_config().has_value()) LASTRO_RETURN_IF_ERROR(ReadPooling(*files.pooling_config(), &config));
  if (files.sentence_transformers_config().has_value()) {
    LASTRO_RETURN_IF_ERROR(ReadPrompts(*files.sentence_transformers_config(), &config));
  }
  if (files.pooling_config().has_value() && config.query_prefix + config.document_prefix != "") {
    ConfigReader pooling(*files.pooling_config());
    pooling.ExpectBool("include_prompt", true);  // else the prefix would not be pooled
    LASTRO_RETURN_IF_ERROR(pooling.status());
  }
  config.max_tokens = max_positions;
  if (files.sentence_bert_config().has_value() && files.sentence_bert_config()->Has("max_seq_length")) {
    ConfigReader reader(*files.sentence_bert_config());
    config.max_tokens = std::min(max_positions, reader.Int("max_seq_length", 1, kMaxTokens));
    LASTRO_RETURN_IF_ERROR(reader.status());
  } else if (files.tokenizer_config().has_value() && files.tokenizer_config()->Has("model_max_length")) {
    // Written as 1e30 where there is no limit: any number is allowed.
    LASTRO_ASSIGN_OR_RETURN(double limit, files.tokenizer_config()->GetDouble("model_max_length", 0));
    if (limit >= 1 && limit < static_cast<double>(max_positions)) config.max_tokens = static_cast<int64_t>(limit);
  }
  return config;
}

}  // namespace lastro::engine
