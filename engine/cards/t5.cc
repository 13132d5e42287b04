// T5 (Raffel et al. 2019), T5 1.1 and FLAN-T5: encoder and decoder with RMS norms before each branch, a relative bias
// that all layers of a stack share in place of positions, no scale of q k^T, ReLU or gated GELU. A tied head scales its
// logits. Reference: transformers/models/t5.
#include <cmath>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/cards.h"
#include "engine/cards/common.h"

namespace lastro::engine {
namespace {

// T5 has no longest text: distances beyond max_distance share a bucket. The tables of the bias need a bound.
constexpr int64_t kT5MaxTokens = 4096;

// `stack` is "encoder" or "decoder"; `mlp` the number of the MLP's sub-layer.
TensorNames T5Tensors(const std::string& stack, int mlp) {
  const std::string block = stack + ".block.{}.layer.", dense = absl::StrCat(block, mlp, ".DenseReluDense.");
  TensorNames names;
  names.prefixes = {""};
  names.token_embedding = "shared";
  names.q = block + "0.SelfAttention.q";
  names.k = block + "0.SelfAttention.k";
  names.v = block + "0.SelfAttention.v";
  names.attention_out = block + "0.SelfAttention.o";
  names.attention_norm = block + "0.layer_norm";
  names.relative_bias = stack + ".block.0.layer.0.SelfAttention.relative_attention_bias";
  names.cross_q = block + "1.EncDecAttention.q";
  names.cross_k = block + "1.EncDecAttention.k";
  names.cross_v = block + "1.EncDecAttention.v";
  names.cross_out = block + "1.EncDecAttention.o";
  names.cross_attention_norm = block + "1.layer_norm";
  names.gate = dense + "wi_0";
  names.up = dense + "wi";
  names.down = dense + "wo";
  names.mlp_norm = absl::StrCat(block, mlp, ".layer_norm");
  names.final_norm = stack + ".final_layer_norm";
  names.head = "lm_head";
  // The other stack's, and what older files repeat or hold without use.
  names.ignored = {stack == "encoder" ? "decoder." : "encoder.", "embed_tokens.weight",
                   "EncDecAttention.relative_attention_bias"};
  return names;
}

absl::Status ReadActivation(ConfigReader& config, Architecture* a) {
  const std::string name = config.String("feed_forward_proj", "relu");
  a->gated_mlp = name == "gated-gelu" || name == "gated-silu";
  if (name == "gated-gelu") {
    a->activation = kernels::ActivationKind::kGeluTanh;
  } else if (name == "gated-silu") {
    a->activation = kernels::ActivationKind::kSilu;
  } else if (name == "relu") {
    a->activation = kernels::ActivationKind::kRelu;
  } else {
    return absl::UnimplementedError(absl::StrCat(config.config().path(), " feed_forward_proj \"", name,
                                                 "\" is not supported; supported: relu, gated-gelu, gated-silu"));
  }
  return config.status();
}

}  // namespace

absl::StatusOr<Seq2SeqArchitecture> T5Card(const ModelFiles& files) {
  ConfigReader config(files.config());
  Architecture a;
  a.name = "t5";
  a.vocab_size = config.Int("vocab_size", 1, kMaxVocab);
  a.hidden_size = config.Int("d_model", 1, kMaxWidth);
  a.head_dim = config.Int("d_kv", 1, kMaxHeadDim);
  a.heads = a.kv_heads = config.Int("num_heads", 1, kMaxHeads);
  a.intermediate_size = config.Int("d_ff", 1, kMaxWidth);
  a.layers = config.Int("num_layers", 1, kMaxLayers);
  const int64_t decoder_layers = config.Int("num_decoder_layers", 1, kMaxLayers, a.layers);
  a.norm_eps = static_cast<float>(config.Double("layer_norm_epsilon", 0, 1, 1e-6));
  RelativeBias bias;
  bias.buckets = config.Int("relative_attention_num_buckets", 4, 4096, 32);
  bias.max_distance = config.Int("relative_attention_max_distance", bias.buckets, kMaxTokens, 128);
  LASTRO_RETURN_IF_ERROR(ReadActivation(config, &a));
  a.max_tokens = kT5MaxTokens;
  a.positions = PositionKind::kNone;
  a.relative_bias = bias;
  a.attention_scale = 1.0;
  a.final_norm = true;
  a.causal = false;
  Seq2SeqArchitecture both;
  both.encoder = both.decoder = a;
  both.encoder.tensors = T5Tensors("encoder", 1);
  both.decoder.tensors = T5Tensors("decoder", 2);
  if (a.gated_mlp) {
    both.encoder.tensors.up = "encoder.block.{}.layer.1.DenseReluDense.wi_1";
    both.decoder.tensors.up = "decoder.block.{}.layer.2.DenseReluDense.wi_1";
  }
  both.decoder.layers = decoder_layers;
  both.decoder.causal = both.decoder.has_head = both.decoder.cross_attention = true;
  both.decoder.tied_head = config.Bool("tie_word_embeddings", true);
  if (both.decoder.tied_head) {
    both.decoder.logit_scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(a.hidden_size)));
  }
  LASTRO_RETURN_IF_ERROR(config.status());
  LASTRO_RETURN_IF_ERROR(ReadSeq2SeqIds(files, 0, &both));
  return both;
}

}  // namespace lastro::engine
