// BART (Lewis et al. 2019): encoder and decoder with layer norms after each branch, learned positions that start at row
// 2, a norm of the embeddings, a tied head with a bias of its own. Reference: transformers/models/bart.
#include <cmath>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/cards.h"
#include "engine/cards/common.h"

namespace lastro::engine {
namespace {

TensorNames BartTensors(const std::string& stack) {
  const std::string layer = stack + ".layers.{}.";
  TensorNames names;
  names.prefixes = {"model.", ""};
  names.token_embedding = "shared";
  names.position_embedding = stack + ".embed_positions";
  names.embedding_norm = stack + ".layernorm_embedding";
  names.q = layer + "self_attn.q_proj";
  names.k = layer + "self_attn.k_proj";
  names.v = layer + "self_attn.v_proj";
  names.attention_out = layer + "self_attn.out_proj";
  names.attention_norm = layer + "self_attn_layer_norm";
  names.cross_q = layer + "encoder_attn.q_proj";
  names.cross_k = layer + "encoder_attn.k_proj";
  names.cross_v = layer + "encoder_attn.v_proj";
  names.cross_out = layer + "encoder_attn.out_proj";
  names.cross_attention_norm = layer + "encoder_attn_layer_norm";
  names.up = layer + "fc1";
  names.down = layer + "fc2";
  names.mlp_norm = layer + "final_layer_norm";
  names.head = "lm_head";
  names.ignored = {stack == "encoder" ? "decoder." : "encoder.", "embed_tokens.weight", "final_logits_bias"};
  return names;
}

void ReadStack(ConfigReader& config, const std::string& stack, Architecture* a) {
  a->layers = config.Int(stack + "_layers", 1, kMaxLayers);
  a->heads = a->kv_heads = config.Int(stack + "_attention_heads", 1, kMaxHeads);
  a->intermediate_size = config.Int(stack + "_ffn_dim", 1, kMaxWidth);
  a->tensors = BartTensors(stack);
}

}  // namespace

absl::StatusOr<Seq2SeqArchitecture> BartCard(const ModelFiles& files) {
  ConfigReader config(files.config());
  Architecture a;
  a.name = "bart";
  a.vocab_size = config.Int("vocab_size", 1, kMaxVocab);
  a.hidden_size = config.Int("d_model", 1, kMaxWidth);
  a.max_tokens = config.Int("max_position_embeddings", 1, kMaxTokens, 1024);
  a.norm = NormKind::kLayer;
  a.norm_eps = 1e-5f;
  a.residual = ResidualOrder::kPost;
  a.embedding_norm = true;
  a.positions = PositionKind::kLearned;
  a.position_offset = 2;
  a.activation = config.Activation("activation_function", "gelu");
  a.qkv_bias = a.attention_out_bias = a.mlp_bias = true;
  a.causal = false;
  if (config.Bool("scale_embedding", false)) {
    a.embedding_scale = static_cast<float>(std::sqrt(static_cast<double>(a.hidden_size)));
  }
  Seq2SeqArchitecture both;
  both.encoder = both.decoder = a;
  ReadStack(config, "encoder", &both.encoder);
  ReadStack(config, "decoder", &both.decoder);
  both.decoder.causal = both.decoder.has_head = both.decoder.cross_attention = true;
  both.decoder.tied_head = true;
  config.ExpectBool("tie_word_embeddings", true);
  if (files.weights().Contains("final_logits_bias")) both.decoder.tensors.head_bias = "final_logits_bias";
  LASTRO_RETURN_IF_ERROR(config.status());
  LASTRO_RETURN_IF_ERROR(DeriveHeadDim(config.config(), &both.encoder));
  LASTRO_RETURN_IF_ERROR(DeriveHeadDim(config.config(), &both.decoder));
  LASTRO_RETURN_IF_ERROR(ReadSeq2SeqIds(files, 2, &both));
  return both;
}

}  // namespace lastro::engine
