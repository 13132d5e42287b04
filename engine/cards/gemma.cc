// Gemma (2024): Llama's layout with norms stored as w of 1 + w, embeddings times sqrt(hidden), GeGLU, tied head.
// Gemma 2: norms around each branch, soft caps on scores and logits, a window on every other layer. Gemma 3 text: RMS
// norm of each q and k head instead of the cap on scores, five windowed layers (with a theta of their own) to each full
// one. Reference: transformers/models/gemma, /gemma2, /gemma3.
#include <cmath>

#include "base/status_macros.h"
#include "engine/cards.h"
#include "engine/cards/common.h"

namespace lastro::engine {
namespace {

DecoderDefaults GemmaDefaults() {
  DecoderDefaults defaults;
  defaults.max_tokens = 8192;
  defaults.activation_key = "hidden_activation";
  defaults.activation = "gelu_pytorch_tanh";
  defaults.tied_head = true;
  defaults.head_dim = 256;
  return defaults;
}

absl::Status ReadGemma(const ModelFiles& files, const DecoderDefaults& defaults, ConfigReader& config,
                       Architecture* a) {
  LASTRO_RETURN_IF_ERROR(ReadLlamaLike(files, defaults, config, a));
  a->norm_weight_offset = 1.0f;
  a->embedding_scale = static_cast<float>(std::sqrt(static_cast<double>(a->hidden_size)));
  a->qkv_bias = a->attention_out_bias = config.Bool("attention_bias", false);
  return config.status();
}

// What Gemma 2 and 3 share.
void ReadSandwich(ConfigReader& config, double attention_softcap, double logit_softcap, Architecture* a) {
  a->attention_scale = 1.0 / std::sqrt(config.Double("query_pre_attn_scalar", 1e-3, 1e9, 256.0));
  a->attention_softcap =
      static_cast<float>(config.DoubleOrNull("attn_logit_softcapping", 1e-3, 1e9, attention_softcap));
  a->logit_softcap = static_cast<float>(config.DoubleOrNull("final_logit_softcapping", 1e-3, 1e9, logit_softcap));
  a->tensors.post_attention_norm = "layers.{}.post_attention_layernorm";
  a->tensors.mlp_norm = "layers.{}.pre_feedforward_layernorm";
  a->tensors.post_mlp_norm = "layers.{}.post_feedforward_layernorm";
}

}  // namespace

absl::StatusOr<Architecture> GemmaCard(const ModelFiles& files) {
  ConfigReader config(files.config());
  Architecture a;
  a.name = "gemma";
  LASTRO_RETURN_IF_ERROR(ReadGemma(files, GemmaDefaults(), config, &a));
  return a;
}

absl::StatusOr<Architecture> Gemma2Card(const ModelFiles& files) {
  ConfigReader config(files.config());
  Architecture a;
  a.name = "gemma2";
  LASTRO_RETURN_IF_ERROR(ReadGemma(files, GemmaDefaults(), config, &a));
  ReadSandwich(config, 50.0, 30.0, &a);
  LASTRO_RETURN_IF_ERROR(ReadWindows(
      config, [](int64_t layer) { return layer % 2 == 0; }, &a));
  LASTRO_RETURN_IF_ERROR(config.status());
  return a;
}

absl::StatusOr<Architecture> Gemma3Card(const ModelFiles& files) {
  ConfigReader config(files.config());
  Architecture a;
  a.name = "gemma3_text";
  DecoderDefaults defaults = GemmaDefaults();
  defaults.max_tokens = 131072;
  defaults.rope_theta = 1e6;
  LASTRO_RETURN_IF_ERROR(ReadGemma(files, defaults, config, &a));
  ReadSandwich(config, 0.0, 0.0, &a);
  config.ExpectBool("use_bidirectional_attention", false);
  const int64_t pattern =
      config.Int(config.FirstOf({"sliding_window_pattern", "_sliding_window_pattern"}), 1, kMaxLayers, 6);
  LASTRO_RETURN_IF_ERROR(ReadWindows(
      config, [pattern](int64_t layer) { return (layer + 1) % pattern != 0; }, &a));
  const double local_theta = config.Double("rope_local_base_freq", 1e-3, 1e15, 10000.0);
  LASTRO_RETURN_IF_ERROR(ReadLocalRope(config.config(), local_theta, &a));
  a.qk_norm = QkNorm::kHead;
  a.tensors.q_norm = "layers.{}.self_attn.q_norm";
  a.tensors.k_norm = "layers.{}.self_attn.k_norm";
  LASTRO_RETURN_IF_ERROR(config.status());
  return a;
}

}  // namespace lastro::engine
