#include "engine/gguf_vocabulary.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "engine/tokenizer.h"
#include "engine/tokenizers/pre_tokenizer_names.h"

namespace lastro::engine {
namespace {

using tokenizers::VocabularySpec;
using Type = VocabularySpec::Type;

// Of a vocabulary; a configuration may say anything.
constexpr int64_t kMaxIds = int64_t{1} << 22;

// Texts in which the known splitting rules differ.
constexpr const char* kSamples[] = {
    "The keel's 12345 rivets; it'll HOLD, WE'VE seen.  Two  spaces,\ttab\n\n new lines\r\n  end ",
    "São João não está à venda: 3,14159 € — «citação» (1º andar), coração partido.",
    "x=foo_bar(42)!=baz[7]; // ../path/to-file.cc:100 $HOME <tag> {json: \"v\"} e.g. v2.3-rc1",
    "日本語のテキスト、한국어 문장, Привет мир, नमस्ते दुनिया, مرحبا 🙂👍🏽 ０１２ ﬁ ½ "
    "Å "
    "A\u030A",
};

using Expressions = std::optional<std::vector<std::string>>;

// The expressions of a pre_tokenizer that splits and then spells bytes; nothing for any other.
absl::StatusOr<Expressions> SplitsOf(const JsonValue& step, bool last) {
  LASTRO_ASSIGN_OR_RETURN(std::string type, step.GetString("type", ""));
  if (type == "Sequence") {
    LASTRO_ASSIGN_OR_RETURN(JsonValue list, step.Get("pretokenizers"));
    LASTRO_ASSIGN_OR_RETURN(std::vector<JsonValue> steps, list.AsArray());
    std::vector<std::string> all;
    for (size_t i = 0; i < steps.size(); ++i) {
      LASTRO_ASSIGN_OR_RETURN(Expressions some, SplitsOf(steps[i], i + 1 == steps.size()));
      if (!some.has_value()) return some;
      all.insert(all.end(), some->begin(), some->end());
    }
    return Expressions(all);
  }
  if (type == "ByteLevel") {
    LASTRO_ASSIGN_OR_RETURN(bool prefix, step.GetBool("add_prefix_space", true));
    LASTRO_ASSIGN_OR_RETURN(bool splits, step.GetBool("use_regex", true));
    if (prefix || !last) return Expressions();
    return Expressions(splits ? std::vector<std::string>{tokenizers::kByteLevelSplit} : std::vector<std::string>());
  }
  if (type == "Digits") {
    LASTRO_ASSIGN_OR_RETURN(bool single, step.GetBool("individual_digits", false));
    return single ? Expressions({R"(\p{N})"}) : Expressions();
  }
  LASTRO_ASSIGN_OR_RETURN(std::string behavior, step.GetString("behavior", ""));
  LASTRO_ASSIGN_OR_RETURN(bool inverted, step.GetBool("invert", false));
  if (type != "Split" || behavior != "Isolated" || inverted) return Expressions();
  LASTRO_ASSIGN_OR_RETURN(JsonValue pattern, step.Get("pattern"));
  if (!pattern.Has("Regex")) return Expressions();
  LASTRO_ASSIGN_OR_RETURN(std::string expression, pattern.GetString("Regex", ""));
  return Expressions({expression});
}

// Whether BPE has options that GGUF knows nothing of.
absl::StatusOr<bool> IsPlainBpe(const JsonValue& model) {
  LASTRO_ASSIGN_OR_RETURN(std::string type, model.GetString("type", "BPE"));
  LASTRO_ASSIGN_OR_RETURN(bool fallback, model.GetBool("byte_fallback", false));
  LASTRO_ASSIGN_OR_RETURN(std::string prefix, model.GetString("continuing_subword_prefix", ""));
  LASTRO_ASSIGN_OR_RETURN(std::string suffix, model.GetString("end_of_word_suffix", ""));
  return type == "BPE" && !fallback && prefix.empty() && suffix.empty() && !model.Has("dropout");
}

absl::Status PutToken(const std::string& where, int64_t id, absl::string_view token, Type type, VocabularySpec* spec) {
  if (id < 0 || id >= kMaxIds) return absl::InvalidArgumentError(absl::StrCat(where, ": token id ", id));
  const size_t at = static_cast<size_t>(id);
  if (at >= spec->tokens.size()) {
    spec->tokens.resize(at + 1);
    spec->types.resize(at + 1, Type::kUnused);
  }
  spec->tokens[at] = std::string(token);
  spec->types[at] = type;
  return absl::OkStatus();
}

absl::Status ReadTokens(const JsonValue& root, const JsonValue& model, VocabularySpec* spec) {
  LASTRO_ASSIGN_OR_RETURN(JsonValue vocabulary, model.Get("vocab"));
  if (!vocabulary.is_object()) return absl::InvalidArgumentError(absl::StrCat(vocabulary.path(), ": no object"));
  for (const auto field : simdjson::dom::object(vocabulary.element())) {
    LASTRO_ASSIGN_OR_RETURN(int64_t id, JsonValue(field.value, vocabulary.path()).AsInt());
    const absl::string_view token(field.key.data(), field.key.size());
    LASTRO_RETURN_IF_ERROR(PutToken(spec->source, id, token, Type::kNormal, spec));
  }
  if (!root.Has("added_tokens")) return absl::OkStatus();
  LASTRO_ASSIGN_OR_RETURN(JsonValue list, root.Get("added_tokens"));
  LASTRO_ASSIGN_OR_RETURN(std::vector<JsonValue> added, list.AsArray());
  for (const JsonValue& token : added) {
    LASTRO_ASSIGN_OR_RETURN(int64_t id, token.GetInt("id", -1));
    LASTRO_ASSIGN_OR_RETURN(std::string content, token.GetString("content", ""));
    LASTRO_ASSIGN_OR_RETURN(bool special, token.GetBool("special", false));
    LASTRO_RETURN_IF_ERROR(PutToken(spec->source, id, content, special ? Type::kControl : Type::kUserDefined, spec));
  }
  return absl::OkStatus();
}

absl::Status ReadMerges(const JsonValue& model, VocabularySpec* spec) {
  LASTRO_ASSIGN_OR_RETURN(JsonValue list, model.Get("merges"));
  LASTRO_ASSIGN_OR_RETURN(std::vector<JsonValue> merges, list.AsArray());
  for (const JsonValue& merge : merges) {
    if (merge.is_string()) {
      LASTRO_ASSIGN_OR_RETURN(absl::string_view text, merge.AsString());
      spec->merges.emplace_back(text);
      continue;
    }
    LASTRO_ASSIGN_OR_RETURN(std::vector<JsonValue> pair, merge.AsArray());
    if (pair.size() != 2) return absl::InvalidArgumentError(absl::StrCat(merge.path(), ": not a pair"));
    LASTRO_ASSIGN_OR_RETURN(absl::string_view left, pair[0].AsString());
    LASTRO_ASSIGN_OR_RETURN(absl::string_view right, pair[1].AsString());
    spec->merges.push_back(absl::StrCat(left, " ", right));
  }
  return absl::OkStatus();
}

// The name of the file's splitting rule, "" without one.
absl::StatusOr<std::string> RuleOf(const JsonValue& root, const JsonValue& model) {
  if (!root.Has("pre_tokenizer")) return std::string();
  std::string normalizer;
  if (root.Has("normalizer")) {
    LASTRO_ASSIGN_OR_RETURN(JsonValue step, root.Get("normalizer"));
    LASTRO_ASSIGN_OR_RETURN(normalizer, step.GetString("type", "?"));
    if (normalizer != "NFC") return std::string();
  }
  LASTRO_ASSIGN_OR_RETURN(JsonValue step, root.Get("pre_tokenizer"));
  LASTRO_ASSIGN_OR_RETURN(Expressions splits, SplitsOf(step, true));
  LASTRO_ASSIGN_OR_RETURN(bool ignore_merges, model.GetBool("ignore_merges", false));
  if (!splits.has_value()) return std::string();
  return tokenizers::NameOfPreTokenizer(*splits, ignore_merges, !normalizer.empty());
}

bool SplitAlike(const Tokenizer& a, const Tokenizer& b) {
  for (bool special : {false, true}) {
    for (const char* sample : kSamples) {
      if (a.Encode(sample, {special, special, {}}) != b.Encode(sample, {special, special, {}})) return false;
    }
  }
  return true;
}

}  // namespace

absl::StatusOr<std::optional<VocabularySpec>> ToGgufVocabulary(const std::string& tokenizer_json,
                                                               const std::string& name,
                                                               const Architecture& architecture) {
  const std::optional<VocabularySpec> nothing;
  LASTRO_ASSIGN_OR_RETURN(JsonDocument document, JsonDocument::Parse(tokenizer_json, name));
  const JsonValue root = document.root();
  LASTRO_ASSIGN_OR_RETURN(JsonValue model, root.Get("model"));
  LASTRO_ASSIGN_OR_RETURN(bool plain, IsPlainBpe(model));
  if (!plain || architecture.vocab_size > kMaxIds) return nothing;
  VocabularySpec spec;
  spec.source = name;
  spec.kind = VocabularySpec::Kind::kByteLevelBpe;
  LASTRO_ASSIGN_OR_RETURN(spec.pre_tokenizer, RuleOf(root, model));
  if (spec.pre_tokenizer.empty()) return nothing;
  LASTRO_RETURN_IF_ERROR(ReadTokens(root, model, &spec));
  LASTRO_RETURN_IF_ERROR(ReadMerges(model, &spec));
  const size_t ids = static_cast<size_t>(architecture.vocab_size);
  if (spec.tokens.size() > ids) return nothing;
  spec.tokens.resize(ids);
  spec.types.resize(ids, Type::kUnused);
  for (size_t id = 0; id < ids; ++id) {
    if (spec.types[id] == Type::kUnused) spec.tokens[id] = absl::StrCat("[PAD", id, "]");
  }
  LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<Tokenizer> original, Tokenizer::Parse(tokenizer_json, name));
  if (architecture.bos_id >= 0) spec.bos = architecture.bos_id;
  if (!architecture.eos_ids.empty()) spec.eos = architecture.eos_ids[0];
  const std::vector<int32_t> bare = original->Encode("a"), whole = original->Encode("a", {true, false, {}});
  spec.add_bos = spec.bos.has_value() && whole.front() == *spec.bos && bare.front() != *spec.bos;
  spec.add_eos = spec.eos.has_value() && whole.back() == *spec.eos && bare.back() != *spec.eos;
  absl::StatusOr<std::unique_ptr<Tokenizer>> written = tokenizers::BuildTokenizer(spec);
  if (!written.ok() || !SplitAlike(*original, **written)) return nothing;
  return spec;
}

}  // namespace lastro::engine
