#include "engine/cards/common.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace lastro::engine {
namespace {

// What YaRN multiplies cos and sin by (transformers: get_mscale).
double YarnMagnitude(double factor, double weight) { return factor <= 1 ? 1.0 : 0.1 * weight * std::log(factor) + 1.0; }

absl::Status ReadLlama3(ConfigReader& scaling, RopeParams* rope) {
  rope->scaling = RopeScaling::kLlama3;
  rope->low_freq_factor = scaling.Double("low_freq_factor", 1e-3, 1e6);
  rope->high_freq_factor = scaling.Double("high_freq_factor", 1e-3, 1e6);
  rope->original_max_tokens = scaling.Double("original_max_position_embeddings", 1, 1e9);
  if (scaling.status().ok() && rope->high_freq_factor <= rope->low_freq_factor) {
    return absl::InvalidArgumentError(
        absl::StrCat(scaling.config().path(), " high_freq_factor must be greater than low_freq_factor"));
  }
  return absl::OkStatus();
}

void ReadYarn(ConfigReader& scaling, int64_t max_tokens, RopeParams* rope) {
  rope->scaling = RopeScaling::kYarn;
  rope->original_max_tokens =
      scaling.Double("original_max_position_embeddings", 1, 1e9, static_cast<double>(max_tokens));
  rope->beta_fast = scaling.Double("beta_fast", 1e-3, 1e6, 32.0);
  rope->beta_slow = scaling.Double("beta_slow", 1e-3, 1e6, 1.0);
  rope->truncate = scaling.Bool("truncate", true);
  const double weight = scaling.Double("mscale", 0, 1e6, 0), all = scaling.Double("mscale_all_dim", 0, 1e6, 0);
  const double magnitude = weight != 0 && all != 0
                               ? YarnMagnitude(rope->factor, weight) / YarnMagnitude(rope->factor, all)
                               : YarnMagnitude(rope->factor, 1);
  rope->attention_factor = scaling.Double("attention_factor", 1e-3, 1e3, magnitude);
}

absl::StatusOr<std::vector<double>> ReadFactors(const JsonValue& scaling, absl::string_view key, int64_t count) {
  LASTRO_ASSIGN_OR_RETURN(JsonValue list, scaling.Get(key));
  LASTRO_ASSIGN_OR_RETURN(std::vector<JsonValue> items, list.AsArray());
  std::vector<double> factors;
  for (const JsonValue& item : items) {
    LASTRO_ASSIGN_OR_RETURN(double factor, item.AsDouble());
    if (!(factor >= 1e-6 && factor <= 1e9)) {
      return absl::InvalidArgumentError(absl::StrCat(item.path(), " = ", factor, " is out of range [1e-6, 1e9]"));
    }
    factors.push_back(factor);
  }
  if (static_cast<int64_t>(factors.size()) != count) {
    return absl::InvalidArgumentError(absl::StrCat(list.path(), " has ", factors.size(), " numbers; expected ", count,
                                                   ", one for each pair of rotary components"));
  }
  return factors;
}

absl::Status ReadLongRope(const JsonValue& config, ConfigReader& scaling, int64_t max_tokens, RopeParams* rope) {
  rope->scaling = RopeScaling::kLongRope;
  LASTRO_ASSIGN_OR_RETURN(rope->short_factors, ReadFactors(scaling.config(), "short_factor", rope->rotary_dim / 2));
  LASTRO_ASSIGN_OR_RETURN(rope->long_factors, ReadFactors(scaling.config(), "long_factor", rope->rotary_dim / 2));
  constexpr const char* kOriginal = "original_max_position_embeddings";
  const double longest = static_cast<double>(max_tokens);
  double factor = scaling.Double("factor", 1e-3, 1e6, 1.0);
  rope->original_max_tokens = longest;
  ConfigReader outer(config);
  for (ConfigReader* reader : {&scaling, &outer}) {
    if (!reader->config().Has(kOriginal)) continue;
    rope->original_max_tokens = reader->Double(kOriginal, 2, 1e9);
    factor = longest / rope->original_max_tokens;
  }
  LASTRO_RETURN_IF_ERROR(outer.status());
  const double magnitude = factor <= 1 ? 1.0 : std::sqrt(1 + std::log(factor) / std::log(rope->original_max_tokens));
  rope->attention_factor = scaling.Double("attention_factor", 1e-3, 1e3, magnitude);
  return absl::OkStatus();
}

// `json` is rope_scaling or rope_parameters of `config`.
absl::Status ReadScaling(const JsonValue& config, const JsonValue& json, Architecture* a) {
  RopeParams* rope = &a->rope;
  ConfigReader scaling(json);
  const std::string type = scaling.String("rope_type", scaling.String("type", "default"));
  if (type == "default") return scaling.status();
  if (type == "longrope" || type == "su" || json.Has("short_factor")) {
    LASTRO_RETURN_IF_ERROR(ReadLongRope(config, scaling, a->max_tokens, rope));
    return scaling.status();
  }
  rope->factor = scaling.Double("factor", 1e-3, 1e6);
  if (type == "linear") {
    rope->scaling = RopeScaling::kLinear;
  } else if (type == "dynamic") {
    rope->scaling = RopeScaling::kDynamic;
    rope->original_max_tokens = static_cast<double>(a->max_tokens);
  } else if (type == "llama3") {
    LASTRO_RETURN_IF_ERROR(ReadLlama3(scaling, rope));
  } else if (type == "yarn") {
    ReadYarn(scaling, a->max_tokens, rope);
  } else {
    return absl::UnimplementedError(
        absl::StrCat(json.path(), " rope type \"", type,
                     "\" is not supported; supported: default, linear, dynamic, llama3, yarn, longrope"));
  }
  return scaling.status();
}

// The context that a scaling was made for.
void RaiseMaxTokens(Architecture* a) {
  const RopeParams& rope = a->rope;
  if (rope.scaling != RopeScaling::kDynamic && rope.scaling != RopeScaling::kYarn) return;
  const double extended = std::min(rope.original_max_tokens * rope.factor, static_cast<double>(kMaxTokens));
  a->max_tokens = std::max(a->max_tokens, static_cast<int64_t>(extended));
}

// `value` is null, an id, or a list of ids.
absl::Status AddIds(const JsonValue& value, int64_t vocab_size, std::vector<int32_t>* ids) {
  if (value.is_null()) return absl::OkStatus();
  std::vector<JsonValue> items = {value};
  if (value.is_array()) {
    LASTRO_ASSIGN_OR_RETURN(items, value.AsArray());
  }
  for (const JsonValue& item : items) {
    LASTRO_ASSIGN_OR_RETURN(int64_t id, item.AsInt());
    if (id < 0 || id >= vocab_size) {
      return absl::InvalidArgumentError(
          absl::StrCat(item.path(), " = ", id, " is no id of a vocabulary of ", vocab_size));
    }
    ids->push_back(static_cast<int32_t>(id));
  }
  return absl::OkStatus();
}

absl::Status CheckHeads(const JsonValue& config, const Architecture& a) {
  if (a.heads % a.kv_heads == 0 && a.heads / a.kv_heads <= kernels::kMaxAttentionQueries) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(config.path(), " num_attention_heads ", a.heads,
                                                 " must be a multiple of num_key_value_heads ", a.kv_heads,
                                                 ", at most ", kernels::kMaxAttentionQueries, " times it"));
}

}  // namespace

