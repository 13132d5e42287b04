// Qwen2 and 2.5 (Yang et al. 2024): Llama's layout with biases on q, k and v. Qwen3 (2025): no biases, RMS norm of each
// q and k head, head width of its own. Both may window their upper layers. Reference: transformers/models/qwen2,
// /qwen3.
#include "base/status_macros.h"
#include "engine/cards.h"
#include "engine/cards/common.h"

namespace lastro::engine {
namespace {

absl::Status ReadUpperWindows(ConfigReader& config, Architecture* a) {
  if (!config.Bool("use_sliding_window", false)) return config.status();  // sliding_window is there all the same
  const int64_t lower = config.Int("max_window_layers", 0, kMaxLayers, 28);
  return ReadWindows(
      config, [lower](int64_t layer) { return layer >= lower; }, a);
}

}  // namespace

absl::StatusOr<Architecture> Qwen2Card(const ModelFiles& files) {
  ConfigReader config(files.config());
  Architecture a;
  a.name = "qwen2";
  DecoderDefaults defaults;
  defaults.max_tokens = 32768;
  LASTRO_RETURN_IF_ERROR(ReadLlamaLike(files, defaults, config, &a));
  LASTRO_RETURN_IF_ERROR(ReadUpperWindows(config, &a));
  a.qkv_bias = true;
  return a;
}

absl::StatusOr<Architecture> Qwen3Card(const ModelFiles& files) {
  ConfigReader config(files.config());
  Architecture a;
  a.name = "qwen3";
  DecoderDefaults defaults;
  defaults.max_tokens = 32768;
  defaults.head_dim = 128;
  LASTRO_RETURN_IF_ERROR(ReadLlamaLike(files, defaults, config, &a));
  LASTRO_RETURN_IF_ERROR(ReadUpperWindows(config, &a));
  a.qkv_bias = a.attention_out_bias = config.Bool("attention_bias", false);
  a.qk_norm = QkNorm::kHead;
  a.tensors.q_norm = "layers.{}.self_attn.q_norm";
  a.tensors.k_norm = "layers.{}.self_attn.k_norm";
  LASTRO_RETURN_IF_ERROR(config.status());
  return a;
}

}  // namespace lastro::engine
