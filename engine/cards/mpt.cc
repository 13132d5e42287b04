// MPT (MosaicML 2023): layer norms and maps without biases, ALiBi with slopes of its own convention, q, k, v stacked in
// one tensor, erf GELU, tied head. Reference: transformers/models/mpt.
#include <cmath>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/cards.h"
#include "engine/cards/common.h"
#include "engine/position_bias.h"

namespace lastro::engine {
namespace {

TensorNames MptTensors() {
  TensorNames names;
  names.prefixes = {"transformer.", ""};
  names.token_embedding = "wte";
  names.qkv = "blocks.{}.attn.Wqkv";
  names.attention_out = "blocks.{}.attn.out_proj";
  names.attention_norm = "blocks.{}.norm_1";
  names.up = "blocks.{}.ffn.up_proj";
  names.down = "blocks.{}.ffn.down_proj";
  names.mlp_norm = "blocks.{}.norm_2";
  names.final_norm = "norm_f";
  names.head = "lm_head";
  return names;
}

// attn_config; `config` is the whole configuration, whose members its absence leaves at their defaults.
absl::Status ReadMptAttention(const JsonValue& config, Architecture* a) {
  double max_bias = 8;
  if (config.Has("attn_config")) {
    LASTRO_ASSIGN_OR_RETURN(JsonValue json, config.Get("attn_config"));
    ConfigReader attention(json);
    attention.ExpectString("attn_type", "multihead_attention");
    attention.ExpectBool("alibi", true);
    attention.ExpectBool("prefix_lm", false);
    attention.ExpectBool("qk_ln", false);
    max_bias = attention.Double("alibi_bias_max", 1e-3, 1e3, 8.0);
    a->attention_scale = attention.Double("softmax_scale", 0, 1e3, 0.0);
    a->qkv_clip = static_cast<float>(attention.Double("clip_qkv", 0, 1e9, 0.0));
    LASTRO_RETURN_IF_ERROR(attention.status());
  }
  a->alibi_slopes = MptAlibiSlopes(a->heads, max_bias);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Architecture> MptCard(const ModelFiles& files) {
  ConfigReader config(files.config());
  Architecture a;
  a.name = "mpt";
  a.vocab_size = config.Int("vocab_size", 1, kMaxVocab);
  a.hidden_size = config.Int(config.FirstOf({"d_model", "hidden_size"}), 1, kMaxWidth);
  a.layers = config.Int(config.FirstOf({"n_layers", "num_hidden_layers"}), 1, kMaxLayers);
  a.heads = a.kv_heads = config.Int(config.FirstOf({"n_heads", "num_attention_heads"}), 1, kMaxHeads);
  a.intermediate_size = a.hidden_size * config.Int("expansion_ratio", 1, 64, 4);
  a.max_tokens = config.Int("max_seq_len", 1, kMaxTokens, 2048);
  a.norm_eps = static_cast<float>(config.Double("layer_norm_epsilon", 0, 1, 1e-5));
  a.tied_head = config.Bool("tie_word_embeddings", true);
  config.ExpectBool("no_bias", true);
  config.ExpectAbsent("logit_scale");
  const std::string norm = config.String("norm_type", "low_precision_layernorm");
  if (norm != "low_precision_layernorm" && norm != "layernorm") config.ExpectString("norm_type", "layernorm");
  LASTRO_RETURN_IF_ERROR(config.status());
  LASTRO_RETURN_IF_ERROR(DeriveHeadDim(config.config(), &a));
  LASTRO_RETURN_IF_ERROR(ReadMptAttention(config.config(), &a));
  LASTRO_RETURN_IF_ERROR(ReadSpecialIds(files, &a));
  a.norm = NormKind::kLayer;
  a.norm_bias = false;
  a.positions = PositionKind::kNone;
  a.activation = kernels::ActivationKind::kGeluErf;
  a.final_norm = a.has_head = true;
  a.qkv_packing = QkvPacking::kStacked;
  a.tensors = MptTensors();
  return a;
}

}  // namespace lastro::engine
