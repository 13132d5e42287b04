// Architecture: what a transformer of any family is, as plain fields. A card (engine/cards.h) fills it from a config
// file, with every number in range; the loader (engine/transformer_weights.h) and the one forward pass
// (engine/transformer.h) follow it and know no family.
//
// Goals: a new family is a card; a new architectural fact is a field here and one branch in the forward pass, or, where
// families only store the same thing differently, in the loader. Non-goal: hooks or subclasses per model.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace lastro::engine {

enum class NormKind { kRms, kLayer };
// kPre: x += f(norm(x)). kPost: x = norm(x + f(x)). kParallel: x += attention(norm(x)) + mlp(norm(x)).
enum class ResidualOrder { kPre, kPost, kParallel };
// kNone: x holds no positions; the scores get a bias (alibi_slopes, relative_bias).
enum class PositionKind { kRope, kLearned, kNone };
enum class RopeScaling { kNone, kLinear, kDynamic, kLlama3, kYarn, kLongRope };
// Norm of q and k before they rotate: none, of each head, of all heads together.
enum class QkNorm { kNone, kHead, kWhole };

// engine/rope.h says what the scalings compute.
struct RopeParams {
  double theta = 10000.0;
  int64_t rotary_dim = 0;  // leading components of a head that rotate; even
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1.0;            // all but kNone and kLongRope
  double attention_factor = 1.0;  // of cos and sin
  // kLlama3: wavelengths above original_max_tokens / low_freq_factor are stretched by `factor`, those below
  // original_max_tokens / high_freq_factor stay, those between are interpolated.
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  double original_max_tokens = 8192.0;  // the context before it was extended; all but kNone and kLinear
  // kYarn: components that turn more than beta_fast times in the original context stay, those that turn less than
  // beta_slow times are stretched; with `truncate` the bounds are whole components.
  double beta_fast = 32.0;
  double beta_slow = 1.0;
  bool truncate = true;
  // kLongRope: divisors of the frequencies, [rotary_dim / 2], for sequences within the original context and longer.
  std::vector<double> short_factors, long_factors;
};

// How q, k and v (weights and biases) lie in the file.
enum class QkvPacking {
  kSeparate,  // three tensors
  kStacked,   // one: all of q, all of k, all of v
  kGrouped,   // one: for each KV head its group's q heads, its k, its v; [head, 3, d] when there are no groups
};
// How gate and up of an MLP lie in the file.
enum class GatePacking {
  kSeparate,
  kStacked,      // one tensor: all of gate, all of up
  kInterleaved,  // one tensor: gate and up row by row
};

// Names of the tensors without ".weight" / ".bias"; "{}" stands for the layer. "" where the family has none: a norm
// without a name is left out.
struct TensorNames {
  std::vector<std::string> prefixes;  // tried in order; the first under which token_embedding exists is used
  std::string token_embedding, position_embedding, type_embedding, embedding_norm;
  std::string q, k, v, qkv;  // by QkvPacking
  std::string attention_out, attention_norm, post_attention_norm, q_norm, k_norm;
  std::string sinks;                                                       // the tensor's whole name
  std::string cross_q, cross_k, cross_v, cross_out, cross_attention_norm;  // attention over an encoder's output
  std::string gate, up, gate_up, down, mlp_norm, post_mlp_norm;            // by GatePacking
  std::string router;
  std::string final_norm;
  std::string relative_bias;
  std::string head;                  // never prefixed
  std::string head_bias;             // the tensor's whole name, [1, vocab_size]; never prefixed
  std::vector<std::string> ignored;  // substrings of names that may be in the file and are not used
};

// T5's bias by bucket of distance (Raffel et al. 2019): exact up to half of the buckets, then logarithmic.
struct RelativeBias {
  int64_t buckets = 32;
  int64_t max_distance = 128;
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
  int64_t token_types = 0;  // rows of the type embedding, which is added to every token

  NormKind norm = NormKind::kRms;
  float norm_eps = 1e-6f;
  bool norm_bias = true;            // of layer norms
  float norm_weight_offset = 0.0f;  // added to the weights of norms as stored: Gemma stores w of 1 + w
  ResidualOrder residual = ResidualOrder::kPre;
  bool embedding_norm = false;
  bool final_norm = false;
  bool first_attention_norm = true;  // false: layer 0 has no attention norm

  float embedding_scale = 1.0f;  // of token embeddings
  PositionKind positions = PositionKind::kRope;
  int64_t position_offset = 0;  // kLearned: the row of the first token; the table has max_tokens + position_offset rows
  RopeParams rope;
  std::optional<RopeParams> local_rope;  // of layers with a window, where it is another
  std::vector<float> alibi_slopes;       // [heads] or empty: score += slope * (t - p), of key t and query p
  // As Falcon computes ALiBi: bf16(slope) * bf16(t), rounded to bf16, times the attention scale.
  bool alibi_bf16 = false;
  std::optional<RelativeBias> relative_bias;  // one table for all layers

  bool causal = true;
  std::vector<int64_t> windows;    // [layers] or empty: a query at p sees tokens t with |p - t| < window; 0: all
  double attention_scale = 0;      // of q k^T; 0: 1 / sqrt(head_dim)
  float attention_softcap = 0.0f;  // 0: none
  float qkv_clip = 0.0f;           // 0: none; else q, k and v are held within [-qkv_clip, qkv_clip]
  QkNorm qk_norm = QkNorm::kNone;
  bool attention_sinks = false;  // one more score a head in its softmax, of a token without a value
  bool cross_attention = false;  // each layer also attends to an encoder's output

  kernels::ActivationKind activation = kernels::ActivationKind::kSilu;
  bool gated_mlp = false;

  // Mixture of experts (0: one MLP): the `experts_per_token` best by the router's logits, weighted by the softmax over
  // those. With GatePacking::kSeparate each expert has tensors of its own ("{e}" in their names stands for it), else
  // gate_up and down hold all experts: [experts, in, out], or as MXFP4 [experts, out, in].
  int64_t experts = 0;
  int64_t experts_per_token = 0;
  bool router_bias = false;

  bool qkv_bias = false;
  bool attention_out_bias = false;
  bool mlp_bias = false;

  bool has_head = false;  // a vocabulary head; with tied_head its weights are the token embedding
  bool tied_head = false;
  float logit_scale = 1.0f;
  float logit_softcap = 0.0f;  // 0: none

  std::vector<int32_t> eos_ids;  // sorted
  int32_t bos_id = -1;

  QkvPacking qkv_packing = QkvPacking::kSeparate;
  GatePacking gate_packing = GatePacking::kSeparate;
  bool transposed_linear = false;  // linear maps are stored [in, out]
  TensorNames tensors;

  int64_t q_dim() const { return heads * head_dim; }
  int64_t kv_dim() const { return kv_heads * head_dim; }
  int64_t window(int64_t layer) const { return windows.empty() ? 0 : windows[static_cast<size_t>(layer)]; }
};

// An encoder and the decoder that attends to its output; both have the encoder's hidden_size and vocabulary.
struct Seq2SeqArchitecture {
  Architecture encoder, decoder;
  int32_t start_id = 0;        // the first token of every target
  int32_t forced_bos_id = -1;  // the second; -1: free
  int32_t forced_eos_id = -1;  // the last of a target of the longest length; -1: free
};

}  // namespace lastro::engine
