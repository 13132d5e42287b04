// Added tokens: strings that are found in the text before anything else looks at it, leftmost and longest first. Const
// once built; thread-safe for reads.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/json.h"
#include "engine/tokenizer.h"
#include "engine/tokenizers/normalizer.h"
#include "engine/tokenizers/segment.h"

namespace lastro::engine::tokenizers {

struct AddedToken {
  int32_t id = 0;
  std::string content;
  bool special = false;
  bool normalized = false;   // looked for in the normalised text
  bool lstrip = false;       // takes the white space before it along
  bool rstrip = false;       // and after it
  bool single_word = false;  // only where no word character touches it
};

// The array "added_tokens" of the file; at most 65,536, of at most 1,024 bytes each.
absl::StatusOr<std::vector<AddedToken>> ParseAddedTokens(const JsonValue& root);

// True when `range` touches none of `others`, which are in order and apart.
bool IsApart(ByteRange range, const std::vector<TextRange>& others);

// Finds the added tokens of one kind: those looked for in the raw text, or those in normalised text.
class AddedTokenFinder {
 public:
  // Takes the tokens whose `normalized` equals the argument; with `normalized`, their contents pass `normalizer` (may
  // be null) first.
  AddedTokenFinder(const std::vector<AddedToken>& tokens, bool normalized, const Normalizer* normalizer);

  // Covers text [0, size) with pieces; special tokens are found only if `parse_special`, and only where
  // `special_allowed(begin, end)` holds of their bytes.
  std::vector<Piece> Find(absl::string_view text, bool parse_special,
                          absl::FunctionRef<bool(uint32_t, uint32_t)> special_allowed) const;

 private:
  struct Node {
    int32_t token = -1;  // index into tokens_ of the token that ends here
  };
  void Insert(absl::string_view content, int32_t token);
  // The longest token at the start of `text`: its index (or -1) and length.
  std::pair<int32_t, uint32_t> LongestAt(absl::string_view text) const;

  std::vector<AddedToken> tokens_;
  std::vector<Node> nodes_;                        // of the trie; 0 is the root
  absl::flat_hash_map<uint64_t, uint32_t> edges_;  // node << 8 | byte -> node
  std::array<bool, 256> first_bytes_{};
};

}  // namespace lastro::engine::tokenizers