TensorNames LlamaTensors() {
  TensorNames names;
  names.prefixes = {"model.", ""};
  names.token_embedding = "embed_tokens";
  names.q = "layers.{}.self_attn.q_proj";
  names.k = "layers.{}.self_attn.k_proj";
  names.v = "layers.{}.self_attn.v_proj";
  names.attention_out = "layers.{}.self_attn.o_proj";
  names.attention_norm = "layers.{}.input_layernorm";
  names.gate = "layers.{}.mlp.gate_proj";
  names.up = "layers.{}.mlp.up_proj";
  names.down = "layers.{}.mlp.down_proj";
  names.mlp_norm = "layers.{}.post_attention_layernorm";
  names.final_norm = "norm";
  names.head = "lm_head";
  names.ignored = {".rotary_emb.inv_freq"};
  return names;
}

absl::Status DeriveHeadDim(const JsonValue& config, Architecture* a) {
  if (a->hidden_size % a->heads != 0) {
    return absl::InvalidArgumentError(absl::StrCat(config.path(), " hidden_size ", a->hidden_size,
                                                   " is not a multiple of num_attention_heads ", a->heads,
                                                   " and head_dim is not given"));
  }
  a->head_dim = a->hidden_size / a->heads;
  return absl::OkStatus();
}

absl::Status ReadHeads(ConfigReader& config, int64_t head_dim, Architecture* a) {
  a->heads = config.Int("num_attention_heads", 1, kMaxHeads);
  a->kv_heads = config.Int("num_key_value_heads", 1, kMaxHeads, a->heads);
  LASTRO_RETURN_IF_ERROR(config.status());
  LASTRO_RETURN_IF_ERROR(CheckHeads(config.config(), *a));
  if (head_dim == 0 && !config.config().Has("head_dim")) return DeriveHeadDim(config.config(), a);
  a->head_dim = config.Int("head_dim", 1, kMaxHeadDim, std::max<int64_t>(1, head_dim));
  return config.status();
}

