#include "engine/lora_config.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace lastro::engine {
namespace {

constexpr int64_t kMaxRank = 4096;
constexpr double kMaxAlpha = 1e6;

// Keys that say where training put the adapter or how it went; what matters of them is in the tensors.
constexpr absl::string_view kPassedOver[] = {
    "auto_mapping",    "base_model_name_or_path", "corda_config",       "eva_config",
    "exclude_modules", "inference_mode",          "layers_pattern",     "loftq_config",
    "lora_dropout",    "layers_to_transform",     "peft_version",       "revision",
    "runtime_config",  "target_modules",          "task_type",          "megatron_core",
    "fan_in_fan_out",  "qalora_group_size",       "ensure_weight_tying"};
constexpr absl::string_view kRead[] = {"peft_type",     "r",    "lora_alpha",       "use_rslora", "rank_pattern",
                                       "alpha_pattern", "bias", "init_lora_weights"};

bool IsOneOf(absl::string_view key, absl::Span<const absl::string_view> keys) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

// null, false, "", [] and {} ask for nothing.
bool SaysSomething(const JsonValue& value) {
  if (value.is_null()) return false;
  if (value.is_bool()) return *value.AsBool();
  if (value.is_string()) return !value.AsString()->empty();
  if (value.is_array()) return !value.AsArray()->empty();
  if (value.is_object()) return simdjson::dom::object(value.element()).size() > 0;
  return true;
}

absl::Status Unsupported(const JsonValue& value) {
  return absl::UnimplementedError(
      absl::StrCat(value.path(), " is set; adapters with it are not supported by this version"));
}

absl::Status CheckKeys(const JsonValue& config) {
  for (const auto& [name, element] : simdjson::dom::object(config.element())) {
    const absl::string_view key(name.data(), name.size());
    if (IsOneOf(key, kPassedOver) || IsOneOf(key, kRead)) continue;
    const JsonValue value(element, absl::StrCat(config.path(), " ", key));
    if (SaysSomething(value)) return Unsupported(value);
  }
  LASTRO_ASSIGN_OR_RETURN(std::string type, config.GetString("peft_type", ""));
  if (type != "LORA") {
    return absl::UnimplementedError(
        absl::StrCat(config.path(), " peft_type is \"", type, "\"; adapters of type LORA are supported"));
  }
  LASTRO_ASSIGN_OR_RETURN(std::string bias, config.GetString("bias", "none"));
  if (bias != "none") return Unsupported(*config.Get("bias"));
  // These initialisations change the base weights: without the changed ones the adapter is of no use.
  if (absl::StatusOr<JsonValue> init = config.Get("init_lora_weights"); init.ok() && init->is_string()) {
    for (absl::string_view changing : {"pissa", "olora", "corda", "loftq"}) {
      if (absl::StartsWith(*init->AsString(), changing)) return Unsupported(*init);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> CheckRank(const JsonValue& value) {
  LASTRO_ASSIGN_OR_RETURN(int64_t rank, value.AsInt());
  if (rank >= 1 && rank <= kMaxRank) return rank;
  return absl::InvalidArgumentError(absl::StrCat(value.path(), " is ", rank, "; a rank must be from 1 to ", kMaxRank));
}

absl::StatusOr<double> CheckAlpha(const JsonValue& value) {
  LASTRO_ASSIGN_OR_RETURN(double alpha, value.AsDouble());
  if (std::abs(alpha) <= kMaxAlpha) return alpha;
  return absl::InvalidArgumentError(
      absl::StrCat(value.path(), " is ", alpha, "; it must be from ", -kMaxAlpha, " to ", kMaxAlpha));
}

// {"name": value, ...}. Keys may be regular expressions in PEFT; plain names, which most are, are read here.
template <typename T>
absl::StatusOr<std::map<std::string, T>> ReadPattern(const JsonValue& config, const char* key,
                                                     absl::StatusOr<T> (*check)(const JsonValue&)) {
  std::map<std::string, T> pattern;
  if (!config.Has(key)) return pattern;
  LASTRO_ASSIGN_OR_RETURN(JsonValue object, config.Get(key));
  if (!object.is_object()) return absl::InvalidArgumentError(absl::StrCat(object.path(), " must be an object"));
  for (const auto& [name, element] : simdjson::dom::object(object.element())) {
    const JsonValue value(element, absl::StrCat(object.path(), ".", std::string(name)));
    auto plain = [](char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.'; };
    if (name.empty() || !std::all_of(name.begin(), name.end(), plain)) return Unsupported(value);
    LASTRO_ASSIGN_OR_RETURN(pattern[std::string(name)], check(value));
  }
  return pattern;
}

// The value of the longest key that ends `module` at a dot; `otherwise` when none does.
template <typename T>
T Lookup(const std::map<std::string, T>& pattern, absl::string_view module, T otherwise) {
  size_t longest = 0;
  for (const auto& [key, value] : pattern) {
    const bool ends = module == key || absl::EndsWith(module, absl::StrCat(".", key));
    if (!ends || key.size() <= longest) continue;
    longest = key.size();
    otherwise = value;
  }
  return otherwise;
}

}  // namespace

absl::StatusOr<LoraConfig> LoraConfig::Read(const JsonValue& config) {
  if (!config.is_object()) return absl::InvalidArgumentError(absl::StrCat(config.path(), " must be an object"));
  LASTRO_RETURN_IF_ERROR(CheckKeys(config));
  LoraConfig lora;
  LASTRO_ASSIGN_OR_RETURN(JsonValue rank, config.Get("r"));
  LASTRO_ASSIGN_OR_RETURN(lora.rank, CheckRank(rank));
  LASTRO_ASSIGN_OR_RETURN(JsonValue alpha, config.Get("lora_alpha"));
  LASTRO_ASSIGN_OR_RETURN(lora.alpha, CheckAlpha(alpha));
  LASTRO_ASSIGN_OR_RETURN(lora.rank_stabilized, config.GetBool("use_rslora", false));
  LASTRO_ASSIGN_OR_RETURN(lora.ranks, ReadPattern<int64_t>(config, "rank_pattern", CheckRank));
  LASTRO_ASSIGN_OR_RETURN(lora.alphas, ReadPattern<double>(config, "alpha_pattern", CheckAlpha));
  return lora;
}

int64_t LoraConfig::RankOf(absl::string_view module) const { return Lookup(ranks, module, rank); }

double LoraConfig::ScaleOf(absl::string_view module) const {
  const double rank_of_module = static_cast<double>(RankOf(module));
  return Lookup(alphas, module, alpha) / (rank_stabilized ? std::sqrt(rank_of_module) : rank_of_module);
}

}  // namespace lastro::engine
