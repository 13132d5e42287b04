#include "engine/tokenizers/added_tokens.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "engine/tokenizers/component.h"
#include "engine/tokenizers/unicode.h"

namespace lastro::engine::tokenizers {
namespace {

constexpr size_t kMaxAddedTokens = 65'536;
constexpr size_t kMaxAddedTokenBytes = 1024;

absl::StatusOr<AddedToken> ParseAddedToken(const JsonValue& entry) {
  AddedToken token;
  LASTRO_ASSIGN_OR_RETURN(JsonValue id, entry.Get("id"));
  LASTRO_ASSIGN_OR_RETURN(token.id, AsTokenId(id));
  LASTRO_ASSIGN_OR_RETURN(JsonValue content, entry.Get("content"));
  LASTRO_ASSIGN_OR_RETURN(absl::string_view text, content.AsString());
  token.content = std::string(text);
  if (token.content.empty() || token.content.size() > kMaxAddedTokenBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(content.path(), " must have between 1 and ", kMaxAddedTokenBytes, " bytes"));
  }
  LASTRO_ASSIGN_OR_RETURN(token.special, entry.GetBool("special", false));
  LASTRO_ASSIGN_OR_RETURN(token.normalized, entry.GetBool("normalized", !token.special));
  LASTRO_ASSIGN_OR_RETURN(token.lstrip, entry.GetBool("lstrip", false));
  LASTRO_ASSIGN_OR_RETURN(token.rstrip, entry.GetBool("rstrip", false));
  LASTRO_ASSIGN_OR_RETURN(token.single_word, entry.GetBool("single_word", false));
  return token;
}

// The character that ends at byte `end`. REQUIRES: end > 0.
DecodedRune RuneBefore(absl::string_view text, uint32_t end) {
  uint32_t begin = end - 1;
  while (begin > 0 && IsContinuationByte(text[begin])) --begin;
  return DecodeRune(text.substr(begin, end - begin));
}

bool StandsAlone(absl::string_view text, uint32_t begin, uint32_t end) {
  if (begin > 0 && IsWordRune(RuneBefore(text, begin).rune)) return false;
  return end == text.size() || !IsWordRune(DecodeRune(text.substr(end)).rune);
}

uint32_t SkipSpaceBefore(absl::string_view text, uint32_t at, uint32_t limit) {
  while (at > limit) {
    DecodedRune rune = RuneBefore(text, at);
    if (!IsWhitespace(rune.rune)) break;
    at -= static_cast<uint32_t>(rune.length);
  }
  return std::max(at, limit);
}

uint32_t SkipSpaceAfter(absl::string_view text, uint32_t at) {
  while (at < text.size()) {
    DecodedRune rune = DecodeRune(text.substr(at));
    if (!IsWhitespace(rune.rune)) break;
    at += static_cast<uint32_t>(rune.length);
  }
  return at;
}

}  // namespace

absl::StatusOr<std::vector<AddedToken>> ParseAddedTokens(const JsonValue& root) {
  std::vector<AddedToken> tokens;
  if (!root.Has("added_tokens")) return tokens;
  LASTRO_ASSIGN_OR_RETURN(JsonValue field, root.Get("added_tokens"));
  LASTRO_ASSIGN_OR_RETURN(std::vector<JsonValue> entries, field.AsArray());
  if (entries.size() > kMaxAddedTokens) {
    return absl::ResourceExhaustedError(
        absl::StrCat(field.path(), " has ", entries.size(), " entries; the limit is ", kMaxAddedTokens));
  }
  for (const JsonValue& entry : entries) {
    LASTRO_ASSIGN_OR_RETURN(AddedToken token, ParseAddedToken(entry));
    tokens.push_back(std::move(token));
  }
  return tokens;
}

AddedTokenFinder::AddedTokenFinder(const std::vector<AddedToken>& tokens, bool normalized, const Normalizer* normalizer)
    : nodes_(1) {
  // Of two tokens with the same text the first one wins, special ones before others, as in the reference.
  for (bool special : {true, false}) {
    for (const AddedToken& token : tokens) {
      if (token.special != special || token.normalized != normalized) continue;
      std::string content = token.content;
      if (normalized && normalizer != nullptr) {
        AlignedText text = AlignedText::FromInput(content);
        normalizer->Apply(&text);
        content = text.text();
      }
      tokens_.push_back(token);
      Insert(content, static_cast<int32_t>(tokens_.size()) - 1);
    }
  }
}

void AddedTokenFinder::Insert(absl::string_view content, int32_t token) {
  if (content.empty()) return;
  first_bytes_[static_cast<uint8_t>(content[0])] = true;
  uint64_t node = 0;
  for (char byte : content) {
    auto [edge, inserted] = edges_.emplace(node << 8 | static_cast<uint8_t>(byte), nodes_.size());
    if (inserted) nodes_.emplace_back();
    node = edge->second;
  }
  if (nodes_[node].token < 0) nodes_[node].token = token;
}

std::pair<int32_t, uint32_t> AddedTokenFinder::LongestAt(absl::string_view text) const {
  std::pair<int32_t, uint32_t> longest = {-1, 0};
  if (!first_bytes_[static_cast<uint8_t>(text[0])]) return longest;
  uint64_t node = 0;
  for (uint32_t i = 0; i < text.size(); ++i) {
    auto edge = edges_.find(node << 8 | static_cast<uint8_t>(text[i]));
    if (edge == edges_.end()) break;
    node = edge->second;
    if (nodes_[node].token >= 0) longest = {nodes_[node].token, i + 1};
  }
  return longest;
}

std::vector<Piece> AddedTokenFinder::Find(absl::string_view text, bool parse_special,
                                          absl::FunctionRef<bool(uint32_t, uint32_t)> special_allowed) const {
  std::vector<Piece> pieces;
  const uint32_t size = static_cast<uint32_t>(text.size());
  uint32_t covered = 0;  // up to where pieces reach
  for (uint32_t at = 0; at < size;) {
    auto [index, length] = LongestAt(text.substr(at));
    if (index < 0) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[static_cast<size_t>(index)];
    uint32_t begin = at, end = at + length;
    if (token.special && parse_special && !special_allowed(begin, end)) {
      ++at;  // another may begin inside it
      continue;
    }
    at = end;
    if (token.special && !parse_special) continue;
    if (token.single_word && !StandsAlone(text, begin, end)) continue;
    if (token.lstrip) begin = SkipSpaceBefore(text, begin, std::min(covered, begin));
    if (token.rstrip) end = SkipSpaceAfter(text, end);
    if (covered < begin) pieces.push_back({covered, begin, -1});
    pieces.push_back({begin, end, token.id});
    covered = end;
  }
  if (covered < size) pieces.push_back({covered, size, -1});
  return pieces;
}

bool IsApart(ByteRange range, const std::vector<TextRange>& others) {
  auto ends_after = std::upper_bound(others.begin(), others.end(), range.begin,
                                     [](uint32_t begin, const TextRange& other) { return begin < other.end; });
  return ends_after == others.end() || ends_after->begin >= range.end;
}

}  // namespace lastro::engine::tokenizers
