#include "engine/tokenizers/vocabulary_spec.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "engine/tokenizers/component.h"

namespace lastro::engine::tokenizers {
namespace {

using Kind = VocabularySpec::Kind;

template <typename... Parts>
absl::Status Invalid(const VocabularySpec& spec, const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(spec.source, ": ", parts...));
}

bool IsSentencePiece(Kind kind) { return kind == Kind::kMergedPieces || kind == Kind::kUnigram; }

absl::Status CheckTokens(const VocabularySpec& spec) {
  if (spec.tokens.empty() || spec.tokens.size() > kMaxVocabulary) {
    return Invalid(spec, "a vocabulary of ", spec.tokens.size(), " tokens; expected 1 to ", kMaxVocabulary);
  }
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    const std::string& token = spec.tokens[id];
    if (token.size() > kMaxTokenBytes) {
      return Invalid(spec, "token ", id, " has ", token.size(), " bytes; the limit is ", kMaxTokenBytes);
    }
    if (!IsValidUtf8(token)) return Invalid(spec, "token ", id, " is not UTF-8");
  }
  return absl::OkStatus();
}

absl::Status CheckScores(const VocabularySpec& spec) {
  if (IsSentencePiece(spec.kind) && spec.scores.size() != spec.tokens.size()) {
    return Invalid(spec, spec.scores.size(), " scores for ", spec.tokens.size(), " tokens");
  }
  for (size_t id = 0; id < spec.scores.size(); ++id) {
    if (!std::isfinite(spec.scores[id])) return Invalid(spec, "the score of token ", id, " is not finite");
  }
  return absl::OkStatus();
}

absl::Status CheckTypes(const VocabularySpec& spec) {
  if (!spec.types.empty() && spec.types.size() != spec.tokens.size()) {
    return Invalid(spec, spec.types.size(), " token types for ", spec.tokens.size(), " tokens");
  }
  for (size_t id = 0; id < spec.types.size(); ++id) {
    const int type = static_cast<int>(spec.types[id]);
    if (type < 1 || type > 6) return Invalid(spec, "the type of token ", id, " is ", type, "; expected 1 to 6");
  }
  return absl::OkStatus();
}

absl::Status CheckId(const VocabularySpec& spec, absl::string_view name, std::optional<int32_t> id, bool needed) {
  if (needed && !id.has_value()) return Invalid(spec, name, " is to be added, but the file names no such token");
  if (!id.has_value()) return absl::OkStatus();
  if (*id >= 0 && static_cast<size_t>(*id) < spec.tokens.size()) return absl::OkStatus();
  return Invalid(spec, "the id of ", name, " is ", *id, "; the vocabulary has ", spec.tokens.size(), " tokens");
}

// Files from converters have empty tokens where a vocabulary has a gap.
void NameEmptyTokens(VocabularySpec* spec) {
  for (size_t id = 0; id < spec->tokens.size(); ++id) {
    if (!spec->tokens[id].empty()) continue;
    spec->tokens[id] = absl::StrCat("[EMPTY_", id, "]");
    spec->types.resize(spec->tokens.size(), VocabularySpec::Type::kNormal);
    spec->types[id] = VocabularySpec::Type::kUnused;
  }
}

}  // namespace

absl::StatusOr<Kind> VocabularyKind(absl::string_view gguf_name) {
  if (gguf_name == "llama") return Kind::kMergedPieces;
  if (gguf_name == "t5") return Kind::kUnigram;
  if (gguf_name == "gpt2") return Kind::kByteLevelBpe;
  if (gguf_name == "bert") return Kind::kWordPiece;
  return absl::UnimplementedError(
      absl::StrCat("tokenizer.ggml.model is \"", gguf_name, "\"; supported are llama, t5, gpt2 and bert"));
}

absl::StatusOr<std::unique_ptr<Tokenizer>> BuildTokenizer(VocabularySpec spec) {
  LASTRO_RETURN_IF_ERROR(CheckTokens(spec));
  LASTRO_RETURN_IF_ERROR(CheckScores(spec));
  LASTRO_RETURN_IF_ERROR(CheckTypes(spec));
  LASTRO_RETURN_IF_ERROR(CheckId(spec, "BOS", spec.bos, spec.add_bos));
  LASTRO_RETURN_IF_ERROR(CheckId(spec, "EOS", spec.eos, spec.add_eos));
  LASTRO_RETURN_IF_ERROR(CheckId(spec, "the unknown token", spec.unknown, false));
  NameEmptyTokens(&spec);
  return IsSentencePiece(spec.kind) ? BuildSentencePiece(std::move(spec)) : BuildFromTokenizerJson(spec);
}

}  // namespace lastro::engine::tokenizers
