// The byte-level and WordPiece vocabularies of GGUF files: each was made from a tokenizer.json, and is read by writing
// that file again, so that one implementation serves both.
#include <optional>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "engine/tokenizers/json_text.h"
#include "engine/tokenizers/json_tokenizer.h"
#include "engine/tokenizers/pre_tokenizer_names.h"
#include "engine/tokenizers/vocabulary_spec.h"

namespace lastro::engine::tokenizers {
namespace {

using Type = VocabularySpec::Type;
constexpr uint64_t kMaxJsonBytes = 1u << 30;
constexpr absl::string_view kWordStart = "\u2581";

Type TypeOf(const VocabularySpec& spec, size_t id) { return spec.types.empty() ? Type::kNormal : spec.types[id]; }

bool IsAdded(Type type) { return type == Type::kControl || type == Type::kUnknown || type == Type::kUserDefined; }

// The token as tokenizer.json has it: GGUF marks the starts of words, BERT their continuations.
std::string Respell(const VocabularySpec& spec, size_t id) {
  absl::string_view token = spec.tokens[id];
  if (spec.kind != VocabularySpec::Kind::kWordPiece || IsAdded(TypeOf(spec, id))) return std::string(token);
  if (absl::StartsWith(token, kWordStart)) return std::string(token.substr(kWordStart.size()));
  if (absl::StartsWith(token, "[") && absl::EndsWith(token, "]")) return std::string(token);
  return absl::StrCat("##", token);
}

std::string AddedTokens(const VocabularySpec& spec) {
  std::string json;
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    if (!IsAdded(TypeOf(spec, id))) continue;
    absl::StrAppend(&json, json.empty() ? "" : ",", R"({"id":)", id, R"(,"content":)", JsonString(spec.tokens[id]),
                    R"(,"normalized":false,"special":)", TypeOf(spec, id) == Type::kUserDefined ? "false}" : "true}");
  }
  return json;
}

std::string Vocabulary(const VocabularySpec& spec) {
  std::string json;
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    absl::StrAppend(&json, id == 0 ? "" : ",", JsonString(Respell(spec, id)), ":", id);
  }
  return json;
}

std::string Merges(const VocabularySpec& spec) {
  std::string json;
  for (const std::string& merge : spec.merges) absl::StrAppend(&json, json.empty() ? "" : ",", JsonString(merge));
  return json;
}

std::string PostProcessor(const VocabularySpec& spec) {
  std::string single = R"({"Sequence":{"id":"A"}})", table;
  if (spec.add_bos) {
    single = absl::StrCat(R"({"SpecialToken":{"id":"bos"}},)", single);
    absl::StrAppend(&table, R"("bos":{"ids":[)", *spec.bos, "]}");
  }
  if (spec.add_eos) {
    absl::StrAppend(&single, R"(,{"SpecialToken":{"id":"eos"}})");
    absl::StrAppend(&table, table.empty() ? "" : ",", R"("eos":{"ids":[)", *spec.eos, "]}");
  }
  return absl::StrCat(R"({"type":"TemplateProcessing","single":[)", single, R"(],"special_tokens":{)", table, "}}");
}

absl::StatusOr<std::string> ByteLevelJson(const VocabularySpec& spec) {
  LASTRO_ASSIGN_OR_RETURN(NamedPreTokenizer named, FindPreTokenizer(spec.pre_tokenizer, spec.source));
  return absl::StrCat(R"("normalizer":)", named.normalizer, R"(,"pre_tokenizer":)", named.pre_tokenizer,
                      R"(,"decoder":{"type":"ByteLevel"},"model":{"type":"BPE","ignore_merges":)",
                      named.ignore_merges ? "true" : "false", R"(,"vocab":{)", Vocabulary(spec), R"(},"merges":[)",
                      Merges(spec), "]}");
}

absl::StatusOr<std::string> WordPieceJson(const VocabularySpec& spec) {
  std::optional<int32_t> unknown = spec.unknown;
  for (size_t id = 0; id < spec.tokens.size() && !unknown.has_value(); ++id) {
    if (TypeOf(spec, id) == Type::kUnknown) unknown = static_cast<int32_t>(id);
  }
  if (!unknown.has_value()) return absl::InvalidArgumentError(absl::StrCat(spec.source, ": no unknown token"));
  return absl::StrCat(R"("normalizer":{"type":"BertNormalizer"},"pre_tokenizer":{"type":"BertPreTokenizer"},)",
                      R"("decoder":{"type":"WordPiece"},"model":{"type":"WordPiece","unk_token":)",
                      JsonString(Respell(spec, static_cast<size_t>(*unknown))), R"(,"vocab":{)", Vocabulary(spec),
                      "}}");
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> BuildFromTokenizerJson(const VocabularySpec& spec) {
  const bool byte_level = spec.kind == VocabularySpec::Kind::kByteLevelBpe;
  LASTRO_ASSIGN_OR_RETURN(std::string model, byte_level ? ByteLevelJson(spec) : WordPieceJson(spec));
  const std::string json = absl::StrCat(R"({"added_tokens":[)", AddedTokens(spec), R"(],"post_processor":)",
                                        PostProcessor(spec), ",", model, "}");
  LASTRO_ASSIGN_OR_RETURN(JsonDocument document, JsonDocument::Parse(json, spec.source, kMaxJsonBytes));
  return ParseTokenizer(document);
}

}  // namespace lastro::engine::tokenizers
