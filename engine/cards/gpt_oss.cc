// gpt-oss (OpenAI 2025): Llama's layout with biases, a window on every other layer, attention sinks, YaRN with
// unrounded bounds, and a mixture of experts with a clamped SwiGLU. Reference: transformers/models/gpt_oss.
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/cards.h"
#include "engine/cards/common.h"

namespace lastro::engine {
namespace {

// MXFP4 experts are the only quantised weights of this family that are read.
absl::Status CheckQuantization(const JsonValue& config) {
  if (!config.Has("quantization_config")) return absl::OkStatus();
  LASTRO_ASSIGN_OR_RETURN(JsonValue json, config.Get("quantization_config"));
  ConfigReader reader(json);
  reader.ExpectString("quant_method", "mxfp4");
  return reader.status();
}

absl::Status ReadExperts(ConfigReader& config, Architecture* a) {
  const double limit = config.Double("swiglu_limit", 0, 1e9, kernels::kSwigluLimit);
  LASTRO_RETURN_IF_ERROR(ReadExpertCounts(config, 128, 4, a));
  if (limit != kernels::kSwigluLimit) {
    return absl::UnimplementedError(
        absl::StrCat(config.config().path(), " swiglu_limit = ", limit, " is not supported; supported: 7"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Architecture> GptOssCard(const ModelFiles& files) {
  ConfigReader config(files.config());
  Architecture a;
  a.name = "gpt_oss";
  DecoderDefaults defaults;
  defaults.max_tokens = 131072;
  defaults.norm_eps = 1e-5;
  defaults.head_dim = 64;
  defaults.rope_theta = 150000.0;
  LASTRO_RETURN_IF_ERROR(CheckQuantization(files.config()));
  config.ExpectString("hidden_act", "silu");
  config.ExpectBool("attention_bias", true);
  if (!files.config().Has("rope_scaling") && !files.config().Has("rope_parameters")) {
    config.Fail(absl::InvalidArgumentError(absl::StrCat(files.config().path(), " rope_scaling is missing")));
  }
  LASTRO_RETURN_IF_ERROR(config.status());
  LASTRO_RETURN_IF_ERROR(ReadLlamaLike(files, defaults, config, &a));
  LASTRO_RETURN_IF_ERROR(ReadWindows(
      config, [](int64_t layer) { return layer % 2 == 0; }, &a));
  LASTRO_RETURN_IF_ERROR(ReadExperts(config, &a));
  a.activation = kernels::ActivationKind::kClampedSwiglu;
  a.qkv_bias = a.attention_out_bias = a.mlp_bias = true;
  a.attention_sinks = a.router_bias = true;
  a.tensors.router = "layers.{}.mlp.router";
  if (config.String("expert_layout", "") == "separate") {  // as GGUF files have them
    a.tensors.sinks = "layers.{}.self_attn.sinks.weight";
    a.tensors.gate = "layers.{}.mlp.experts.{e}.gate_proj";
    a.tensors.up = "layers.{}.mlp.experts.{e}.up_proj";
    a.tensors.down = "layers.{}.mlp.experts.{e}.down_proj";
  } else {
    a.gate_packing = GatePacking::kInterleaved;
    a.tensors.sinks = "layers.{}.self_attn.sinks";
    a.tensors.gate_up = "layers.{}.mlp.experts.gate_up_proj";
    a.tensors.down = "layers.{}.mlp.experts.down_proj";
  }
  LASTRO_RETURN_IF_ERROR(config.status());
  return a;
}

}  // namespace lastro::engine
