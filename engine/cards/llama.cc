// Llama (Touvron et al. 2023) and the models that share its layout: RMS norm, rotary positions, grouped-query
// attention, SwiGLU. Reference: transformers/models/llama/modeling_llama.py and modeling_rope_utils.py. transformers
// before version 5 writes rope_theta and rope_scaling, version 5 writes rope_parameters; hub files have either: both
// are read.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/cards.h"
#include "engine/config_reader.h"

namespace lastro::engine {
namespace {

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

absl::Status ReadScaling(const JsonValue& json, RopeParams* rope) {
  ConfigReader scaling(json);
  const std::string type = scaling.String("rope_type", scaling.String("type", "default"));
  rope->theta = scaling.Double("rope_theta", 1e-3, 1e15, rope->theta);
  if (type == "default") return scaling.status();
  rope->factor = scaling.Double("factor", 1e-3, 1e6);
  if (type == "linear") {
    rope->scaling = RopeScaling::kLinear;
  } else if (type == "llama3") {
    rope->scaling = RopeScaling::kLlama3;
    rope->low_freq_factor = scaling.Double("low_freq_factor", 1e-3, 1e6);
    rope->high_freq_factor = scaling.Double("high_freq_factor", 1e-3, 1e6);
    rope->original_max_tokens = scaling.Double("original_max_position_embeddings", 1, 1e9);
    if (scaling.status().ok() && rope->high_freq_factor <= rope->low_freq_factor) {
      return absl::InvalidArgumentError(
          absl::StrCat(json.path(), " high_freq_factor must be greater than low_freq_factor"));
    }
  } else {
    return absl::UnimplementedError(
        absl::StrCat(json.path(), " rope type \"", type, "\" is not supported; supported: default, linear, llama3"));
  }
  return scaling.status();
}

absl::Status ReadRope(const JsonValue& config, Architecture* a) {
  ConfigReader reader(config);
  a->rope.theta = reader.Double("rope_theta", 1e-3, 1e15, 10000.0);
  double fraction = reader.Double("partial_rotary_factor", 0.0, 1.0, 1.0);
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (!config.Has(key)) continue;
    LASTRO_ASSIGN_OR_RETURN(JsonValue json, config.Get(key));
    LASTRO_RETURN_IF_ERROR(ReadScaling(json, &a->rope));
    ConfigReader inner(json);
    fraction = inner.Double("partial_rotary_factor", 0.0, 1.0, fraction);
    LASTRO_RETURN_IF_ERROR(inner.status());
  }
  a->rope.rotary_dim = static_cast<int64_t>(static_cast<double>(a->head_dim) * fraction);
  if (reader.status().ok() && (a->rope.rotary_dim < 2 || a->rope.rotary_dim % 2 != 0)) {
    return absl::InvalidArgumentError(absl::StrCat(config.path(), " head_dim ", a->head_dim, " times ", fraction,
                                                   " gives ", a->rope.rotary_dim,
                                                   " rotary components; an even number of at least 2 is needed"));
  }
  return reader.status();
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

// End-of-text is a set: what config.json and generation_config.json name together.
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

absl::Status ReadHeads(ConfigReader& config, Architecture* a) {
  a->heads = config.Int("num_attention_heads", 1, kMaxHeads);
  a->kv_heads = config.Int("num_key_value_heads", 1, kMaxHeads, a->heads);
  a->head_dim = config.Int("head_dim", 1, kMaxHeadDim, std::max<int64_t>(1, a->hidden_size / a->heads));
  LASTRO_RETURN_IF_ERROR(config.status());
  if (a->heads % a->kv_heads != 0 || a->heads / a->kv_heads > kernels::kMaxAttentionQueries) {
    return absl::InvalidArgumentError(absl::StrCat(config.config().path(), " num_attention_heads ", a->heads,
                                                   " must be a multiple of num_key_value_heads ", a->kv_heads,
                                                   ", at most ", kernels::kMaxAttentionQueries, " times it"));
  }
  if (!config.config().Has("head_dim") && a->hidden_size % a->heads != 0) {
    return absl::InvalidArgumentError(absl::StrCat(config.config().path(), " hidden_size ", a->hidden_size,
                                                   " is not a multiple of num_attention_heads ", a->heads,
                                                   " and head_dim is not given"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Architecture> LlamaCard(const ModelFiles& files) {
  ConfigReader config(files.config());
  Architecture a;
  a.name = "llama";
  a.vocab_size = config.Int("vocab_size", 1, kMaxVocab);
  a.hidden_size = config.Int("hidden_size", 1, kMaxWidth);
  a.layers = config.Int("num_hidden_layers", 1, kMaxLayers);
  a.intermediate_size = config.Int("intermediate_size", 1, kMaxWidth);
  a.max_tokens = config.Int("max_position_embeddings", 1, kMaxTokens, 2048);
  a.norm_eps = static_cast<float>(config.Double("rms_norm_eps", 0, 1, 1e-6));
  a.activation = config.Activation("hidden_act", "silu");
  a.tied_head = config.Bool("tie_word_embeddings", false);
  a.qkv_bias = a.attention_out_bias = config.Bool("attention_bias", false);
  a.mlp_bias = config.Bool("mlp_bias", false);
  if (files.config().Has("sliding_window")) {
    config.Fail(absl::UnimplementedError(
        absl::StrCat(files.config().path(), " sliding_window: sliding-window attention is not supported yet")));
  }
  LASTRO_RETURN_IF_ERROR(ReadHeads(config, &a));
  LASTRO_RETURN_IF_ERROR(ReadRope(files.config(), &a));
  LASTRO_RETURN_IF_ERROR(ReadSpecialIds(files, &a));
  a.final_norm = a.gated_mlp = a.has_head = true;
  a.tensors = LlamaTensors();
  return a;
}

}  // namespace lastro::engine
