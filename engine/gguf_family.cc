#include "engine/gguf_family.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace lastro::engine {
namespace {

using enum GgufChange;

constexpr GgufConfigRow kLlamaConfig[] = {
    {"max_position_embeddings", "context_length", GgufField::kInt},
    {"hidden_size", "embedding_length", GgufField::kInt},
    {"num_hidden_layers", "block_count", GgufField::kInt},
    {"intermediate_size", "feed_forward_length", GgufField::kInt},
    {"num_attention_heads", "attention.head_count", GgufField::kInt},
    {"num_key_value_heads", "attention.head_count_kv", GgufField::kInt},
    {"head_dim", "attention.key_length", GgufField::kInt},
    {"rms_norm_eps", "attention.layer_norm_rms_epsilon", GgufField::kFloat},
    {"rope_theta", "rope.freq_base", GgufField::kFloat},
};

constexpr GgufConfigRow kBertConfig[] = {
    {"max_position_embeddings", "context_length", GgufField::kInt},
    {"hidden_size", "embedding_length", GgufField::kInt},
    {"num_hidden_layers", "block_count", GgufField::kInt},
    {"intermediate_size", "feed_forward_length", GgufField::kInt},
    {"num_attention_heads", "attention.head_count", GgufField::kInt},
    {"layer_norm_eps", "attention.layer_norm_epsilon", GgufField::kFloat},
};

constexpr GgufTensorRow kLlamaTensors[] = {
    {"token_embd", "model.embed_tokens"},
    {"output_norm", "model.norm"},
    {"output", "lm_head"},
    {"blk.{}.attn_norm", "model.layers.{}.input_layernorm"},
    {"blk.{}.attn_q", "model.layers.{}.self_attn.q_proj", kQueryRows},
    {"blk.{}.attn_k", "model.layers.{}.self_attn.k_proj", kKeyRows},
    {"blk.{}.attn_v", "model.layers.{}.self_attn.v_proj"},
    {"blk.{}.attn_output", "model.layers.{}.self_attn.o_proj"},
    {"blk.{}.ffn_norm", "model.layers.{}.post_attention_layernorm"},
    {"blk.{}.ffn_gate", "model.layers.{}.mlp.gate_proj"},
    {"blk.{}.ffn_up", "model.layers.{}.mlp.up_proj"},
    {"blk.{}.ffn_down", "model.layers.{}.mlp.down_proj"},
};

constexpr GgufTensorRow kQwenTensors[] = {
    {"token_embd", "model.embed_tokens"},
    {"output_norm", "model.norm"},
    {"output", "lm_head"},
    {"blk.{}.attn_norm", "model.layers.{}.input_layernorm"},
    {"blk.{}.attn_q", "model.layers.{}.self_attn.q_proj"},
    {"blk.{}.attn_k", "model.layers.{}.self_attn.k_proj"},
    {"blk.{}.attn_v", "model.layers.{}.self_attn.v_proj"},
    {"blk.{}.attn_q_norm", "model.layers.{}.self_attn.q_norm"},
    {"blk.{}.attn_k_norm", "model.layers.{}.self_attn.k_norm"},
    {"blk.{}.attn_output", "model.layers.{}.self_attn.o_proj"},
    {"blk.{}.ffn_norm", "model.layers.{}.post_attention_layernorm"},
    {"blk.{}.ffn_gate", "model.layers.{}.mlp.gate_proj"},
    {"blk.{}.ffn_up", "model.layers.{}.mlp.up_proj"},
    {"blk.{}.ffn_down", "model.layers.{}.mlp.down_proj"},
};

constexpr GgufTensorRow kBertTensors[] = {
    {"token_embd", "embeddings.word_embeddings"},
    {"position_embd", "embeddings.position_embeddings"},
    {"token_types", "embeddings.token_type_embeddings"},
    {"token_embd_norm", "embeddings.LayerNorm"},
    {"blk.{}.attn_q", "encoder.layer.{}.attention.self.query"},
    {"blk.{}.attn_k", "encoder.layer.{}.attention.self.key"},
    {"blk.{}.attn_v", "encoder.layer.{}.attention.self.value"},
    {"blk.{}.attn_output", "encoder.layer.{}.attention.output.dense"},
    {"blk.{}.attn_output_norm", "encoder.layer.{}.attention.output.LayerNorm"},
    {"blk.{}.ffn_up", "encoder.layer.{}.intermediate.dense"},
    {"blk.{}.ffn_down", "encoder.layer.{}.output.dense"},
    {"blk.{}.layer_output_norm", "encoder.layer.{}.output.LayerNorm"},
};

// The first row of a model_type is the one that it is written as.
constexpr GgufFamily kFamilies[] = {
    {"llama", "llama", R"(, "hidden_act": "silu")", kLlamaConfig, kLlamaTensors},
    {"llama", "mistral", R"(, "hidden_act": "silu")", kLlamaConfig, kLlamaTensors},
    {"qwen2", "qwen2", R"(, "hidden_act": "silu")", kLlamaConfig, kQwenTensors},
    {"qwen3", "qwen3", R"(, "hidden_act": "silu")", kLlamaConfig, kQwenTensors},
    {"bert", "bert", R"(, "hidden_act": "gelu")", kBertConfig, kBertTensors},
};

constexpr absl::string_view kSuffixes[] = {".weight", ".bias"};
// What stands before the names of the tables, or is missing there, in checkpoints of the same model.
constexpr absl::string_view kHfPrefixes[] = {"model.", "bert.", "transformer."};

// The layer of a name that fits `pattern`, as text ("" for a pattern without one); nullopt when it does not fit.
std::optional<absl::string_view> MatchLayer(absl::string_view name, absl::string_view pattern) {
  const size_t hole = pattern.find("{}");
  if (hole == absl::string_view::npos) return name == pattern ? std::optional<absl::string_view>("") : std::nullopt;
  if (!absl::ConsumePrefix(&name, pattern.substr(0, hole)) || !absl::ConsumeSuffix(&name, pattern.substr(hole + 2))) {
    return std::nullopt;
  }
  if (name.empty() || name.find_first_not_of("0123456789") != absl::string_view::npos) return std::nullopt;
  return name;
}

std::string FillLayer(absl::string_view pattern, absl::string_view layer) {
  const size_t hole = pattern.find("{}");
  if (hole == absl::string_view::npos) return std::string(pattern);
  return absl::StrCat(pattern.substr(0, hole), layer, pattern.substr(hole + 2));
}

std::optional<GgufTensorMatch> Translate(const GgufFamily& family, absl::string_view name, bool to_hf) {
  for (absl::string_view suffix : kSuffixes) {
    absl::string_view stem = name;
    if (!absl::ConsumeSuffix(&stem, suffix)) continue;
    for (const GgufTensorRow& row : family.tensors) {
      const auto layer = MatchLayer(stem, to_hf ? row.gguf : row.hf);
      if (!layer.has_value()) continue;
      return GgufTensorMatch{absl::StrCat(FillLayer(to_hf ? row.hf : row.gguf, *layer), suffix), row.change};
    }
  }
  return std::nullopt;
}

std::vector<int64_t> HalfSplitOrder(int64_t heads, int64_t rows) {
  if (heads <= 0 || rows % (2 * heads) != 0) return {};
  const int64_t head_dim = rows / heads, half = head_dim / 2;
  std::vector<int64_t> order;
  order.reserve(static_cast<size_t>(rows));
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t head = row / head_dim, within = row % head_dim;
    order.push_back(head * head_dim + within % half * 2 + within / half);
  }
  return order;
}