absl::Status ReadRope(const JsonValue& config, double theta, double fraction, Architecture* a) {
  ConfigReader reader(config);
  std::optional<JsonValue> scaling;
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (!config.Has(key)) continue;
    LASTRO_ASSIGN_OR_RETURN(scaling, config.Get(key));
    if (scaling->Has("full_attention")) {  // version 5, where layers differ
      LASTRO_ASSIGN_OR_RETURN(scaling, scaling->Get("full_attention"));
    }
  }
  ConfigReader inner(scaling.value_or(config));
  a->rope.theta = inner.Double("rope_theta", 1e-3, 1e15, reader.Double("rope_theta", 1e-3, 1e15, theta));
  fraction =
      inner.Double("partial_rotary_factor", 0.0, 1.0, reader.Double("partial_rotary_factor", 0.0, 1.0, fraction));
  LASTRO_RETURN_IF_ERROR(reader.status());
  LASTRO_RETURN_IF_ERROR(inner.status());
  a->rope.rotary_dim = static_cast<int64_t>(static_cast<double>(a->head_dim) * fraction);
  if (a->rope.rotary_dim < 2 || a->rope.rotary_dim % 2 != 0) {
    return absl::InvalidArgumentError(absl::StrCat(config.path(), " head_dim ", a->head_dim, " times ", fraction,
                                                   " gives ", a->rope.rotary_dim,
                                                   " rotary components; an even number of at least 2 is needed"));
  }
  if (scaling.has_value()) LASTRO_RETURN_IF_ERROR(ReadScaling(config, *scaling, a));
  RaiseMaxTokens(a);
  return absl::OkStatus();
}

absl::Status ReadWindows(ConfigReader& config, absl::FunctionRef<bool(int64_t)> windowed, Architecture* a) {
  const JsonValue& json = config.config();
  if (!json.Has("sliding_window")) return absl::OkStatus();
  const int64_t window = config.Int("sliding_window", 1, kMaxTokens);
  LASTRO_RETURN_IF_ERROR(config.status());
  if (!json.Has("layer_types")) {
    for (int64_t layer = 0; layer < a->layers; ++layer) a->windows.push_back(windowed(layer) ? window : 0);
    return absl::OkStatus();
  }
  LASTRO_ASSIGN_OR_RETURN(std::vector<std::string> types, ReadLayerTypes(config, *a));
  for (const std::string& type : types) a->windows.push_back(type == "sliding_attention" ? window : 0);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> ReadLayerTypes(const ConfigReader& config, const Architecture& a) {
  LASTRO_ASSIGN_OR_RETURN(JsonValue list, config.config().Get("layer_types"));
  LASTRO_ASSIGN_OR_RETURN(std::vector<JsonValue> items, list.AsArray());
  std::vector<std::string> types;
  for (const JsonValue& item : items) {
    LASTRO_ASSIGN_OR_RETURN(absl::string_view type, item.AsString());
    if (type != "sliding_attention" && type != "full_attention") {
      return absl::UnimplementedError(absl::StrCat(item.path(), " \"", type,
                                                   "\" is not supported; supported: full_attention, "
                                                   "sliding_attention"));
    }
    types.emplace_back(type);
  }
  if (static_cast<int64_t>(types.size()) != a.layers) {
    return absl::InvalidArgumentError(
        absl::StrCat(list.path(), " names ", types.size(), " layers; num_hidden_layers is ", a.layers));
  }
  return types;
}

absl::Status ReadLocalRope(const JsonValue& config, double theta, Architecture* a) {
  a->local_rope.emplace();
  a->local_rope->rotary_dim = a->rope.rotary_dim;
  a->local_rope->theta = theta;
  if (!config.Has("rope_parameters")) return absl::OkStatus();
  LASTRO_ASSIGN_OR_RETURN(JsonValue parameters, config.Get("rope_parameters"));
  if (!parameters.Has("sliding_attention")) return absl::OkStatus();
  LASTRO_ASSIGN_OR_RETURN(JsonValue local, parameters.Get("sliding_attention"));
  ConfigReader reader(local);
  a->local_rope->theta = reader.Double("rope_theta", 1e-3, 1e15, theta);
  reader.ExpectString("rope_type", "default");
  return reader.status();
}

absl::Status ReadExpertCounts(ConfigReader& config, int64_t experts, int64_t per_token, Architecture* a) {
  const absl::string_view key = config.FirstOf({"num_local_experts", "num_experts"});
  a->experts = config.Int(key, 1, 4096, experts);
  a->experts_per_token = config.Int(config.FirstOf({"num_experts_per_tok", "experts_per_token"}), 1, 4096, per_token);
  LASTRO_RETURN_IF_ERROR(config.status());
  if (a->experts_per_token <= a->experts) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(config.config().path(), " num_experts_per_tok ", a->experts_per_token,
                                                 " exceeds ", key, " ", a->experts));
}

