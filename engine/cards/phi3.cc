// Phi-3 and 3.5 mini, Phi-4 (Abdin et al. 2024): Llama's layout with q, k, v in one tensor and gate, up in another,
// partial rotary positions, LongRoPE, a window on all layers. Reference: transformers/models/phi3.
#include "base/status_macros.h"
#include "engine/cards.h"
#include "engine/cards/common.h"

namespace lastro::engine {

absl::StatusOr<Architecture> Phi3Card(const ModelFiles& files) {
  ConfigReader config(files.config());
  Architecture a;
  a.name = "phi3";
  DecoderDefaults defaults;
  defaults.max_tokens = 4096;
  defaults.norm_eps = 1e-5;
  LASTRO_RETURN_IF_ERROR(ReadLlamaLike(files, defaults, config, &a));
  LASTRO_RETURN_IF_ERROR(ReadWindows(
      config, [](int64_t) { return true; }, &a));
  a.qkv_packing = QkvPacking::kStacked;
  a.gate_packing = GatePacking::kStacked;
  a.tensors.qkv = "layers.{}.self_attn.qkv_proj";
  a.tensors.gate_up = "layers.{}.mlp.gate_up_proj";
  return a;
}

}  // namespace lastro::engine
