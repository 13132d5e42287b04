// Words of a text with their byte ranges, for comparing wordings. Pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace lastro::services::answer {

struct Word {
  std::string folded;  // case-folded letters and digits
  uint64_t begin = 0;
  uint64_t end = 0;
};

// Whether the text begins with an upper-case letter.
bool HasCapital(absl::string_view text);

bool HasDigit(absl::string_view text);  // of ASCII

// Maximal runs of letters, digits and combining marks.
std::vector<Word> SplitWords(absl::string_view text);

}  // namespace lastro::services::answer