absl::Status ReadSpecialIds(const ModelFiles& files, Architecture* a) {
  std::vector<int32_t> bos;
  for (const std::optional<JsonValue>& json : {std::optional<JsonValue>(files.config()), files.generation_config()}) {
    if (!json.has_value()) continue;
    if (absl::StatusOr<JsonValue> eos = json->Get("eos_token_id"); eos.ok()) {
      LASTRO_RETURN_IF_ERROR(AddIds(*eos, a->vocab_size, &a->eos_ids));
    }
    if (absl::StatusOr<JsonValue> id = json->Get("bos_token_id"); id.ok()) {
      LASTRO_RETURN_IF_ERROR(AddIds(*id, a->vocab_size, &bos));
    }
  }
  std::sort(a->eos_ids.begin(), a->eos_ids.end());
  a->eos_ids.erase(std::unique(a->eos_ids.begin(), a->eos_ids.end()), a->eos_ids.end());
  a->bos_id = bos.empty() ? -1 : bos.back();
  return absl::OkStatus();
}

absl::Status ReadSeq2SeqIds(const ModelFiles& files, int32_t start, Seq2SeqArchitecture* both) {
  LASTRO_RETURN_IF_ERROR(ReadSpecialIds(files, &both->decoder));
  both->start_id = start;
  const int64_t last = both->decoder.vocab_size - 1;
  for (const std::optional<JsonValue>& json : {std::optional<JsonValue>(files.config()), files.generation_config()}) {
    if (!json.has_value()) continue;
    ConfigReader reader(*json);
    both->start_id = static_cast<int32_t>(reader.Int("decoder_start_token_id", 0, last, both->start_id));
    both->forced_bos_id = static_cast<int32_t>(reader.Int("forced_bos_token_id", -1, last, both->forced_bos_id));
    both->forced_eos_id = static_cast<int32_t>(reader.Int("forced_eos_token_id", -1, last, both->forced_eos_id));
    LASTRO_RETURN_IF_ERROR(reader.status());
  }
  return absl::OkStatus();
}

absl::Status ReadLlamaLike(const ModelFiles& files, const DecoderDefaults& defaults, ConfigReader& config,
                           Architecture* a) {
  a->vocab_size = config.Int("vocab_size", 1, kMaxVocab);
  a->hidden_size = config.Int("hidden_size", 1, kMaxWidth);
  a->layers = config.Int("num_hidden_layers", 1, kMaxLayers);
  a->intermediate_size = config.Int("intermediate_size", 1, kMaxWidth);
  a->max_tokens = config.Int("max_position_embeddings", 1, kMaxTokens, defaults.max_tokens);
  a->norm_eps = static_cast<float>(config.Double("rms_norm_eps", 0, 1, defaults.norm_eps));
  a->activation = config.Activation(defaults.activation_key, defaults.activation);
  a->tied_head = config.Bool("tie_word_embeddings", defaults.tied_head);
  LASTRO_RETURN_IF_ERROR(ReadHeads(config, defaults.head_dim, a));
  LASTRO_RETURN_IF_ERROR(ReadRope(config.config(), defaults.rope_theta, 1.0, a));
  LASTRO_RETURN_IF_ERROR(ReadSpecialIds(files, a));
  a->final_norm = a->gated_mlp = a->has_head = true;
  a->tensors = LlamaTensors();
  return config.status();
}

}  // namespace lastro::engine
