// GPT-2 (Radford et al. 2019): learned positions, layer norms before each branch, linear maps stored [in, out]
// (Conv1D), tanh GELU, tied head. Reference: transformers/models/gpt2.
#include "base/status_macros.h"
#include "engine/cards.h"
#include "engine/cards/common.h"

namespace lastro::engine {
namespace {

TensorNames Gpt2Tensors() {
  TensorNames names;
  names.prefixes = {"transformer.", ""};
  names.token_embedding = "wte";
  names.position_embedding = "wpe";
  names.qkv = "h.{}.attn.c_attn";
  names.attention_out = "h.{}.attn.c_proj";
  names.attention_norm = "h.{}.ln_1";
  names.up = "h.{}.mlp.c_fc";
  names.down = "h.{}.mlp.c_proj";
  names.mlp_norm = "h.{}.ln_2";
  names.final_norm = "ln_f";
  names.head = "lm_head";
  names.ignored = {".attn.bias", ".attn.masked_bias"};  // the causal mask
  return names;
}

}  // namespace

absl::StatusOr<Architecture> Gpt2Card(const ModelFiles& files) {
  ConfigReader config(files.config());
  Architecture a;
  a.name = "gpt2";
  a.vocab_size = config.Int("vocab_size", 1, kMaxVocab);
  a.hidden_size = config.Int(config.FirstOf({"n_embd", "hidden_size"}), 1, kMaxWidth);
  a.layers = config.Int(config.FirstOf({"n_layer", "num_hidden_layers"}), 1, kMaxLayers);
  a.heads = a.kv_heads = config.Int(config.FirstOf({"n_head", "num_attention_heads"}), 1, kMaxHeads);
  a.intermediate_size = config.Int("n_inner", 1, kMaxWidth, 4 * a.hidden_size);
  a.max_tokens = config.Int(config.FirstOf({"n_positions", "max_position_embeddings"}), 1, kMaxTokens, 1024);
  a.norm_eps = static_cast<float>(config.Double("layer_norm_epsilon", 0, 1, 1e-5));
  a.activation = config.Activation("activation_function", "gelu_new");
  a.tied_head = config.Bool("tie_word_embeddings", true);
  // Not a member that the hub knows: a GGUF file holds these maps as [out, in].
  const std::string linear_layout = config.String("linear_layout", "in_out");
  config.ExpectBool("scale_attn_weights", true);
  config.ExpectBool("scale_attn_by_inverse_layer_idx", false);
  config.ExpectBool("add_cross_attention", false);
  LASTRO_RETURN_IF_ERROR(config.status());
  LASTRO_RETURN_IF_ERROR(DeriveHeadDim(config.config(), &a));
  LASTRO_RETURN_IF_ERROR(ReadSpecialIds(files, &a));
  a.norm = NormKind::kLayer;
  a.positions = PositionKind::kLearned;
  a.qkv_bias = a.attention_out_bias = a.mlp_bias = true;
  a.final_norm = a.has_head = true;
  a.qkv_packing = QkvPacking::kStacked;
  a.transposed_linear = linear_layout == "in_out";
  a.tensors = Gpt2Tensors();
  return a;
}

}  // namespace lastro::engine
