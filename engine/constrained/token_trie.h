// TokenTrie: the bytes of a vocabulary's tokens as a trie, so that tokens with a common beginning are looked at once.
// Const once built, thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/tokenizer.h"

namespace lastro::engine::constrained {

class TokenTrie {
 public:
  struct Node {
    uint8_t byte = 0;          // that leads here
    uint32_t next = 0;         // in depth-first order, the first node that is not below this one
    uint32_t first_token = 0;  // tokens()[first_token, last_token) end here
    uint32_t last_token = 0;
  };

  // Special tokens, and those that stand for no bytes, are left out.
  explicit TokenTrie(const Tokenizer& tokenizer);

  const std::vector<Node>& nodes() const { return nodes_; }  // depth first; nodes()[0] is the root
  const std::vector<int32_t>& tokens() const { return tokens_; }
  // "" for a token left out.
  const std::string& BytesOf(int32_t id) const { return bytes_[static_cast<size_t>(id)]; }
  int vocab_size() const { return static_cast<int>(bytes_.size()); }

 private:
  std::vector<std::string> bytes_;
  std::vector<Node> nodes_;
  std::vector<int32_t> tokens_;
};

// The bytes that token `id` adds behind other text; "" for special tokens and those that add none.
std::string TokenBytes(const Tokenizer& tokenizer, int32_t id);

}  // namespace lastro::engine::constrained
