// Falcon (Almazrouei et al. 2023). The first models share one KV head (7B) or have none shared (RW), with one layer
// norm for both branches, or two one after the other; the "new decoder architecture" (40B, 180B, 11B) groups its heads
// and has one or two norms. Rotary positions or ALiBi. Reference: transformers/models/falcon.
#include <cmath>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/cards.h"
#include "engine/cards/common.h"
#include "engine/position_bias.h"

namespace lastro::engine {
namespace {

TensorNames FalconTensors() {
  TensorNames names;
  names.prefixes = {"transformer.", ""};
  names.token_embedding = "word_embeddings";
  names.qkv = "h.{}.self_attention.query_key_value";
  names.attention_out = "h.{}.self_attention.dense";
  names.attention_norm = "h.{}.input_layernorm";
  names.up = "h.{}.mlp.dense_h_to_4h";
  names.down = "h.{}.mlp.dense_4h_to_h";
  names.final_norm = "ln_f";
  names.head = "lm_head";
  names.ignored = {".rotary_emb.inv_freq"};
  return names;
}

absl::Status ReadFalconHeads(ConfigReader& config, bool new_architecture, Architecture* a) {
  a->heads = a->kv_heads = config.Int(config.FirstOf({"num_attention_heads", "n_head"}), 1, kMaxHeads);
  const bool multi_query = config.Bool("multi_query", true);
  if (new_architecture) {
    a->kv_heads = config.Int(config.FirstOf({"num_kv_heads", "n_head_kv"}), 1, kMaxHeads, a->heads);
  } else if (multi_query) {
    a->kv_heads = 1;
  }
  LASTRO_RETURN_IF_ERROR(config.status());
  if (a->heads % a->kv_heads != 0 || a->heads / a->kv_heads > kernels::kMaxAttentionQueries) {
    return absl::InvalidArgumentError(absl::StrCat(config.config().path(), " num_attention_heads ", a->heads,
                                                   " must be a multiple of num_kv_heads ", a->kv_heads, ", at most ",
                                                   kernels::kMaxAttentionQueries, " times it"));
  }
  return DeriveHeadDim(config.config(), a);
}

absl::Status ReadFalconBranches(ConfigReader& config, bool new_architecture, Architecture* a) {
  const bool parallel = config.Bool("parallel_attn", true);
  const int64_t norms = config.Int("num_ln_in_parallel_attn", 1, 2, new_architecture ? 2 : 1);
  LASTRO_RETURN_IF_ERROR(config.status());
  if (new_architecture != (norms == 2) && (!new_architecture || !parallel)) {
    return absl::UnimplementedError(absl::StrCat(config.config().path(), " num_ln_in_parallel_attn = ", norms,
                                                 " is not supported with these new_decoder_architecture and "
                                                 "parallel_attn"));
  }
  if (new_architecture) config.ExpectBool("parallel_attn", true);
  a->residual = parallel ? ResidualOrder::kParallel : ResidualOrder::kPre;
  if (!parallel) a->tensors.mlp_norm = "h.{}.post_attention_layernorm";
  if (parallel && norms == 2) {
    a->tensors.attention_norm = "h.{}.ln_attn";
    a->tensors.mlp_norm = "h.{}.ln_mlp";
  }
  return config.status();
}

absl::Status ReadFalconPositions(ConfigReader& config, Architecture* a) {
  if (!config.Bool("alibi", false)) return ReadRope(config.config(), 10000.0, 1.0, a);
  a->positions = PositionKind::kNone;
  a->attention_scale = 1.0 / std::sqrt(static_cast<double>(a->head_dim));
  a->alibi_slopes = BloomAlibiSlopes(a->heads);
  a->alibi_bf16 = true;
  return config.status();
}

}  // namespace

absl::StatusOr<Architecture> FalconCard(const ModelFiles& files) {
  ConfigReader config(files.config());
  Architecture a;
  a.name = "falcon";
  a.tensors = FalconTensors();
  a.vocab_size = config.Int("vocab_size", 1, kMaxVocab);
  a.hidden_size = config.Int(config.FirstOf({"hidden_size", "n_embed"}), 1, kMaxWidth);
  a.layers = config.Int(config.FirstOf({"num_hidden_layers", "n_layer"}), 1, kMaxLayers);
  a.intermediate_size = config.Int("ffn_hidden_size", 1, kMaxWidth, 4 * a.hidden_size);
  a.max_tokens = config.Int("max_position_embeddings", 1, kMaxTokens, 2048);
  a.norm_eps = static_cast<float>(config.Double("layer_norm_epsilon", 0, 1, 1e-5));
  a.activation = config.Activation("activation", "gelu");
  a.tied_head = config.Bool("tie_word_embeddings", true);
  a.qkv_bias = a.attention_out_bias = a.mlp_bias = config.Bool("bias", false);
  const bool new_architecture = config.Bool("new_decoder_architecture", false);
  LASTRO_RETURN_IF_ERROR(ReadFalconHeads(config, new_architecture, &a));
  LASTRO_RETURN_IF_ERROR(ReadFalconBranches(config, new_architecture, &a));
  LASTRO_RETURN_IF_ERROR(ReadFalconPositions(config, &a));
  LASTRO_RETURN_IF_ERROR(ReadSpecialIds(files, &a));
  a.norm = NormKind::kLayer;
  a.final_norm = a.has_head = true;
  a.qkv_packing = QkvPacking::kGrouped;
  return a;
}

}  // namespace lastro::engine
