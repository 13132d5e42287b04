#include "services/cli/text_width.h"

#include <unicode/uchar.h>

#include <algorithm>

#include "absl/strings/str_split.h"
#include "base/check.h"
#include "base/utf8.h"

namespace lastro::services {
namespace {

constexpr char32_t kZeroWidthJoiner = 0x200D;
constexpr absl::string_view kEllipsis = "…";

bool IsWide(char32_t rune) {
  int width = u_getIntPropertyValue(static_cast<UChar32>(rune), UCHAR_EAST_ASIAN_WIDTH);
  return width == U_EA_WIDE || width == U_EA_FULLWIDTH;
}

bool IsZeroWidth(char32_t rune) {
  constexpr uint32_t kMask = U_GC_MN_MASK | U_GC_ME_MASK | U_GC_CF_MASK | U_GC_CC_MASK | U_GC_ZL_MASK | U_GC_ZP_MASK;
  bool soft_hyphen = rune == 0xAD;
  bool hangul_filling = rune >= 0x1160 && rune <= 0x11FF;  // medial vowels and final consonants join the one before
  return !soft_hyphen && ((U_GET_GC_MASK(static_cast<UChar32>(rune)) & kMask) != 0 || hangul_filling);
}

bool IsDangerous(char32_t rune) {
  bool control = rune < 0x20 || (rune >= 0x7F && rune < 0xA0);
  bool bidirectional = (rune >= 0x202A && rune <= 0x202E) || (rune >= 0x2066 && rune <= 0x2069);
  return control || bidirectional;
}

// Walks the code points of a line, telling the columns of each.
class Columns {
 public:
  int Next(char32_t rune) {
    int width = after_joiner_ ? 0 : RuneWidth(rune);
    after_joiner_ = rune == kZeroWidthJoiner;
    return width;
  }

 private:
  bool after_joiner_ = false;
};

// The length in bytes of the longest prefix of `text` that has at most `columns` columns.
size_t PrefixOfWidth(absl::string_view text, int columns) {
  Columns counter;
  size_t length = 0;
  while (length < text.size()) {
    DecodedRune decoded = DecodeRune(text.substr(length));
    columns -= counter.Next(decoded.rune);
    if (columns < 0) break;
    length += decoded.length;
  }
  return length;
}

// Breaks one word that is wider than a line; at least one code point a line.
void BreakWord(absl::string_view word, int columns, std::vector<std::string>* lines, std::string* line) {
  while (DisplayWidth(word) > columns) {
    size_t length = std::max(PrefixOfWidth(word, columns), DecodeRune(word).length);
    lines->emplace_back(word.substr(0, length));
    word.remove_prefix(length);
  }
  *line = std::string(word);
}

void WrapParagraph(absl::string_view paragraph, int columns, std::vector<std::string>* lines) {
  std::string line;
  for (absl::string_view word : absl::StrSplit(paragraph, ' ', absl::SkipEmpty())) {
    if (!line.empty() && DisplayWidth(line) + 1 + DisplayWidth(word) <= columns) {
      line.append(" ").append(word.data(), word.size());
      continue;
    }
    if (!line.empty()) lines->push_back(std::move(line));
    BreakWord(word, columns, lines, &line);
  }
  lines->push_back(std::move(line));
}

}  // namespace

int RuneWidth(char32_t rune) {
  if (rune >= 0x20 && rune < 0x7F) return 1;
  if (IsZeroWidth(rune)) return 0;
  return IsWide(rune) ? 2 : 1;
}

int DisplayWidth(absl::string_view text) {
  Columns counter;
  int width = 0;
  while (!text.empty()) {
    DecodedRune decoded = DecodeRune(text);
    width += counter.Next(decoded.rune);
    text.remove_prefix(decoded.length);
  }
  return width;
}

std::string Printable(absl::string_view text, bool keep_lines) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    DecodedRune decoded = DecodeRune(text);
    char32_t rune = decoded.rune;
    if (rune == '\n' || rune == '\r' || rune == '\t') {
      rune = rune == '\n' && keep_lines ? '\n' : ' ';
    } else if (IsDangerous(rune)) {
      rune = kReplacementCharacter;
    }
    AppendRune(rune, &result);
    text.remove_prefix(decoded.length);
  }
  return result;
}

std::string OneLine(absl::string_view text) {
  std::string printable = Printable(text);
  std::string result;
  for (absl::string_view word : absl::StrSplit(printable, ' ', absl::SkipEmpty())) {
    if (!result.empty()) result.push_back(' ');
    result.append(word.data(), word.size());
  }
  return result;
}

std::string CutToWidth(absl::string_view text, int columns) {
  LASTRO_CHECK(columns >= 1);
  if (DisplayWidth(text) <= columns) return std::string(text);
  std::string result(text.substr(0, PrefixOfWidth(text, columns - 1)));
  return result.append(kEllipsis.data(), kEllipsis.size());
}

std::vector<std::string> WrapText(absl::string_view text, int columns) {
  std::vector<std::string> lines;
  for (absl::string_view paragraph : absl::StrSplit(text, '\n')) {
    if (columns > 0) {
      WrapParagraph(paragraph, columns, &lines);
    } else {
      lines.emplace_back(paragraph);
    }
  }
  return lines;
}

int RowsOnTerminal(absl::string_view text, int columns) {
  LASTRO_CHECK(columns >= 1);
  int rows = 1;
  int column = 0;
  Columns counter;
  while (!text.empty()) {
    DecodedRune decoded = DecodeRune(text);
    text.remove_prefix(decoded.length);
    int width = decoded.rune == '\n' ? columns + 1 : counter.Next(decoded.rune);
    if (column + width > columns) {
      ++rows;
      column = 0;
    }
    column += decoded.rune == '\n' ? 0 : width;
  }
  return rows;
}

}  // namespace lastro::services
