#include "engine/hf_tokenizer.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "engine/tokenizers/sentencepiece_model.h"
#include "engine/tokenizers/vocabulary_spec.h"

namespace lastro::engine {
namespace {

using tokenizers::VocabularySpec;

constexpr uint64_t kMaxModelBytes = 256u << 20;

// What a class adds around a text unless its configuration says otherwise.
struct TokenizerClass {
  absl::string_view name;
  bool add_bos;
  bool add_eos;
};
constexpr TokenizerClass kClasses[] = {
    {"LlamaTokenizer", true, false}, {"GemmaTokenizer", true, false}, {"T5Tokenizer", false, true}};

absl::Status SetEnds(const std::string& path, const JsonValue& config, VocabularySpec* spec) {
  LASTRO_ASSIGN_OR_RETURN(std::string name, config.GetString("tokenizer_class", ""));
  const absl::string_view plain = absl::StripSuffix(name, "Fast");
  for (const TokenizerClass& known : kClasses) {
    if (known.name != plain) continue;
    LASTRO_ASSIGN_OR_RETURN(spec->add_bos, config.GetBool("add_bos_token", known.add_bos));
    LASTRO_ASSIGN_OR_RETURN(spec->add_eos, config.GetBool("add_eos_token", known.add_eos));
    return absl::OkStatus();
  }
  return absl::UnimplementedError(absl::StrCat(path, ": a SentencePiece model of class \"", name,
                                               "\" cannot be read; supported: LlamaTokenizer, GemmaTokenizer, "
                                               "T5Tokenizer. Save the tokenizer as tokenizer.json"));
}

// Tokens that tokenizer_config.json adds behind the model's own, by id: {"32000": {"content": "<x>", "special": true}}.
absl::Status AddTokens(const JsonValue& config, VocabularySpec* spec) {
  if (!config.Has("added_tokens_decoder")) return absl::OkStatus();
  LASTRO_ASSIGN_OR_RETURN(JsonValue added, config.Get("added_tokens_decoder"));
  if (!added.is_object()) return absl::InvalidArgumentError(absl::StrCat(added.path(), " must be an object"));
  std::map<int64_t, std::pair<std::string, bool>> by_id;
  for (const auto& [key, element] : simdjson::dom::object(added.element())) {
    const JsonValue token(element, absl::StrCat(added.path(), ".", std::string(key)));
    int64_t id = 0;
    if (!absl::SimpleAtoi(absl::string_view(key.data(), key.size()), &id) || id < 0) {
      return absl::InvalidArgumentError(absl::StrCat(token.path(), " is no token id"));
    }
    LASTRO_ASSIGN_OR_RETURN(std::string content, token.GetString("content", ""));
    LASTRO_ASSIGN_OR_RETURN(bool special, token.GetBool("special", false));
    by_id[id] = {std::move(content), special};
  }
  for (auto& [id, token] : by_id) {
    const int64_t size = static_cast<int64_t>(spec->tokens.size());
    if (id < size) continue;  // the model's own, named again
    if (id > size) {
      return absl::InvalidArgumentError(
          absl::StrCat(added.path(), " has the id ", id, " but none of the ids from ", size, " on before it"));
    }
    spec->tokens.push_back(std::move(token.first));
    spec->scores.push_back(0.0f);
    spec->types.push_back(token.second ? VocabularySpec::Type::kControl : VocabularySpec::Type::kUserDefined);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> FindHfTokenizer(const std::string& folder) {
  for (const char* name : {"tokenizer.json", "tokenizer.model", "spiece.model"}) {
    const std::string path = absl::StrCat(folder, "/", name);
    std::error_code error;
    if (std::filesystem::exists(path, error)) return path;
  }
  return absl::NotFoundError(absl::StrCat(folder, " has neither tokenizer.json nor tokenizer.model nor spiece.model"));
}

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadHfTokenizer(const std::string& path,
                                                           const std::optional<JsonValue>& config) {
  if (!absl::EndsWith(path, ".model")) return Tokenizer::Load(path);
  if (!config.has_value()) {
    return absl::NotFoundError(
        absl::StrCat("tokenizer_config.json is missing beside ", path, "; it says what the model's class is"));
  }
  LASTRO_ASSIGN_OR_RETURN(std::string content, ReadFile(path, kMaxModelBytes));
  LASTRO_ASSIGN_OR_RETURN(VocabularySpec spec, tokenizers::ParseSentencePieceModel(content, path));
  LASTRO_RETURN_IF_ERROR(SetEnds(path, *config, &spec));
  LASTRO_RETURN_IF_ERROR(AddTokens(*config, &spec));
  return tokenizers::BuildTokenizer(std::move(spec));
}

}  // namespace lastro::engine
