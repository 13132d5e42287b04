// What is wrong with a text that cites and quotes passages, read plainly and without the code under test.
#pragma once

#include <unicode/uchar.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "base/utf8.h"

namespace lastro::testing {

inline bool IsWordRune(char32_t rune) {
  return u_isalnum(static_cast<UChar32>(rune)) || (U_GET_GC_MASK(static_cast<UChar32>(rune)) & U_GC_M_MASK) != 0;
}

inline std::vector<DecodedRune> RunesOf(absl::string_view text) {
  std::vector<DecodedRune> runes;
  for (; !text.empty(); text.remove_prefix(runes.back().length)) runes.push_back(DecodeRune(text));
  return runes;
}

// Whether text[at] begins a word, a mark between words, or is behind the last: by looking at what is around it.
inline bool IsBorder(const std::string& text, size_t at) {
  if (at == 0 || at == text.size()) return true;
  if ((text[at] & 0xC0) == 0x80) return false;
  const std::vector<DecodedRune> before = RunesOf(absl::string_view(text).substr(0, at));
  const std::vector<DecodedRune> behind = RunesOf(absl::string_view(text).substr(at));
  if (IsWordRune(before.back().rune) && IsWordRune(behind[0].rune)) return false;
  const auto digit = [](const std::vector<DecodedRune>& runes, size_t i) {
    return i < runes.size() && runes[i].rune < 0x80 && absl::ascii_isdigit(static_cast<unsigned char>(runes[i].rune));
  };
  const auto mark = [](const DecodedRune& rune) { return rune.rune == '.' || rune.rune == ','; };
  if (digit(before, before.size() - 1) && mark(behind[0]) && digit(behind, 1)) return false;
  return !(mark(before.back()) && digit(before, before.size() - 2) && digit(behind, 0));
}

// Whether some passage has `quote` from border to border; of an open one the end is not known yet.
inline bool IsVerbatim(const std::string& quote, bool open, const std::vector<std::string>& passages) {
  if (quote.empty()) return open;
  if (absl::StrContains(quote, '[')) return false;
  for (const std::string& passage : passages) {
    for (size_t at = passage.find(quote); at != std::string::npos; at = passage.find(quote, at + 1)) {
      if (IsBorder(passage, at) && (open || IsBorder(passage, at + quote.size()))) return true;
    }
  }
  return false;
}

// What is wrong with a text; "" when it cites passages 1 to passages.size() and quotes them only.
inline std::string FaultOf(const std::string& text, const std::vector<std::string>& passages, bool quotes) {
  const std::pair<const char*, const char*> marks[] = {{"\"", "\""}, {"“", "”"}, {"„", "“"}, {"«", "»"}};
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '[') {
      const size_t end = std::min(text.find_first_not_of("0123456789", at + 1), text.size());
      const std::string number = text.substr(at + 1, end - at - 1);
      if (end == text.size() && number.empty()) return "";  // cut
      if (end < text.size() && text[end] != ']') return "no citation: " + text.substr(at);
      if (number.empty() || number[0] == '0' || number.size() > 4 || std::stoul(number) > passages.size())
        return "no passage: " + number;
    }
    for (const auto& [open, close] : marks) {
      if (!quotes || text.compare(at, strlen(open), open) != 0) continue;
      const size_t begin = at + strlen(open), end = text.find(close, begin);
      const std::string quote = text.substr(begin, end == std::string::npos ? end : end - begin);
      if (!IsVerbatim(quote, end == std::string::npos, passages)) return "no quote: " + quote;
      if (end == std::string::npos) return "";
      at = end + strlen(close) - 1;
      break;
    }
  }
  return "";
}

}  // namespace lastro::testing
