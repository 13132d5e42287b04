// ModernBERT (Warner et al. 2024): pre-norm without biases, rotary positions, GeGLU, and attention that sees half of
// local_attention tokens either way in all but every third layer, which has a theta of its own. Reference:
// transformers/models/modernbert.
#include "base/status_macros.h"
#include "engine/cards.h"
#include "engine/cards/common.h"

namespace lastro::engine {
namespace {

TensorNames ModernBertTensors() {
  TensorNames names;
  names.prefixes = {"model.", ""};
  names.token_embedding = "embeddings.tok_embeddings";
  names.embedding_norm = "embeddings.norm";
  names.qkv = "layers.{}.attn.Wqkv";
  names.attention_out = "layers.{}.attn.Wo";
  names.attention_norm = "layers.{}.attn_norm";
  names.gate_up = "layers.{}.mlp.Wi";
  names.down = "layers.{}.mlp.Wo";
  names.mlp_norm = "layers.{}.mlp_norm";
  names.final_norm = "final_norm";
  names.ignored = {"head.dense.", "head.norm.", "decoder."};  // of the masked language model
  return names;
}

// Layer by layer, from global_attn_every_n_layers or layer_types.
absl::Status ReadLocalLayers(ConfigReader& config, Architecture* a) {
  const int64_t period = config.Int("global_attn_every_n_layers", 1, kMaxLayers, 3);
  const int64_t window = config.Int("local_attention", 2, kMaxTokens, 128) / 2 + 1;
  LASTRO_RETURN_IF_ERROR(config.status());
  std::vector<std::string> types;
  if (config.config().Has("layer_types")) {
    LASTRO_ASSIGN_OR_RETURN(types, ReadLayerTypes(config, *a));
  }
  for (int64_t layer = 0; layer < a->layers; ++layer) {
    const bool local = types.empty() ? layer % period != 0 : types[static_cast<size_t>(layer)] == "sliding_attention";
    a->windows.push_back(local ? window : 0);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Architecture> ModernBertCard(const ModelFiles& files) {
  ConfigReader config(files.config());
  Architecture a;
  a.name = "modernbert";
  a.vocab_size = config.Int("vocab_size", 1, kMaxVocab, 50368);
  a.hidden_size = config.Int("hidden_size", 1, kMaxWidth, 768);
  a.layers = config.Int("num_hidden_layers", 1, kMaxLayers, 22);
  a.heads = a.kv_heads = config.Int("num_attention_heads", 1, kMaxHeads, 12);
  a.intermediate_size = config.Int("intermediate_size", 1, kMaxWidth, 1152);
  a.max_tokens = config.Int("max_position_embeddings", 1, kMaxTokens, 8192);
  a.norm_eps = static_cast<float>(config.Double("norm_eps", 0, 1, 1e-5));
  a.norm_bias = config.Bool("norm_bias", false);
  a.qkv_bias = a.attention_out_bias = config.Bool("attention_bias", false);
  a.mlp_bias = config.Bool("mlp_bias", false);
  a.activation = config.Activation("hidden_activation", "gelu");
  const double theta = config.Double("global_rope_theta", 1e-3, 1e15, 160000.0);
  const double local_theta = config.DoubleOrNull("local_rope_theta", 1e-3, 1e15, 10000.0);
  LASTRO_RETURN_IF_ERROR(config.status());
  LASTRO_RETURN_IF_ERROR(DeriveHeadDim(config.config(), &a));
  LASTRO_RETURN_IF_ERROR(ReadRope(config.config(), theta, 1.0, &a));
  LASTRO_RETURN_IF_ERROR(ReadLocalRope(config.config(), local_theta > 0 ? local_theta : theta, &a));
  LASTRO_RETURN_IF_ERROR(ReadLocalLayers(config, &a));
  a.norm = NormKind::kLayer;
  a.first_attention_norm = false;
  a.embedding_norm = a.final_norm = a.gated_mlp = true;
  a.causal = false;
  a.qkv_packing = QkvPacking::kStacked;
  a.gate_packing = GatePacking::kStacked;
  a.tensors = ModernBertTensors();
  return a;
}

}  // namespace lastro::engine
