// What several cards read the same way. Pure functions, thread-safe; errors as ReadArchitecture.
#pragma once

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/json.h"
#include "engine/architecture.h"
#include "engine/config_reader.h"
#include "engine/model_files.h"

namespace lastro::engine {

// What a family means by a field that its config.json leaves out.
struct DecoderDefaults {
  int64_t max_tokens = 2048;
  double norm_eps = 1e-6;
  const char* activation_key = "hidden_act";
  const char* activation = "silu";
  bool tied_head = false;
  int64_t head_dim = 0;  // 0: hidden_size / num_attention_heads
  double rope_theta = 10000.0;
};

// The names of Llama's tensors, which most later families share.
TensorNames LlamaTensors();

// The fields of a decoder laid out as Llama: sizes, RMS norms before each branch, grouped heads, rotary positions,
// gated MLP, head, special ids, LlamaTensors.
absl::Status ReadLlamaLike(const ModelFiles& files, const DecoderDefaults& defaults, ConfigReader& config,
                           Architecture* a);

// heads, kv_heads and head_dim from num_attention_heads, num_key_value_heads and head_dim. `head_dim` 0: derived.
absl::Status ReadHeads(ConfigReader& config, int64_t head_dim, Architecture* a);
// head_dim = hidden_size / heads, which must divide.
absl::Status DeriveHeadDim(const JsonValue& config, Architecture* a);

// rope from rope_theta, partial_rotary_factor and rope_scaling (transformers before version 5) or rope_parameters
// (version 5), with `theta` and `fraction` where they are left out. Scalings that extend the context raise max_tokens.
// REQUIRES: a->head_dim and a->max_tokens.
absl::Status ReadRope(const JsonValue& config, double theta, double fraction, Architecture* a);

// windows from sliding_window and layer_types; without layer_types `windowed(layer)` says which layers have one. No
// windows where sliding_window is null or absent.
absl::Status ReadWindows(ConfigReader& config, absl::FunctionRef<bool(int64_t)> windowed, Architecture* a);

// local_rope with rotary_dim of rope: `theta`, or in version 5 rope_parameters.sliding_attention.
absl::Status ReadLocalRope(const JsonValue& config, double theta, Architecture* a);

// layer_types: full_attention or sliding_attention, one a layer. REQUIRES: the field is there.
absl::StatusOr<std::vector<std::string>> ReadLayerTypes(const ConfigReader& config, const Architecture& a);

// experts and experts_per_token, with these where they are left out.
absl::Status ReadExpertCounts(ConfigReader& config, int64_t experts, int64_t per_token, Architecture* a);

// End-of-text is a set: what config.json and generation_config.json name together.
absl::Status ReadSpecialIds(const ModelFiles& files, Architecture* a);

// eos_ids of the decoder, and start_id, forced_bos_id and forced_eos_id from both files; `start` where none says.
absl::Status ReadSeq2SeqIds(const ModelFiles& files, int32_t start, Seq2SeqArchitecture* both);

}  // namespace lastro::engine
