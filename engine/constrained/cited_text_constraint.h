// CitedTextConstraint: free text that cites numbered passages. "[" opens a citation: the number of a passage, without
// leading zeros, and "]" follow, and nothing else. With verbatim quotes, what stands between quotation marks ("x",
// “x”, „x“ and «x») is a run of one of the passages, byte for byte and from word to word (quotable_text.h); the text
// does not end before the marks are closed. A quote holds neither "[" nor its own closing mark, so that no passage
// spells a citation or ends a quote. All text is valid UTF-8, and no special token but those that end a text is in it.
//
// A text that is all quote is one such run of whole sentences or lines, a space before it perhaps, without marks or
// citations; or it is empty, where that is ten times likelier than all texts together.
//
// What tokens the text is made of does not matter: states are of bytes. A token is allowed only where some tokens of
// the vocabulary lead on from behind it, so that a text never comes to a dead end.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/constrained/token_constraint.h"
#include "engine/constrained/token_trie.h"

namespace lastro::engine::constrained {

// What of a vocabulary all cited texts need, gathered once. Const, thread-safe.
class CitedVocabulary {
 public:
  // `trie` must outlive the object.
  explicit CitedVocabulary(const TokenTrie& trie);

  const TokenTrie& trie() const { return trie_; }
  // Ids of tokens that stand for no bytes.
  const std::vector<int32_t>& silent() const { return silent_; }
  // Ids of tokens that free text is not indifferent to: with "[" or a byte of a quotation mark, or with a part of a
  // code point.
  const std::vector<int32_t>& careful() const { return careful_; }
  // Whether each byte that goes on with a code point is a token.
  bool completes_code_points() const { return completes_code_points_; }
  bool HasToken(absl::string_view bytes) const;
  // Whether each of `bytes` is a token.
  bool HasEachByte(absl::string_view bytes) const;
  // Whether tokens spell exactly the code point `bytes`, at once or byte by byte.
  bool Spells(absl::string_view bytes) const {
    return HasToken(bytes) || (completes_code_points_ && HasEachByte(bytes));
  }
  // The trie's child of `node` by `byte`; 0 where it has none.
  uint32_t Child(uint32_t node, uint8_t byte) const;

 private:
  const TokenTrie& trie_;
  std::vector<int32_t> silent_;
  std::vector<int32_t> careful_;
  bool completes_code_points_ = true;
};

struct CitedTextOptions {
  int passages = 0;  // cited by the numbers from 1 to this; 0: no "[" at all
  // With verbatim_quotes: their texts.
  bool verbatim_quotes = false;
  absl::Span<const std::string> texts = {};  // copied
  bool all_quote = false;                    // REQUIRES: verbatim_quotes
};

// A constraint for one text; `vocabulary` must outlive it. REQUIRES: 0 <= passages <= 10,000, texts below 4 GiB.
std::unique_ptr<TokenConstraint> NewCitedTextConstraint(const CitedVocabulary& vocabulary,
                                                        const CitedTextOptions& options);

}  // namespace lastro::engine::constrained
