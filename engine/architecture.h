// Architecture: what a transformer of any family is, as plain fields. A card (engine/cards.h) fills it from a config
// file, with every number in range; the loader (engine/transformer_weights.h) and the one forward pass
// (engine/transformer.h) follow it and know no family.
//
// Goals: a new family is a card; a new architectural fact is a field here and one branch in the forward pass.
// Non-goal: hooks or subclasses per model.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace lastro::engine {

enum class NormKind { kRms, kLayer };
// kPre: x += f(norm(x)). kPost: x = norm(x + f(x)).
enum class ResidualOrder { kPre, kPost };
enum class PositionKind { kRope, kLearned };
enum class RopeScaling { kNone, kLinear, kLlama3 };

struct RopeParams {
  double theta = 10000.0;
  int64_t rotary_dim = 0;  // leading components of a head that rotate; even
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1.0;  // kLinear, kLlama3
  // kLlama3: wavelengths above original_max_tokens / low_freq_factor are stretched by `factor`, those below
  // original_max_tokens / high_freq_factor stay, those between are interpolated.
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  double original_max_tokens = 8192.0;
};

// Names of the tensors without ".weight" / ".bias"; "{}" stands for the layer. "" where the family has none.
struct TensorNames {
  std::vector<std::string> prefixes;  // tried in order; the first under which token_embedding exists is used
  std::string token_embedding, position_embedding, type_embedding, embedding_norm;
  std::string q, k, v, attention_out, attention_norm;
  std::string gate, up, down, mlp_norm;
  std::string final_norm;
  std::string head;                  // never prefixed
  std::vector<std::string> ignored;  // substrings of names that may be in the file and are not used
};

struct Architecture {
  std::string name;  // the card's

  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;  // divides heads
  int64_t head_dim = 0;
  int64_t intermediate_size = 0;
  int64_t max_tokens = 0;
  int64_t token_types = 0;  // rows of the type embedding; row 0 is added to every token

  NormKind norm = NormKind::kRms;
  float norm_eps = 1e-6f;
  ResidualOrder residual = ResidualOrder::kPre;
  bool embedding_norm = false;
  bool final_norm = false;

  PositionKind positions = PositionKind::kRope;
  RopeParams rope;
  bool causal = true;

  kernels::ActivationKind activation = kernels::ActivationKind::kSilu;
  bool gated_mlp = false;

  bool qkv_bias = false;
  bool attention_out_bias = false;
  bool mlp_bias = false;

  bool has_head = false;  // a vocabulary head; with tied_head its weights are the token embedding
  bool tied_head = false;

  std::vector<int32_t> eos_ids;  // sorted
  int32_t bos_id = -1;

  TensorNames tensors;

  int64_t q_dim() const { return heads * head_dim; }
  int64_t kv_dim() const { return kv_heads * head_dim; }
};

}  // namespace lastro::engine
