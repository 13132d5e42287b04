#include "engine/gguf_config.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "engine/config_reader.h"
#include "engine/json_text.h"

namespace lastro::engine {
namespace {

const StoredTensor* FindTensor(const GgufContents& contents, absl::string_view name) {
  for (const auto& [tensor_name, tensor] : contents.tensors) {
    if (tensor_name == name) return &tensor;
  }
  return nullptr;
}

// 0 stands for "none" in both of these; config.json says null.
bool ZeroIsNone(absl::string_view member) {
  return absl::EndsWith(member, "_softcapping") || member == "sliding_window";
}

absl::Status AddRow(const GgufMetadata& metadata, const std::string& prefix, const GgufConfigRow& row,
                    JsonObjectText* json) {
  const std::string key = prefix + row.gguf;
  if (!metadata.Has(key)) return absl::OkStatus();  // the card says which members it needs
  if (metadata.IsArray(key)) {
    return absl::UnimplementedError(
        absl::StrCat(metadata.name(), ": ", key, " differs from layer to layer, which is not supported"));
  }
  if (row.field == GgufField::kBool) {
    LASTRO_ASSIGN_OR_RETURN(bool value, metadata.Bool(key));
    json->Add(row.config, value);
    return absl::OkStatus();
  }
  LASTRO_ASSIGN_OR_RETURN(double number, metadata.Double(key));
  if (number == 0 && ZeroIsNone(row.config)) {
    json->AddRaw(row.config, "null");
  } else if (row.field == GgufField::kFloat) {
    json->Add(row.config, number);
  } else {
    LASTRO_ASSIGN_OR_RETURN(int64_t value, metadata.Int(key));
    json->Add(row.config, value);
  }
  return absl::OkStatus();
}

// End-of-text is a set: the format has a key for each of its members.
absl::Status AddSpecialIds(const GgufMetadata& metadata, JsonObjectText* json) {
  std::string ends;
  for (const char* key :
       {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    if (!metadata.Has(key)) continue;
    LASTRO_ASSIGN_OR_RETURN(int64_t id, metadata.Int(key));
    absl::StrAppend(&ends, ends.empty() ? "" : ", ", id);
  }
  if (metadata.Has(kGgufEosIdsKey)) {
    LASTRO_ASSIGN_OR_RETURN(std::vector<int64_t> ids, metadata.Ints(kGgufEosIdsKey));
    ends = absl::StrJoin(ids, ", ");
  }
  if (!ends.empty()) json->AddRaw("eos_token_id", absl::StrCat("[", ends, "]"));
  if (metadata.Has("tokenizer.ggml.bos_token_id")) {
    LASTRO_ASSIGN_OR_RETURN(int64_t id, metadata.Int("tokenizer.ggml.bos_token_id"));
    json->Add("bos_token_id", id);
  }
  return absl::OkStatus();
}

// What Hugging Face says in config.json and GGUF by the tensors that are there.
absl::Status AddFromTensors(const GgufContents& contents, JsonObjectText* json) {
  const StoredTensor* embedding = FindTensor(contents, "token_embd.weight");
  if (embedding == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(contents.metadata.name(), ": tensor token_embd.weight is missing"));
  }
  json->Add("vocab_size", embedding->shape.front());
  json->Add("tie_word_embeddings", FindTensor(contents, "output.weight") == nullptr);
  json->Add("attention_bias", FindTensor(contents, "blk.0.attn_output.bias") != nullptr);
  json->Add("mlp_bias", FindTensor(contents, "blk.0.ffn_down.bias") != nullptr);
  if (const StoredTensor* types = FindTensor(contents, "token_types.weight")) {
    json->Add("type_vocab_size", types->shape.front());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<double>> FactorsOf(const GgufContents& contents, const char* name) {
  const StoredTensor& tensor = *FindTensor(contents, name);
  if (tensor.type != StoredType::kF32 || tensor.shape.size() != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(contents.metadata.name(), ": tensor ", name, " must be a vector of F32"));
  }
  std::vector<double> factors;
  for (size_t at = 0; at < tensor.data.size(); at += sizeof(float)) {
    float factor;
    std::memcpy(&factor, tensor.data.data() + at, sizeof(float));
    factors.push_back(factor);
  }
  return factors;
}

// rope_freqs.weight divides the frequencies, whatever formula made it: in config.json's terms a "longrope" whose short
// and long factors are the same and which scales nothing else.
absl::Status AddRopeFactors(const GgufContents& contents, JsonObjectText* json) {
  LASTRO_ASSIGN_OR_RETURN(std::vector<double> factors, FactorsOf(contents, "rope_freqs.weight"));
  JsonObjectText scaling;
  scaling.Add("rope_type", "longrope");
  scaling.Add("short_factor", factors);
  scaling.Add("long_factor", factors);
  scaling.Add("attention_factor", 1.0);
  json->AddRaw("rope_scaling", scaling.text());
  return absl::OkStatus();
}

absl::Status AddLongRope(const GgufContents& contents, const std::string& prefix, JsonObjectText* json) {
  const GgufMetadata& metadata = contents.metadata;
  JsonObjectText scaling;
  scaling.Add("rope_type", "longrope");
  for (const auto& [tensor, member] :
       {std::pair("rope_factors_short.weight", "short_factor"), std::pair("rope_factors_long.weight", "long_factor")}) {
    if (FindTensor(contents, tensor) == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat(metadata.name(), ": tensor ", tensor, " is missing"));
    }
    LASTRO_ASSIGN_OR_RETURN(std::vector<double> factors, FactorsOf(contents, tensor));
    scaling.Add(member, factors);
  }
  double magnitude = 1;
  if (metadata.Has(prefix + "rope.scaling.attn_factor")) {
    LASTRO_ASSIGN_OR_RETURN(magnitude, metadata.Double(prefix + "rope.scaling.attn_factor"));
  }
  scaling.Add("attention_factor", magnitude);
  LASTRO_ASSIGN_OR_RETURN(int64_t original, metadata.Int(prefix + "rope.scaling.original_context_length"));
  scaling.Add("original_max_position_embeddings", original);
  json->AddRaw("rope_scaling", scaling.text());
  return absl::OkStatus();
}

absl::Status AddRopeScaling(const GgufContents& contents, const GgufFamily& family, const std::string& prefix,
                            JsonObjectText* json) {
  if (FindTensor(contents, "rope_freqs.weight") != nullptr) return AddRopeFactors(contents, json);
  if (FindTensor(contents, "rope_factors_long.weight") != nullptr) return AddLongRope(contents, prefix, json);
  const GgufMetadata& metadata = contents.metadata;
  if (!metadata.Has(prefix + "rope.scaling.type")) return absl::OkStatus();
  LASTRO_ASSIGN_OR_RETURN(absl::string_view type, metadata.String(prefix + "rope.scaling.type"));
  if (type == "none") return absl::OkStatus();
  JsonObjectText scaling;
  scaling.Add("rope_type", type);
  double factor = 1, magnitude = 1;
  for (const auto& [key, value] : {std::pair("factor", &factor), std::pair("attn_factor", &magnitude)}) {
    if (!metadata.Has(prefix + "rope.scaling." + key)) continue;
    LASTRO_ASSIGN_OR_RETURN(*value, metadata.Double(prefix + "rope.scaling." + key));
  }
  scaling.Add("factor", factor);
  // For YaRN the format's factor comes on top of the one that follows from the stretch (YarnMagnitude).
  if (type == "yarn") scaling.Add("attention_factor", magnitude * YarnMagnitude(factor));
  for (const auto& [key, member] :
       {std::pair("yarn_beta_fast", "beta_fast"), std::pair("yarn_beta_slow", "beta_slow")}) {
    if (!metadata.Has(prefix + "rope.scaling." + key)) continue;
    LASTRO_ASSIGN_OR_RETURN(double value, metadata.Double(prefix + "rope.scaling." + key));
    scaling.Add(member, value);
  }
  const std::string original = prefix + "rope.scaling.original_context_length";
  if (metadata.Has(original)) {
    LASTRO_ASSIGN_OR_RETURN(int64_t value, metadata.Int(original));
    scaling.Add("original_max_position_embeddings", value);
  }
  if (family.derived == GgufDerived::kGptOss) scaling.Add("truncate", false);
  json->AddRaw("rope_scaling", scaling.text());
  return absl::OkStatus();
}

absl::StatusOr<int64_t> HeadsInRange(const GgufMetadata& metadata, const std::string& key, int64_t high) {
  LASTRO_ASSIGN_OR_RETURN(int64_t value, metadata.Int(key));
  if (value >= 1 && value <= high) return value;
  return absl::InvalidArgumentError(
      absl::StrCat(metadata.name(), ": ", key, " = ", value, " is out of range [1, ", high, "]"));
}

// The part of each head that rotates.
absl::Status AddRotaryShare(const GgufMetadata& metadata, const std::string& prefix, const HeadCounts& heads,
                            const char* member, JsonObjectText* json) {
  const std::string key = prefix + "rope.dimension_count";
  if (!metadata.Has(key)) return absl::OkStatus();
  LASTRO_ASSIGN_OR_RETURN(int64_t rotary, metadata.Int(key));
  if (rotary < 2 || rotary > heads.head_dim) {
    return absl::InvalidArgumentError(
        absl::StrCat(metadata.name(), ": ", key, " = ", rotary, " is out of range [2, ", heads.head_dim, "]"));
  }
  // A little more than the quotient, so that the card's product does not round below the integer.
  json->Add(member, std::min(1.0, (static_cast<double>(rotary) + 1e-6) / static_cast<double>(heads.head_dim)));
  return absl::OkStatus();
}

void AddFalcon(const GgufContents& contents, const HeadCounts& heads, JsonObjectText* json) {
  const bool two_norms = FindTensor(contents, "blk.0.attn_norm_2.weight") != nullptr;
  json->Add("new_decoder_architecture", two_norms || (heads.kv_heads != 1 && heads.kv_heads != heads.heads));
  json->Add("num_ln_in_parallel_attn", int64_t{two_norms ? 2 : 1});
  json->Add("multi_query", heads.kv_heads == 1);
  json->Add("bias", FindTensor(contents, "blk.0.attn_qkv.bias") != nullptr);
}

// The largest of the published models divide by the root of hidden_size / heads, the others by that of the head width.
absl::Status AddGemmaScale(const GgufMetadata& metadata, const std::string& prefix, const HeadCounts& heads,
                           JsonObjectText* json) {
  LASTRO_ASSIGN_OR_RETURN(int64_t layers, metadata.Int(prefix + "block_count"));
  LASTRO_ASSIGN_OR_RETURN(int64_t hidden, metadata.Int(prefix + "embedding_length"));
  const bool largest = layers == (prefix == "gemma2." ? 46 : 62);
  double scalar = static_cast<double>(largest ? hidden / heads.heads : heads.head_dim);
  if (metadata.Has(prefix + "attention.scale")) {
    LASTRO_ASSIGN_OR_RETURN(double scale, metadata.Double(prefix + "attention.scale"));
    scalar = 1.0 / (scale * scale);
  }
  json->Add("query_pre_attn_scalar", scalar);
  return absl::OkStatus();
}

absl::Status AddMpt(const GgufMetadata& metadata, const std::string& prefix, JsonObjectText* json) {
  LASTRO_ASSIGN_OR_RETURN(int64_t hidden, metadata.Int(prefix + "embedding_length"));
  LASTRO_ASSIGN_OR_RETURN(int64_t intermediate, metadata.Int(prefix + "feed_forward_length"));
  if (hidden < 1 || intermediate % hidden != 0) {
    return absl::InvalidArgumentError(absl::StrCat(metadata.name(), ": ", prefix, "feed_forward_length ", intermediate,
                                                   " is no multiple of embedding_length ", hidden));
  }
  json->Add("expansion_ratio", intermediate / hidden);
  JsonObjectText attention;
  double bias = 0;
  if (metadata.Has(prefix + "attention.max_alibi_bias")) {
    LASTRO_ASSIGN_OR_RETURN(bias, metadata.Double(prefix + "attention.max_alibi_bias"));
  }
  attention.Add("alibi", bias > 0);
  if (bias > 0) attention.Add("alibi_bias_max", bias);
  if (metadata.Has(prefix + "attention.clamp_kqv")) {
    LASTRO_ASSIGN_OR_RETURN(double clip, metadata.Double(prefix + "attention.clamp_kqv"));
    attention.Add("clip_qkv", clip);
  }
  json->AddRaw("attn_config", attention.text());
  return absl::OkStatus();
}

absl::Status AddDerived(const GgufContents& contents, const GgufFamily& family, const std::string& prefix,
                        JsonObjectText* json) {
  const GgufMetadata& metadata = contents.metadata;
  LASTRO_ASSIGN_OR_RETURN(HeadCounts heads, ReadGgufHeads(metadata, family));
  switch (family.derived) {
    case GgufDerived::kNone:
      return absl::OkStatus();
    case GgufDerived::kPartialRotary:
      return AddRotaryShare(metadata, prefix, heads, "partial_rotary_factor", json);
    case GgufDerived::kNeoxRotary:
      return AddRotaryShare(metadata, prefix, heads, "rotary_pct", json);
    case GgufDerived::kFalcon:
      AddFalcon(contents, heads, json);
      return absl::OkStatus();
    case GgufDerived::kGemmaScale:
      return AddGemmaScale(metadata, prefix, heads, json);
    case GgufDerived::kMpt:
      return AddMpt(metadata, prefix, json);
    case GgufDerived::kGptOss:
      return absl::OkStatus();  // AddRopeScaling
  }
  return absl::OkStatus();
}

absl::Status AddReader(const GgufMetadata& metadata, JsonObjectText* json) {
  if (!metadata.Has(kGgufReaderKey)) return absl::OkStatus();
  LASTRO_ASSIGN_OR_RETURN(absl::string_view text, metadata.String(kGgufReaderKey));
  LASTRO_ASSIGN_OR_RETURN(JsonDocument section,
                          JsonDocument::Parse(text, absl::StrCat(metadata.name(), ": ", kGgufReaderKey)));
  json->AddRaw("lastro_reader", simdjson::minify(section.root().element()));  // one value, whatever the text was
  return absl::OkStatus();
}

}  // namespace

double YarnMagnitude(double factor) { return factor <= 1 ? 1.0 : 0.1 * std::log(factor) + 1.0; }

absl::StatusOr<HeadCounts> ReadGgufHeads(const GgufMetadata& metadata, const GgufFamily& family) {
  const std::string prefix = absl::StrCat(family.architecture, ".");
  const std::string heads = prefix + "attention.head_count", kv_heads = prefix + "attention.head_count_kv";
  const std::string width = prefix + "embedding_length", head_dim = prefix + "attention.key_length";
  HeadCounts counts;
  for (const std::string& key : {heads, kv_heads}) {
    if (!metadata.IsArray(key)) continue;
    return absl::UnimplementedError(
        absl::StrCat(metadata.name(), ": ", key, " differs from layer to layer, which is not supported"));
  }
  LASTRO_ASSIGN_OR_RETURN(counts.heads, HeadsInRange(metadata, heads, kMaxHeads));
  counts.kv_heads = counts.heads;
  if (metadata.Has(kv_heads)) {
    LASTRO_ASSIGN_OR_RETURN(counts.kv_heads, HeadsInRange(metadata, kv_heads, kMaxHeads));
  }
  LASTRO_ASSIGN_OR_RETURN(int64_t hidden, HeadsInRange(metadata, width, kMaxWidth));
  counts.head_dim = hidden / counts.heads;
  if (metadata.Has(head_dim)) {
    LASTRO_ASSIGN_OR_RETURN(counts.head_dim, HeadsInRange(metadata, head_dim, kMaxHeadDim));
  }
  return counts;
}

absl::StatusOr<std::string> GgufConfigJson(const GgufContents& contents, const GgufFamily& family) {
  const GgufMetadata& metadata = contents.metadata;
  const std::string prefix = absl::StrCat(family.architecture, ".");
  const bool reads_experts = std::any_of(family.config.begin(), family.config.end(), [](const GgufConfigRow& row) {
    return absl::string_view(row.gguf) == "expert_count";
  });
  if (!reads_experts && metadata.Has(prefix + "expert_count")) {
    LASTRO_ASSIGN_OR_RETURN(int64_t experts, metadata.Int(prefix + "expert_count"));
    if (experts > 0) {
      return absl::UnimplementedError(absl::StrCat(metadata.name(), ": mixtures of experts of architecture ",
                                                   family.architecture, " are not supported (", prefix,
                                                   "expert_count = ", experts, ")"));
    }
  }
  JsonObjectText json;
  json.Add("model_type", family.model_type);
  for (const GgufConfigRow& row : family.config) LASTRO_RETURN_IF_ERROR(AddRow(metadata, prefix, row, &json));
  LASTRO_RETURN_IF_ERROR(AddFromTensors(contents, &json));
  LASTRO_RETURN_IF_ERROR(AddDerived(contents, family, prefix, &json));
  LASTRO_RETURN_IF_ERROR(AddRopeScaling(contents, family, prefix, &json));
  LASTRO_RETURN_IF_ERROR(AddSpecialIds(metadata, &json));
  LASTRO_RETURN_IF_ERROR(AddReader(metadata, &json));
  std::string text = json.text();
  return text.insert(text.size() - 1, family.constants);
}

absl::StatusOr<std::optional<std::string>> GgufTokenizerConfigJson(const GgufMetadata& metadata) {
  constexpr char kKey[] = "tokenizer.chat_template";
  if (!metadata.Has(kKey)) return std::optional<std::string>();
  LASTRO_ASSIGN_OR_RETURN(absl::string_view chat_template, metadata.String(kKey));
  if (!IsValidUtf8(chat_template)) {
    return absl::InvalidArgumentError(absl::StrCat(metadata.name(), ": ", kKey, " is not UTF-8 text"));
  }
  JsonObjectText json;
  json.Add("chat_template", chat_template);
  return std::optional<std::string>(json.text());
}

absl::StatusOr<std::optional<GgufSentenceJson>> ReadGgufSentenceJson(const GgufMetadata& metadata,
                                                                     const GgufFamily& family) {
  const std::string key = absl::StrCat(family.architecture, ".pooling_type");
  if (!metadata.Has(key)) return std::optional<GgufSentenceJson>();
  LASTRO_ASSIGN_OR_RETURN(int64_t type, metadata.Int(key));
  constexpr const char* kModes[] = {"", "pooling_mode_mean_tokens", "pooling_mode_cls_token", "pooling_mode_lasttoken"};
  if (type == 0) return std::optional<GgufSentenceJson>();
  if (type < 0 || type >= static_cast<int64_t>(std::size(kModes))) {
    return absl::UnimplementedError(absl::StrCat(metadata.name(), ": ", key, " = ", type,
                                                 " is not supported; supported: 0 (none), 1 (mean), ",
                                                 "2 (first token), 3 (last token)"));
  }
  bool normalize = true;
  if (metadata.Has(kGgufNormalizeKey)) {
    LASTRO_ASSIGN_OR_RETURN(normalize, metadata.Bool(kGgufNormalizeKey));
  }
  GgufSentenceJson json;
  json.modules = absl::StrCat(R"([{"type": "x.Transformer"}, {"type": "x.Pooling"})",
                              normalize ? R"(, {"type": "x.Normalize"}])" : "]");
  JsonObjectText pooling;
  pooling.Add(kModes[type], true);
  json.pooling = pooling.text();
  if (metadata.Has(kGgufMaxTextKey)) {
    LASTRO_ASSIGN_OR_RETURN(int64_t limit, metadata.Int(kGgufMaxTextKey));
    json.sentence_bert = absl::StrCat("{\"max_seq_length\": ", limit, "}");
  }
  return std::optional<GgufSentenceJson>(std::move(json));
}

}  // namespace lastro::engine
