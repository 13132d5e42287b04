#include "engine/tokenizer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "base/file.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "engine/tokenizers/json_tokenizer.h"
#include "engine/tokenizers/sentencepiece_model.h"
#include "engine/tokenizers/vocabulary_spec.h"

namespace lastro::engine {

namespace {

constexpr uint64_t kMaxModelBytes = 256u << 20;

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadSentencePiece(const std::string& path) {
  LASTRO_ASSIGN_OR_RETURN(std::string content, ReadFile(path, kMaxModelBytes));
  LASTRO_ASSIGN_OR_RETURN(tokenizers::VocabularySpec spec, tokenizers::ParseSentencePieceModel(content, path));
  return tokenizers::BuildTokenizer(std::move(spec));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> Tokenizer::Load(const std::string& path) {
  if (absl::EndsWith(path, ".model")) return LoadSentencePiece(path);
  LASTRO_ASSIGN_OR_RETURN(JsonDocument document, JsonDocument::ParseFile(path));
  return tokenizers::ParseTokenizer(document);
}

absl::StatusOr<std::unique_ptr<Tokenizer>> Tokenizer::Parse(absl::string_view tokenizer_json, const std::string& name) {
  LASTRO_ASSIGN_OR_RETURN(JsonDocument document, JsonDocument::Parse(tokenizer_json, name));
  return tokenizers::ParseTokenizer(document);
}

std::vector<int32_t> Tokenizer::Encode(absl::string_view text, const EncodeOptions& options) const {
  std::vector<Token> tokens = EncodeWithOffsets(text, options);
  std::vector<int32_t> ids;
  ids.reserve(tokens.size());
  for (const Token& token : tokens) ids.push_back(token.id);
  return ids;
}

namespace {

constexpr absl::string_view kReplacement = "\uFFFD";
constexpr size_t kMaxContextIds = 4;                    // the bytes of one character
constexpr size_t kMaxHeldIds = 2 * kMaxContextIds + 1;  // context, and a character that is not whole yet

// The shortest end of `ids` that decodes to whole characters: the next ids decode after it as they do after all of
// `ids`.
std::vector<int32_t> ContextOf(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  for (size_t count = 1; count <= std::min(kMaxContextIds, ids.size()); ++count) {
    std::vector<int32_t> context(ids.end() - static_cast<std::ptrdiff_t>(count), ids.end());
    std::string text = tokenizer.Decode(context);
    if (text.empty()) continue;  // a space that a decoder drops at the start of a text
    if (IsValidUtf8(text) && !absl::StartsWith(text, kReplacement)) return context;
  }
  return {ids.back()};
}

}  // namespace

std::string StreamDecoder::Push(int32_t id) {
  if (tokenizer_.IsSpecial(id)) return "";
  pending_.push_back(id);
  std::string text = tokenizer_.Decode(pending_);
  // A decoder of byte tokens writes U+FFFD while bytes are missing: wait for them as well.
  bool may_grow = absl::EndsWith(text, kReplacement) && pending_.size() < kMaxHeldIds;
  if (may_grow || text.size() < emitted_bytes_) return "";
  size_t complete = CompleteUtf8Prefix(text);
  if (complete <= emitted_bytes_) return "";
  std::string fresh = ReplaceInvalidUtf8(absl::string_view(text).substr(emitted_bytes_, complete - emitted_bytes_));
  emitted_bytes_ = complete;
  if (complete == text.size()) {
    pending_ = ContextOf(tokenizer_, pending_);
    emitted_bytes_ = tokenizer_.Decode(pending_).size();
  }
  return fresh;
}

std::string StreamDecoder::TakeRest() {
  std::string text = tokenizer_.Decode(pending_);
  pending_.clear();
  return text.substr(std::min(std::exchange(emitted_bytes_, 0), text.size()));
}

std::string StreamDecoder::Finish() { return ReplaceInvalidUtf8(TakeRest()); }

std::string StreamDecoder::FinishWhole() {
  const std::string rest = TakeRest();
  absl::string_view whole = rest;
  while (absl::ConsumeSuffix(&whole, kReplacement)) {
  }
  return ReplaceInvalidUtf8(whole.substr(0, CompleteUtf8Prefix(whole)));
}

}  // namespace lastro::engine
