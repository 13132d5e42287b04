// Qwen2 and 2.5 (Yang et al. 2024): Llama's layout with biases on q, k and v. Qwen3 (2025): no biases, RMS norm of each
// q and k head, head width of its own. Both may window their upper layers. Reference: transformers/models/qwen2,
// /qwen3.
#include "absl/strings/str_cat.h"
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

// Qwen3's mixtures of experts: every layer has one.
absl::StatusOr<Architecture> Qwen3MoeCard(const ModelFiles& files) {
  ConfigReader config(files.config());
  LASTRO_ASSIGN_OR_RETURN(Architecture a, Qwen3Card(files));
  a.name = "qwen3_moe";
  a.intermediate_size = config.Int("moe_intermediate_size", 1, kMaxWidth, 768);
  LASTRO_RETURN_IF_ERROR(ReadExpertCounts(config, 128, 8, &a));
  const JsonValue& json = config.config();
  if (!config.Bool("norm_topk_prob", false)) {
    config.Fail(absl::UnimplementedError(
        absl::StrCat(json.path(), " norm_topk_prob = false is not supported; supported: true")));
  }
  if (config.Int("decoder_sparse_step", 1, kMaxLayers, 1) != 1) config.ExpectAbsent("decoder_sparse_step");
  if (json.Has("mlp_only_layers")) {
    LASTRO_ASSIGN_OR_RETURN(JsonValue list, json.Get("mlp_only_layers"));
    LASTRO_ASSIGN_OR_RETURN(std::vector<JsonValue> layers, list.AsArray());
    if (!layers.empty()) config.ExpectAbsent("mlp_only_layers");
  }
  LASTRO_RETURN_IF_ERROR(config.status());
  a.tensors.router = "layers.{}.mlp.gate";
  a.tensors.gate = "layers.{}.mlp.experts.{e}.gate_proj";
  a.tensors.up = "layers.{}.mlp.experts.{e}.up_proj";
  a.tensors.down = "layers.{}.mlp.experts.{e}.down_proj";
  return a;
}

}  // namespace lastro::engine
