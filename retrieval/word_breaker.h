// Splits text into words for lexical search. A word is a run of letters, marks and digits of any script (at most 64
// code points); an ideograph or kana is a word of its own. Words joined by single connectors, such as E-1042, v2.3 or
// foo_bar, and words that end with plus or number signs, such as C++ or F#, form a *compound* that is reported along with
// its first word. Malformed UTF-8 separates words. Linear in the
// text's length, no allocation. Not thread-safe.
#pragma once

#include <cstddef>

#include "absl/strings/string_view.h"

namespace lastro::retrieval {

struct Word {
  absl::string_view text;
  size_t begin = 0;  // byte range in the text given to the breaker
  size_t end = 0;
  absl::string_view compound;  // of the first word of a compound; else empty
};

class WordBreaker {
 public:
  // `text` must outlive the breaker and its words.
  explicit WordBreaker(absl::string_view text) : text_(text) {}

  // False at the end.
  bool Next(Word* word);

 private:
  size_t WordEnd(size_t begin) const;  // of the word that begins at `begin`; `begin` when none does
  size_t CompoundEnd(size_t first_end) const;
  size_t SuffixLength(size_t end) const;

  const absl::string_view text_;
  size_t position_ = 0;
  size_t compound_end_ = 0;  // words before it belong to a compound that was looked at already
};

}  // namespace lastro::retrieval
