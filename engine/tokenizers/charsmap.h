// CharsMap: the "precompiled charsmap" of SentencePiece, a table of rewriting rules (prefix -> replacement) that
// carries a normalisation such as NFKC. Const after parsing and thread-safe; owns a copy of the table.
//
// Layout of the blob, little-endian: u32 size of the trie in bytes; the trie, an array of u32 units; the replacements,
// each ended by a zero byte, which the trie's values point into. The trie is a double array as darts-clone writes it. A
// unit holds the label of the edge that leads to it (bits 0-7), whether a value follows (bit 8) and the offset to its
// children (bits 10-30, shifted left by 8 when bit 9 is set); a unit with bit 31 set holds a value instead.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lastro::engine::tokenizers {

class CharsMap {
 public:
  // A rule that applies at the start of a text: the bytes it takes and what it puts in their place (a view of this).
  struct Rewrite {
    size_t length = 0;
    absl::string_view replacement;
  };

  // Reads the blob; `where` opens error messages. INVALID_ARGUMENT: the sizes do not fit; a replacement is not ended or
  // is not UTF-8. RESOURCE_EXHAUSTED: more than 64 MiB.
  static absl::StatusOr<CharsMap> Parse(absl::string_view blob, absl::string_view where);

  // The rule with the shortest, or the longest, prefix that `text` starts with. A trie that leads outside its array has
  // no rule there.
  std::optional<Rewrite> Shortest(absl::string_view text) const { return Find(text, /*longest=*/false); }
  std::optional<Rewrite> Longest(absl::string_view text) const { return Find(text, /*longest=*/true); }

 private:
  std::optional<Rewrite> Find(absl::string_view text, bool longest) const;
  std::optional<absl::string_view> ReplacementAt(uint32_t value) const;

  std::vector<uint32_t> units_;
  std::string replacements_;  // ends with a zero byte
};

}  // namespace lastro::engine::tokenizers
