#include "engine/gguf_export.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "engine/gguf_config.h"
#include "engine/gguf_vocabulary.h"
#include "engine/rope.h"
#include "engine/sentence_config.h"

namespace lastro::engine {
namespace {

constexpr uint64_t kMaxTokenizerBytes = 256u << 20;

// What an architecture says under each key of the families' tables.
struct ArchitectureRow {
  const char* gguf;
  double (*value)(const Architecture& a);
};

double LongestWindow(const Architecture& a) {
  return a.windows.empty() ? 0.0 : static_cast<double>(*std::max_element(a.windows.begin(), a.windows.end()));
}

// Every so many layers one sees all tokens: the first of them tells.
double WindowPattern(const Architecture& a) {
  const auto first = std::find(a.windows.begin(), a.windows.end(), 0);
  return static_cast<double>(first - a.windows.begin() + 1);
}

constexpr ArchitectureRow kRows[] = {
    {"context_length", [](const Architecture& a) { return static_cast<double>(a.max_tokens); }},
    {"embedding_length", [](const Architecture& a) { return static_cast<double>(a.hidden_size); }},
    {"block_count", [](const Architecture& a) { return static_cast<double>(a.layers); }},
    {"feed_forward_length", [](const Architecture& a) { return static_cast<double>(a.intermediate_size); }},
    {"attention.head_count", [](const Architecture& a) { return static_cast<double>(a.heads); }},
    {"attention.head_count_kv", [](const Architecture& a) { return static_cast<double>(a.kv_heads); }},
    {"attention.key_length", [](const Architecture& a) { return static_cast<double>(a.head_dim); }},
    {"attention.layer_norm_rms_epsilon", [](const Architecture& a) { return static_cast<double>(a.norm_eps); }},
    {"attention.layer_norm_epsilon", [](const Architecture& a) { return static_cast<double>(a.norm_eps); }},
    {"rope.freq_base", [](const Architecture& a) { return a.rope.theta; }},
    {"rope.freq_base_swa", [](const Architecture& a) { return a.local_rope.value_or(a.rope).theta; }},
    {"attention.sliding_window", LongestWindow},
    {"attention.sliding_window_pattern", WindowPattern},
    {"attn_logit_softcapping", [](const Architecture& a) { return static_cast<double>(a.attention_softcap); }},
    {"final_logit_softcapping", [](const Architecture& a) { return static_cast<double>(a.logit_softcap); }},
    {"use_parallel_residual", [](const Architecture& a) { return a.residual == ResidualOrder::kParallel ? 1.0 : 0.0; }},
};

void AddRow(const Architecture& a, const std::string& prefix, const GgufConfigRow& row, GgufWriter* writer) {
  const auto found = std::find_if(std::begin(kRows), std::end(kRows), [&row](const ArchitectureRow& known) {
    return absl::string_view(known.gguf) == row.gguf;
  });
  LASTRO_CHECK(found != std::end(kRows), row.gguf);
  const double value = found->value(a);
  switch (row.field) {
    case GgufField::kInt:
      return writer->AddUint(prefix + row.gguf, static_cast<uint32_t>(value));
    case GgufField::kFloat:
      return writer->AddFloat(prefix + row.gguf, static_cast<float>(value));
    case GgufField::kBool:
      return writer->AddBool(prefix + row.gguf, value != 0);
  }
}

void AddDerived(const GgufFamily& family, const Architecture& a, const std::string& prefix, GgufWriter* writer) {
  if (family.derived == GgufDerived::kGemmaScale) {
    writer->AddFloat(prefix + "attention.scale", static_cast<float>(a.attention_scale));
  }
  if (family.derived != GgufDerived::kMpt) return;
  writer->AddUint(prefix + "feed_forward_length", static_cast<uint32_t>(a.intermediate_size));
  writer->AddFloat(prefix + "attention.max_alibi_bias", 8.0f);
  if (a.qkv_clip > 0) writer->AddFloat(prefix + "attention.clamp_kqv", a.qkv_clip);
}

absl::Status AddRopeScaling(const RopeParams& rope, const std::string& prefix, GgufWriter* writer) {
  const std::string scaling = prefix + "rope.scaling.";
  switch (rope.scaling) {
    case RopeScaling::kNone:
    case RopeScaling::kLlama3:  // a tensor says it
      return absl::OkStatus();
    case RopeScaling::kLinear:
      writer->AddString(scaling + "type", "linear");
      writer->AddFloat(scaling + "factor", static_cast<float>(rope.factor));
      return absl::OkStatus();
    case RopeScaling::kYarn:
      writer->AddString(scaling + "type", "yarn");
      writer->AddFloat(scaling + "factor", static_cast<float>(rope.factor));
      writer->AddFloat(scaling + "attn_factor", static_cast<float>(rope.attention_factor / YarnMagnitude(rope.factor)));
      writer->AddFloat(scaling + "yarn_beta_fast", static_cast<float>(rope.beta_fast));
      writer->AddFloat(scaling + "yarn_beta_slow", static_cast<float>(rope.beta_slow));
      writer->AddUint(scaling + "original_context_length", static_cast<uint32_t>(rope.original_max_tokens));
      return absl::OkStatus();
    case RopeScaling::kLongRope:
      writer->AddFloat(scaling + "attn_factor", static_cast<float>(rope.attention_factor));
      writer->AddUint(scaling + "original_context_length", static_cast<uint32_t>(rope.original_max_tokens));
      return absl::OkStatus();
    case RopeScaling::kDynamic:
      break;
  }
  return absl::UnimplementedError("GGUF has no words for this model's rope scaling (dynamic)");
}

void AddSpecialIds(const Architecture& a, GgufWriter* writer) {
  constexpr const char* kKeys[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                   "tokenizer.ggml.eom_token_id"};
  for (size_t i = 0; i < std::min(std::size(kKeys), a.eos_ids.size()); ++i) {
    writer->AddUint(kKeys[i], static_cast<uint32_t>(a.eos_ids[i]));
  }
  if (a.eos_ids.size() > std::size(kKeys)) writer->AddInts(kGgufEosIdsKey, a.eos_ids);
  if (a.bos_id >= 0) writer->AddUint("tokenizer.ggml.bos_token_id", static_cast<uint32_t>(a.bos_id));
}

// For other programs: ours reads the whole tokenizer.json.
absl::Status AddVocabulary(const std::string& json, const std::string& name, const Architecture& architecture,
                           GgufWriter* writer) {
  LASTRO_ASSIGN_OR_RETURN(std::optional<tokenizers::VocabularySpec> spec, ToGgufVocabulary(json, name, architecture));
  if (!spec.has_value()) return absl::OkStatus();
  std::vector<int32_t> types;
  for (tokenizers::VocabularySpec::Type type : spec->types) types.push_back(static_cast<int32_t>(type));
  writer->AddString("tokenizer.ggml.model", "gpt2");
  writer->AddString("tokenizer.ggml.pre", spec->pre_tokenizer);
  writer->AddStrings("tokenizer.ggml.tokens", spec->tokens);
  writer->AddInts("tokenizer.ggml.token_type", types);
  writer->AddStrings("tokenizer.ggml.merges", spec->merges);
  writer->AddBool("tokenizer.ggml.add_bos_token", spec->add_bos);
  writer->AddBool("tokenizer.ggml.add_eos_token", spec->add_eos);
  return absl::OkStatus();
}

absl::Status AddTokenizer(const HfFolder& folder, const Architecture& architecture, GgufWriter* writer) {
  if (!absl::EndsWith(folder.tokenizer_path(), ".json")) {
    return absl::UnimplementedError(absl::StrCat(
        folder.tokenizer_path(), " cannot be written into a GGUF file; save the tokenizer as tokenizer.json first"));
  }
  LASTRO_ASSIGN_OR_RETURN(std::string json, ReadFile(folder.tokenizer_path(), kMaxTokenizerBytes));
  writer->AddString(kGgufTokenizerJsonKey, json);
  LASTRO_RETURN_IF_ERROR(AddVocabulary(json, folder.tokenizer_path(), architecture, writer));
  LASTRO_ASSIGN_OR_RETURN(std::optional<std::string> chat, folder.ChatTemplate());
  if (chat.has_value()) writer->AddString("tokenizer.chat_template", *chat);
  return absl::OkStatus();
}

absl::Status AddSentenceConfig(const HfFolder& folder, const std::string& prefix, const Architecture& a,
                               GgufWriter* writer) {
  if (a.causal && !folder.modules().has_value()) return absl::OkStatus();
  LASTRO_ASSIGN_OR_RETURN(SentenceConfig config, ReadSentenceConfig(folder, a.max_tokens));
  const uint32_t pooling = config.pooling == Pooling::kMean ? 1 : config.pooling == Pooling::kCls ? 2 : 3;
  writer->AddUint(prefix + "pooling_type", pooling);
  writer->AddBool(kGgufNormalizeKey, config.normalize);
  writer->AddUint(kGgufMaxTextKey, static_cast<uint32_t>(config.max_tokens));
  writer->AddBool(prefix + "attention.causal", a.causal);
  return absl::OkStatus();
}

// A classifier's pooler is a part of it; what another encoder's checkpoint has under that name is not used.
bool IsHead(const HfFolder& folder, const std::string& name) {
  return absl::StrContains(name, "pooler.dense.") && folder.weights().Contains("classifier.weight");
}

bool IsIgnored(const Architecture& a, const std::string& name) {
  if (a.tied_head && name == a.tensors.head + ".weight") return true;
  return std::any_of(a.tensors.ignored.begin(), a.tensors.ignored.end(),
                     [&](const std::string& part) { return absl::StrContains(name, part); });
}

bool Near(double a, double b) { return std::abs(a - b) <= 1e-6 * (std::abs(a) + std::abs(b)); }

bool SameRope(const RopeParams& a, const RopeParams& b, int64_t tokens) {
  if (a.rotary_dim != b.rotary_dim || !Near(a.attention_factor, b.attention_factor)) return false;
  const std::vector<float> x = RotaryFrequencies(a, tokens), y = RotaryFrequencies(b, tokens);
  return std::equal(x.begin(), x.end(), y.begin(), y.end(), [](float i, float j) { return Near(i, j); });
}

bool SamePositions(const Architecture& a, const Architecture& b) {
  if (a.positions != b.positions || a.position_offset != b.position_offset) return false;
  if (a.alibi_slopes != b.alibi_slopes || a.alibi_bf16 != b.alibi_bf16) return false;
  if (a.positions != PositionKind::kRope) return true;
  if (a.local_rope.has_value() != b.local_rope.has_value()) return false;
  for (int64_t tokens : {int64_t{1}, a.max_tokens}) {
    if (!SameRope(a.rope, b.rope, tokens)) return false;
    if (a.local_rope.has_value() && !SameRope(*a.local_rope, *b.local_rope, tokens)) return false;
  }
  return true;
}

}  // namespace

absl::Status AddGgufMetadata(const HfFolder& folder, const GgufFamily& family, const Architecture& architecture,
                             GgufWriter* writer) {
  const std::string prefix = absl::StrCat(family.architecture, ".");
  writer->AddString("general.architecture", family.architecture);
  writer->AddString("general.name", folder.name());
  for (const GgufConfigRow& row : family.config) AddRow(architecture, prefix, row, writer);
  AddDerived(family, architecture, prefix, writer);
  if (architecture.positions == PositionKind::kRope) {
    writer->AddUint(prefix + "rope.dimension_count", static_cast<uint32_t>(architecture.rope.rotary_dim));
    LASTRO_RETURN_IF_ERROR(AddRopeScaling(architecture.rope, prefix, writer));
  }
  AddSpecialIds(architecture, writer);
  LASTRO_RETURN_IF_ERROR(AddSentenceConfig(folder, prefix, architecture, writer));
  if (folder.config().Has("lastro_reader")) {
    LASTRO_ASSIGN_OR_RETURN(JsonValue section, folder.config().Get("lastro_reader"));
    writer->AddString(kGgufReaderKey, simdjson::minify(section.element()));
  }
  return AddTokenizer(folder, architecture, writer);
}

std::vector<int64_t> ExportTensor::shape() const {
  std::vector<int64_t> shape = source.shape;
  if (change == GgufChange::kTransposed) std::reverse(shape.begin(), shape.end());
  return shape;
}

std::vector<std::pair<std::string, std::vector<float>>> RopeFactors(const Architecture& architecture) {
  const RopeParams& rope = architecture.rope;
  if (architecture.positions != PositionKind::kRope) return {};
  if (rope.scaling == RopeScaling::kLongRope) {
    return {{"rope_factors_long.weight", {rope.long_factors.begin(), rope.long_factors.end()}},
            {"rope_factors_short.weight", {rope.short_factors.begin(), rope.short_factors.end()}}};
  }
  if (rope.scaling != RopeScaling::kLlama3) return {};
  RopeParams plain = rope;
  plain.scaling = RopeScaling::kNone;
  std::vector<float> factors = RotaryFrequencies(plain, architecture.max_tokens);
  const std::vector<float> scaled = RotaryFrequencies(rope, architecture.max_tokens);
  for (size_t i = 0; i < factors.size(); ++i) factors[i] /= scaled[i];
  return {{"rope_freqs.weight", factors}};
}

absl::StatusOr<std::vector<ExportTensor>> GgufTensorsOf(const HfFolder& folder, const GgufFamily& family,
                                                        const Architecture& architecture) {
  std::vector<ExportTensor> tensors;
  for (const std::string& name : folder.weights().names()) {
    if (IsIgnored(architecture, name) && !IsHead(folder, name)) continue;
    const std::optional<GgufTensorMatch> match = GgufNameOf(family, name);
    if (!match.has_value()) {
      return absl::UnimplementedError(absl::StrCat(folder.weights().path(), ": tensor ", name,
                                                   " has no name in GGUF's architecture ", family.architecture));
    }
    LASTRO_ASSIGN_OR_RETURN(const StoredTensor* tensor, folder.weights().Find(name));
    tensors.push_back({match->name, *tensor, match->change});
  }
  return tensors;
}

absl::Status CheckSameModel(const Architecture& original, const Architecture& written) {
  const Architecture &a = original, &b = written;
  auto windows = [](const Architecture& x) {
    const bool none = std::all_of(x.windows.begin(), x.windows.end(), [&](int64_t w) { return w == 0; });
    return none ? std::vector<int64_t>() : x.windows;
  };
  const std::pair<const char*, bool> facts[] = {
      {"vocabulary", a.vocab_size == b.vocab_size},
      {"width", a.hidden_size == b.hidden_size && a.intermediate_size == b.intermediate_size},
      {"layers", a.layers == b.layers},
      {"heads", a.heads == b.heads && a.kv_heads == b.kv_heads && a.head_dim == b.head_dim},
      {"context", a.max_tokens == b.max_tokens && a.token_types == b.token_types},
      {"norms", a.norm == b.norm && Near(a.norm_eps, b.norm_eps) && a.norm_bias == b.norm_bias &&
                    a.norm_weight_offset == b.norm_weight_offset && a.residual == b.residual &&
                    a.embedding_norm == b.embedding_norm && a.final_norm == b.final_norm && a.qk_norm == b.qk_norm},
      {"embedding scale", Near(a.embedding_scale, b.embedding_scale)},
      {"positions", SamePositions(a, b)},
      {"attention windows", windows(a) == windows(b)},
      {"attention", a.causal == b.causal && Near(a.attention_scale, b.attention_scale) &&
                        Near(a.attention_softcap, b.attention_softcap) && Near(a.qkv_clip, b.qkv_clip) &&
                        a.attention_sinks == b.attention_sinks},
      {"activation", a.activation == b.activation && a.gated_mlp == b.gated_mlp},
      {"experts", a.experts == b.experts && a.experts_per_token == b.experts_per_token},
      {"biases", a.qkv_bias == b.qkv_bias && a.attention_out_bias == b.attention_out_bias && a.mlp_bias == b.mlp_bias},
      {"head", a.has_head == b.has_head && a.tied_head == b.tied_head &&
                   a.tensors.head_bias.empty() == b.tensors.head_bias.empty() && Near(a.logit_scale, b.logit_scale) &&
                   Near(a.logit_softcap, b.logit_softcap)},
      {"special tokens", a.eos_ids == b.eos_ids && a.bos_id == b.bos_id}};
  for (const auto& [fact, same] : facts) {
    if (same) continue;
    return absl::UnimplementedError(
        absl::StrCat("a GGUF file of this model's architecture cannot say what its configuration says of its ", fact));
  }
  return absl::OkStatus();
}

}  // namespace lastro::engine
