#include "engine/constrained/token_trie.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"

namespace lastro::engine::constrained {
namespace {

// The byte of a byte-fallback token such as "<0xE4>"; -1 for any other.
int FallbackByte(absl::string_view token) {
  uint32_t byte = 0;
  const bool shaped = token.size() == 6 && absl::StartsWith(token, "<0x") && token[5] == '>';
  return shaped && absl::SimpleHexAtoi(token.substr(3, 2), &byte) ? static_cast<int>(byte) : -1;
}

// A token that decodes to text of its own, for others to stand behind; -1 when there is none.
int32_t PlainToken(const Tokenizer& tokenizer) {
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    if (tokenizer.IsSpecial(id) || FallbackByte(tokenizer.IdToToken(id)) >= 0) continue;
    const std::string text = tokenizer.Decode({id});
    if (text.size() == 1 && absl::ascii_isalnum(static_cast<unsigned char>(text[0]))) return id;
  }
  return -1;
}

std::string BytesBehind(const Tokenizer& tokenizer, int32_t context, int32_t id) {
  if (tokenizer.IsSpecial(id)) return "";
  const std::string token = tokenizer.IdToToken(id);
  const std::string alone = context < 0 ? "" : tokenizer.Decode({context});
  const std::string text = context < 0 ? tokenizer.Decode({id}) : tokenizer.Decode({context, id});
  if (!absl::StartsWith(text, alone)) return "";
  const std::string bytes = text.substr(alone.size());
  const int fallback = FallbackByte(token);
  // A token that only spells "<0x..>" decodes to that.
  return fallback >= 0 && bytes != token ? std::string(1, static_cast<char>(fallback)) : bytes;
}

}  // namespace

std::string TokenBytes(const Tokenizer& tokenizer, int32_t id) {
  return BytesBehind(tokenizer, PlainToken(tokenizer), id);
}

TokenTrie::TokenTrie(const Tokenizer& tokenizer) {
  const int32_t context = PlainToken(tokenizer);
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    bytes_.push_back(BytesBehind(tokenizer, context, id));
    if (!bytes_.back().empty()) tokens_.push_back(id);
  }
  std::sort(tokens_.begin(), tokens_.end(), [&](int32_t a, int32_t b) {
    return std::pair(absl::string_view(BytesOf(a)), a) < std::pair(absl::string_view(BytesOf(b)), b);
  });
  nodes_.emplace_back();
  std::vector<uint32_t> path = {0};  // nodes of the bytes of the token before
  absl::string_view before;
  for (uint32_t i = 0; i < tokens_.size(); ++i) {
    const absl::string_view bytes = BytesOf(tokens_[i]);
    size_t shared = 0;
    while (shared < std::min(bytes.size(), before.size()) && bytes[shared] == before[shared]) ++shared;
    for (; path.size() > shared + 1; path.pop_back()) nodes_[path.back()].next = static_cast<uint32_t>(nodes_.size());
    for (size_t at = shared; at < bytes.size(); ++at) {
      path.push_back(static_cast<uint32_t>(nodes_.size()));
      nodes_.push_back({static_cast<uint8_t>(bytes[at]), 0, i, i});
    }
    nodes_[path.back()].last_token = i + 1;
    before = bytes;
  }
  for (uint32_t node : path) nodes_[node].next = static_cast<uint32_t>(nodes_.size());
}

}  // namespace lastro::engine::constrained
