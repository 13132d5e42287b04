#include "services/answer/words.h"

#include <unicode/uchar.h>

#include <algorithm>

#include "base/utf8.h"

namespace lastro::services::answer {
namespace {

bool IsWordRune(char32_t rune) {
  UChar32 c = static_cast<UChar32>(rune);
  return u_isalnum(c) || (U_GET_GC_MASK(c) & U_GC_M_MASK) != 0;
}

}  // namespace

bool HasCapital(absl::string_view text) {
  if (text.empty()) return false;
  const DecodedRune first = DecodeRune(text);
  return first.valid && u_isupper(static_cast<UChar32>(first.rune));
}

bool HasDigit(absl::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::vector<Word> SplitWords(absl::string_view text) {
  std::vector<Word> words;
  bool inside = false;
  for (size_t at = 0; at < text.size();) {
    DecodedRune decoded = DecodeRune(text.substr(at));
    bool in_word = decoded.valid && IsWordRune(decoded.rune);
    if (in_word) {
      if (!inside) words.push_back({"", at, at});
      AppendRune(static_cast<char32_t>(u_foldCase(static_cast<UChar32>(decoded.rune), U_FOLD_CASE_DEFAULT)),
                 &words.back().folded);
      words.back().end = at + decoded.length;
    }
    inside = in_word;
    at += decoded.length;
  }
  return words;
}

}  // namespace lastro::services::answer
