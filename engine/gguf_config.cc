#include "engine/gguf_config.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
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

absl::Status AddRow(const GgufMetadata& metadata, const std::string& prefix, const GgufConfigRow& row,
                    JsonObjectText* json) {
  const std::string key = prefix + row.gguf;
  if (!metadata.Has(key)) return absl::OkStatus();  // the card says which members it needs
  if (row.field == GgufField::kFloat) {
    LASTRO_ASSIGN_OR_RETURN(double value, metadata.Double(key));
    json->Add(row.config, value);
    return absl::OkStatus();
  }
  if (metadata.IsArray(key)) {
    return absl::UnimplementedError(
        absl::StrCat(metadata.name(), ": ", key, " differs from layer to layer, which is not supported"));
  }
  LASTRO_ASSIGN_OR_RETURN(int64_t value, metadata.Int(key));
  json->Add(row.config, value);
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

absl::StatusOr<std::vector<double>> FactorsOf(const GgufContents& contents, const StoredTensor& tensor) {
  if (tensor.type != StoredType::kF32 || tensor.shape.size() != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(contents.metadata.name(), ": tensor rope_freqs.weight must be a vector of F32"));
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
absl::Status AddRopeFactors(const GgufContents& contents, const StoredTensor& tensor, JsonObjectText* json) {
  LASTRO_ASSIGN_OR_RETURN(std::vector<double> factors, FactorsOf(contents, tensor));
  JsonObjectText scaling;
  scaling.Add("rope_type", "longrope");
  scaling.Add("short_factor", factors);
  scaling.Add("long_factor", factors);
  scaling.Add("attention_factor", 1.0);
  json->AddRaw("rope_scaling", scaling.text());
  return absl::OkStatus();
}

absl::Status AddRopeScaling(const GgufContents& contents, const std::string& prefix, JsonObjectText* json) {
  if (const StoredTensor* factors = FindTensor(contents, "rope_freqs.weight")) {
    return AddRopeFactors(contents, *factors, json);
  }
  const GgufMetadata& metadata = contents.metadata;
  if (!metadata.Has(prefix + "rope.scaling.type")) return absl::OkStatus();
  LASTRO_ASSIGN_OR_RETURN(absl::string_view type, metadata.String(prefix + "rope.scaling.type"));
  if (type == "none") return absl::OkStatus();
  JsonObjectText scaling;
  scaling.Add("rope_type", type);
  for (const auto& [key, member] :
       {std::pair("rope.scaling.factor", "factor"), std::pair("rope.scaling.attn_factor", "attention_factor"),
        std::pair("rope.scaling.yarn_beta_fast", "beta_fast"), std::pair("rope.scaling.yarn_beta_slow", "beta_slow")}) {
    if (!metadata.Has(prefix + key)) continue;
    LASTRO_ASSIGN_OR_RETURN(double value, metadata.Double(prefix + key));
    scaling.Add(member, value);
  }
  const std::string original = prefix + "rope.scaling.original_context_length";
  if (metadata.Has(original)) {
    LASTRO_ASSIGN_OR_RETURN(int64_t value, metadata.Int(original));
    scaling.Add("original_max_position_embeddings", value);
  }
  json->AddRaw("rope_scaling", scaling.text());
  return absl::OkStatus();
}

absl::StatusOr<int64_t> HeadsInRange(const GgufMetadata& metadata, const std::string& key, int64_t high) {
  LASTRO_ASSIGN_OR_RETURN(int64_t value, metadata.Int(key));
  if (value >= 1 && value <= high) return value;
  return absl::InvalidArgumentError(
      absl::StrCat(metadata.name(), ": ", key, " = ", value, " is out of range [1, ", high, "]"));
}

}  // namespace

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
  if (metadata.Has(prefix + "expert_count")) {
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
  LASTRO_RETURN_IF_ERROR(AddRopeScaling(contents, prefix, &json));
  LASTRO_RETURN_IF_ERROR(AddSpecialIds(metadata, &json));
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
