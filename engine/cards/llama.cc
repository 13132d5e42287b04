// Llama (Touvron et al. 2023) and the models that share its layout: RMS norm, rotary positions, grouped-query
// attention, SwiGLU. Mistral (Jiang et al. 2023) adds a sliding window, Mixtral (Jiang et al. 2024) a mixture of
// experts. Reference: transformers/models/llama, /mistral and /mixtral.
#include "base/status_macros.h"
#include "engine/cards.h"
#include "engine/cards/common.h"

namespace lastro::engine {

absl::StatusOr<Architecture> LlamaCard(const ModelFiles& files) {
  ConfigReader config(files.config());
  Architecture a;
  a.name = "llama";
  LASTRO_RETURN_IF_ERROR(ReadLlamaLike(files, {}, config, &a));
  a.qkv_bias = a.attention_out_bias = config.Bool("attention_bias", false);
  a.mlp_bias = config.Bool("mlp_bias", false);
  config.ExpectAbsent("sliding_window");
  LASTRO_RETURN_IF_ERROR(config.status());
  return a;
}

absl::StatusOr<Architecture> MistralCard(const ModelFiles& files) {
  ConfigReader config(files.config());
  Architecture a;
  a.name = "mistral";
  DecoderDefaults defaults;
  defaults.max_tokens = 4096 * 32;
  LASTRO_RETURN_IF_ERROR(ReadLlamaLike(files, defaults, config, &a));
  LASTRO_RETURN_IF_ERROR(ReadWindows(
      config, [](int64_t) { return true; }, &a));
  // A configuration without the key is of the first version, whose window this is; later ones write null.
  if (!config.config().Get("sliding_window").ok()) a.windows.assign(static_cast<size_t>(a.layers), 4096);
  return a;
}

absl::StatusOr<Architecture> MixtralCard(const ModelFiles& files) {
  ConfigReader config(files.config());
  Architecture a;
  a.name = "mixtral";
  DecoderDefaults defaults;
  defaults.max_tokens = 4096 * 32;
  defaults.norm_eps = 1e-5;
  defaults.rope_theta = 1e6;
  LASTRO_RETURN_IF_ERROR(ReadLlamaLike(files, defaults, config, &a));
  LASTRO_RETURN_IF_ERROR(ReadWindows(
      config, [](int64_t) { return true; }, &a));
  LASTRO_RETURN_IF_ERROR(ReadExpertCounts(config, 8, 2, &a));
  a.tensors.router = "layers.{}.block_sparse_moe.gate";
  a.tensors.gate = "layers.{}.block_sparse_moe.experts.{e}.w1";
  a.tensors.up = "layers.{}.block_sparse_moe.experts.{e}.w3";
  a.tensors.down = "layers.{}.block_sparse_moe.experts.{e}.w2";
  return a;
}

}  // namespace lastro::engine
