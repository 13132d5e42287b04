// BLOOM (BigScience 2022): layer norm of the embeddings, ALiBi, q, k, v in one tensor head by head, tanh GELU, tied
// head. Reference: transformers/models/bloom.
#include "base/status_macros.h"
#include "engine/cards.h"
#include "engine/cards/common.h"
#include "engine/position_bias.h"

namespace lastro::engine {
namespace {

TensorNames BloomTensors() {
  TensorNames names;
  names.prefixes = {"transformer.", ""};
  names.token_embedding = "word_embeddings";
  names.embedding_norm = "word_embeddings_layernorm";
  names.qkv = "h.{}.self_attention.query_key_value";
  names.attention_out = "h.{}.self_attention.dense";
  names.attention_norm = "h.{}.input_layernorm";
  names.up = "h.{}.mlp.dense_h_to_4h";
  names.down = "h.{}.mlp.dense_4h_to_h";
  names.mlp_norm = "h.{}.post_attention_layernorm";
  names.final_norm = "ln_f";
  names.head = "lm_head";
  return names;
}

}  // namespace

absl::StatusOr<Architecture> BloomCard(const ModelFiles& files) {
  ConfigReader config(files.config());
  Architecture a;
  a.name = "bloom";
  a.vocab_size = config.Int("vocab_size", 1, kMaxVocab);
  a.hidden_size = config.Int(config.FirstOf({"hidden_size", "n_embed"}), 1, kMaxWidth);
  a.layers = config.Int(config.FirstOf({"n_layer", "num_hidden_layers"}), 1, kMaxLayers);
  a.heads = a.kv_heads = config.Int(config.FirstOf({"n_head", "num_attention_heads"}), 1, kMaxHeads);
  a.intermediate_size = config.Int("n_inner", 1, kMaxWidth, 4 * a.hidden_size);
  a.max_tokens = config.Int("seq_length", 1, kMaxTokens, 2048);  // what it was trained on; ALiBi itself has no limit
  a.norm_eps = static_cast<float>(config.Double("layer_norm_epsilon", 0, 1, 1e-5));
  a.tied_head = config.Bool("tie_word_embeddings", true);
  config.ExpectBool("apply_residual_connection_post_layernorm", false);
  LASTRO_RETURN_IF_ERROR(config.status());
  LASTRO_RETURN_IF_ERROR(DeriveHeadDim(config.config(), &a));
  LASTRO_RETURN_IF_ERROR(ReadSpecialIds(files, &a));
  a.norm = NormKind::kLayer;
  a.embedding_norm = true;
  a.positions = PositionKind::kNone;
  a.alibi_slopes = BloomAlibiSlopes(a.heads);
  a.activation = kernels::ActivationKind::kGeluTanh;
  a.qkv_bias = a.attention_out_bias = a.mlp_bias = true;
  a.final_norm = a.has_head = true;
  a.qkv_packing = QkvPacking::kGrouped;
  a.tensors = BloomTensors();
  return a;
}

}  // namespace lastro::engine
