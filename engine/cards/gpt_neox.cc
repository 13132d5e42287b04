// GPT-NeoX (Black et al. 2022), Pythia, Dolly: layer norms, attention and MLP side by side with a norm each (or one
// after the other), partial rotary positions, q, k, v in one tensor head by head. Reference:
// transformers/models/gpt_neox.
#include "base/status_macros.h"
#include "engine/cards.h"
#include "engine/cards/common.h"

namespace lastro::engine {
namespace {

TensorNames GptNeoxTensors() {
  TensorNames names;
  names.prefixes = {"gpt_neox.", ""};
  names.token_embedding = "embed_in";
  names.qkv = "layers.{}.attention.query_key_value";
  names.attention_out = "layers.{}.attention.dense";
  names.attention_norm = "layers.{}.input_layernorm";
  names.up = "layers.{}.mlp.dense_h_to_4h";
  names.down = "layers.{}.mlp.dense_4h_to_h";
  names.mlp_norm = "layers.{}.post_attention_layernorm";
  names.final_norm = "final_layer_norm";
  names.head = "embed_out";
  names.ignored = {".attention.bias", ".attention.masked_bias", ".rotary_emb.inv_freq"};
  return names;
}

}  // namespace

absl::StatusOr<Architecture> GptNeoxCard(const ModelFiles& files) {
  ConfigReader config(files.config());
  Architecture a;
  a.name = "gpt_neox";
  a.vocab_size = config.Int("vocab_size", 1, kMaxVocab);
  a.hidden_size = config.Int("hidden_size", 1, kMaxWidth);
  a.layers = config.Int("num_hidden_layers", 1, kMaxLayers);
  a.heads = a.kv_heads = config.Int("num_attention_heads", 1, kMaxHeads);
  a.intermediate_size = config.Int("intermediate_size", 1, kMaxWidth);
  a.max_tokens = config.Int("max_position_embeddings", 1, kMaxTokens, 2048);
  a.norm_eps = static_cast<float>(config.Double("layer_norm_eps", 0, 1, 1e-5));
  a.activation = config.Activation("hidden_act", "gelu");
  a.tied_head = config.Bool("tie_word_embeddings", false);
  a.qkv_bias = a.attention_out_bias = config.Bool("attention_bias", true);
  a.residual = config.Bool("use_parallel_residual", true) ? ResidualOrder::kParallel : ResidualOrder::kPre;
  const double fraction = config.Double("rotary_pct", 0.0, 1.0, 0.25);
  const double theta = config.Double("rotary_emb_base", 1e-3, 1e15, 10000.0);
  LASTRO_RETURN_IF_ERROR(config.status());
  LASTRO_RETURN_IF_ERROR(DeriveHeadDim(config.config(), &a));
  LASTRO_RETURN_IF_ERROR(ReadRope(config.config(), theta, fraction, &a));
  LASTRO_RETURN_IF_ERROR(ReadSpecialIds(files, &a));
  a.norm = NormKind::kLayer;
  a.mlp_bias = true;
  a.final_norm = a.has_head = true;
  a.qkv_packing = QkvPacking::kGrouped;
  a.tensors = GptNeoxTensors();
  return a;
}

}  // namespace lastro::engine
