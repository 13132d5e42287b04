// Llama (Touvron et al. 2023) and the models that share its layout: RMS norm, rotary positions, grouped-query
// attention, SwiGLU. Mistral (Jiang et al. 2023) adds a sliding window. Reference: transformers/models/llama and
// /mistral.
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

}  // namespace lastro::engine