std::vector<int64_t> GroupedQkvOrder(const HeadCounts& counts, int64_t rows) {
  const auto [heads, kv_heads, dim] = counts;
  if (kv_heads <= 0 || heads % kv_heads != 0 || rows != (heads + 2 * kv_heads) * dim) return {};
  const int64_t group = heads / kv_heads + 2;  // vectors of a KV head
  std::vector<int64_t> order;
  order.reserve(static_cast<size_t>(rows));
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t g = row / (group * dim), i = row / dim % group, d = row % dim;
    const int64_t vector = i < group - 2 ? g * (group - 2) + i : heads + (i - (group - 2)) * kv_heads + g;
    order.push_back(vector * dim + d);
  }
  return order;
}

}  // namespace

const GgufFamily* FindGgufFamily(absl::string_view architecture) {
  for (const GgufFamily& family : kFamilies) {
    if (architecture == family.architecture) return &family;
  }
  return nullptr;
}

const GgufFamily* FindGgufFamilyOfModel(absl::string_view model_type) {
  for (const GgufFamily& family : kFamilies) {
    if (model_type == family.model_type) return &family;
  }
  return nullptr;
}

std::string SupportedGgufArchitectures() {
  std::string names;
  absl::string_view last;
  for (const GgufFamily& family : kFamilies) {
    if (family.architecture == last) continue;
    last = family.architecture;
    absl::StrAppend(&names, names.empty() ? "" : ", ", last);
  }
  return names;
}

std::optional<GgufTensorMatch> HfNameOf(const GgufFamily& family, absl::string_view gguf_name) {
  return Translate(family, gguf_name, true);
}

std::optional<GgufTensorMatch> GgufNameOf(const GgufFamily& family, absl::string_view hf_name) {
  std::optional<GgufTensorMatch> match = Translate(family, hf_name, false);
  for (absl::string_view prefix : kHfPrefixes) {
    absl::string_view rest = hf_name;
    if (!match.has_value() && absl::ConsumePrefix(&rest, prefix)) match = Translate(family, rest, false);
    if (!match.has_value()) match = Translate(family, absl::StrCat(prefix, hf_name), false);
  }
  return match;
}

std::vector<int64_t> GgufRowOrder(GgufChange change, const HeadCounts& heads, int64_t rows) {
  switch (change) {
    case kQueryRows:
      return HalfSplitOrder(heads.heads, rows);
    case kKeyRows:
      return HalfSplitOrder(heads.kv_heads, rows);
    case kFusedQkvRows:
      return GroupedQkvOrder(heads, rows);
    case kNone:
    case kNormPlusOne:
      return {};
  }
  return {};
}

}  // namespace lastro::engine
