// Sentence boundaries of English and Portuguese text: ICU's sentence breaks, corrected for abbreviations ("Dr.", "Sr.",
// "e.g.", "p. ex."), initials and list numbers. A line break always ends a sentence. Pure function, thread-safe.
#pragma once

#include <cstddef>
#include <vector>

#include "absl/strings/string_view.h"

namespace lastro {

// The half-open byte range [begin, end) of a text.
struct TextRange {
  size_t begin = 0;
  size_t end = 0;
};

// The sentences of `text` in order, without overlap; none is empty, starts or ends with white space. What lies between
// them is white space or a list bullet ("- ", "* ", "• "): bullets are left out of the sentence, list numbers ("3.")
// are kept in it. Malformed UTF-8 is treated as unknown letters.
std::vector<TextRange> SplitSentences(absl::string_view text);

}  // namespace lastro
