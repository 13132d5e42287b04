#include "retrieval/word_breaker.h"

#include <unicode/uchar.h>
#include <unicode/uscript.h>

#include "base/utf8.h"

namespace lastro::retrieval {
namespace {

constexpr int kMaxWordRunes = 64;
constexpr size_t kMaxCompoundBytes = 128;
constexpr size_t kMaxSuffixBytes = 2;
constexpr absl::string_view kConnectors = "-_.:/@&+#";

enum class RuneClass { kOther, kStarts, kContinues, kAlone };

RuneClass ClassifyAscii(char32_t rune) {
  bool alphanumeric = (rune >= '0' && rune <= '9') || (rune >= 'a' && rune <= 'z') || (rune >= 'A' && rune <= 'Z');
  return alphanumeric ? RuneClass::kStarts : RuneClass::kOther;
}

bool IsKana(UChar32 rune) {
  UErrorCode error = U_ZERO_ERROR;
  UScriptCode script = uscript_getScript(rune, &error);
  return script == USCRIPT_HIRAGANA || script == USCRIPT_KATAKANA;
}

bool IsJoiner(char32_t rune) { return rune == 0x00AD || rune == 0x200C || rune == 0x200D; }  // soft hyphen, ZWNJ, ZWJ

RuneClass Classify(char32_t rune) {
  if (rune < 0x80) return ClassifyAscii(rune);
  UChar32 code = static_cast<UChar32>(rune);
  uint32_t type = U_GET_GC_MASK(code);
  if ((type & U_GC_M_MASK) != 0 || IsJoiner(rune)) return RuneClass::kContinues;
  if ((type & (U_GC_L_MASK | U_GC_N_MASK)) == 0) return RuneClass::kOther;
  if (rune >= 0x2E80 && (u_hasBinaryProperty(code, UCHAR_IDEOGRAPHIC) || IsKana(code))) return RuneClass::kAlone;
  return RuneClass::kStarts;
}

bool IsConnector(char c) { return kConnectors.find(c) != absl::string_view::npos; }

}  // namespace

size_t WordBreaker::WordEnd(size_t begin) const {
  size_t end = begin;
  for (int runes = 0; end < text_.size() && runes < kMaxWordRunes; ++runes) {
    DecodedRune decoded = DecodeRune(text_.substr(end));
    RuneClass kind = decoded.valid ? Classify(decoded.rune) : RuneClass::kOther;
    if (kind == RuneClass::kOther || (runes == 0 && kind == RuneClass::kContinues)) break;
    if (kind == RuneClass::kAlone) return runes == 0 ? end + decoded.length : end;
    end += decoded.length;
  }
  return end;
}

size_t WordBreaker::CompoundEnd(size_t first_end) const {
  size_t end = first_end;
  while (end + 1 < text_.size() && IsConnector(text_[end])) {
    size_t next = WordEnd(end + 1);
    if (next == end + 1) break;
    end = next;
  }
  return end + SuffixLength(end);
}

// "++" and "#" behind a word, as in C++ and C#, are its last characters, unless they go on.
size_t WordBreaker::SuffixLength(size_t end) const {
  size_t length = 0;
  while (end + length < text_.size() && (text_[end + length] == '+' || text_[end + length] == '#')) ++length;
  return length <= kMaxSuffixBytes ? length : 0;
}

bool WordBreaker::Next(Word* word) {
  size_t end = WordEnd(position_);
  while (end == position_ && position_ < text_.size()) {
    position_ += DecodeRune(text_.substr(position_)).length;
    end = WordEnd(position_);
  }
  if (position_ >= text_.size()) return false;
  *word = Word{text_.substr(position_, end - position_), position_, end, {}};
  if (position_ >= compound_end_) {
    compound_end_ = CompoundEnd(end);
    size_t length = compound_end_ - position_;
    if (compound_end_ > end && length <= kMaxCompoundBytes) word->compound = text_.substr(position_, length);
  }
  position_ = end;
  return true;
}

}  // namespace lastro::retrieval
