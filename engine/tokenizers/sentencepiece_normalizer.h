// The normalisation of SentencePiece: the rules of a charsmap, the longest first; white space collapsed and written as
// U+2581; a space put before (or after) the text. Const after construction and thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/tokenizers/charsmap.h"
#include "engine/tokenizers/piece_trie.h"
#include "engine/tokenizers/vocabulary_spec.h"

namespace lastro::engine::tokenizers {

inline constexpr absl::string_view kSpaceSymbol = "\u2581";

struct NormalizedText {
  std::string text;
  std::vector<uint32_t> source;  // [text.size() + 1]: the input byte that each byte, and the end, came from
};

class SentencePieceNormalizer {
 public:
  // `user_defined` are pieces that stay as they are; it must outlive this.
  static absl::StatusOr<SentencePieceNormalizer> Create(const VocabularySpec& spec, const PieceTrie* user_defined);

  // `input` is valid UTF-8. Empty when nothing is left of it.
  NormalizedText Normalize(absl::string_view input) const;

 private:
  struct Step {
    size_t length;  // bytes of input
    absl::string_view text;
  };
  Step NextStep(absl::string_view input) const;
  absl::string_view space() const { return escape_ ? kSpaceSymbol : absl::string_view(" "); }
  void Append(absl::string_view text, uint32_t source, NormalizedText* out) const;
  void TrimEnd(uint32_t* consumed, NormalizedText* out) const;

  std::optional<CharsMap> map_;
  const PieceTrie* user_defined_ = nullptr;
  bool dummy_prefix_ = true, collapse_ = true, escape_ = true, suffix_ = false;
};

}  // namespace lastro::engine::tokenizers
