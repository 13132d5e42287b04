#include "engine/tokenizers/unicode.h"

#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/uscript.h>

#include "base/check.h"
#include "base/utf8.h"

namespace lastro::engine::tokenizers {
namespace {

constexpr int kBertUnicodeVersion = 8;
constexpr int kNormalizationUnicodeVersion = 9;
constexpr int kScriptUnicodeVersion = 9;

bool AssignedBy(char32_t rune, int version) {
  UVersionInfo age;
  u_charAge(static_cast<UChar32>(rune), age);
  return age[0] != 0 && age[0] <= version;
}

bool InCategories(char32_t rune, uint32_t mask) { return (U_GET_GC_MASK(static_cast<UChar32>(rune)) & mask) != 0; }

bool IsAsciiPunctuation(char32_t rune) {
  return (rune >= '!' && rune <= '/') || (rune >= ':' && rune <= '@') || (rune >= '[' && rune <= '`') ||
         (rune >= '{' && rune <= '~');
}

// ICU's instances live for ever and are immutable.
const icu::Normalizer2& Instance(bool compatibility) {
  UErrorCode error = U_ZERO_ERROR;
  const icu::Normalizer2* instance =
      compatibility ? icu::Normalizer2::getNFKCInstance(error) : icu::Normalizer2::getNFCInstance(error);
  LASTRO_CHECK(U_SUCCESS(error) && instance != nullptr, "ICU has no normalisation data");
  return *instance;
}

}  // namespace

bool IsWhitespace(char32_t rune) {
  if (rune < 0x80) return rune == ' ' || (rune >= 9 && rune <= 13);
  return rune == 0x85 || rune == 0xA0 || rune == 0x1680 || (rune >= 0x2000 && rune <= 0x200A) || rune == 0x2028 ||
         rune == 0x2029 || rune == 0x202F || rune == 0x205F || rune == 0x3000;
}

bool IsNumeric(char32_t rune) {
  if (rune < 0x80) return rune >= '0' && rune <= '9';
  return InCategories(rune, U_GC_N_MASK);
}

bool IsWordRune(char32_t rune) {
  return InCategories(rune, U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK) ||
         u_hasBinaryProperty(static_cast<UChar32>(rune), UCHAR_ALPHABETIC) || rune == 0x200C || rune == 0x200D;
}

bool IsPunctuation(char32_t rune) {
  if (rune < 0x80) return IsAsciiPunctuation(rune);
  if (rune == 0x166D || rune == 0x111C9) return true;  // punctuation in Unicode 8
  return InCategories(rune, U_GC_P_MASK) && AssignedBy(rune, kBertUnicodeVersion);
}

bool IsBertControl(char32_t rune) {
  if (rune < 0x80) return (rune < 0x20 || rune == 0x7F) && rune != '\t' && rune != '\n' && rune != '\r';
  return InCategories(rune, U_GC_CC_MASK | U_GC_CF_MASK | U_GC_CO_MASK) &&
         (AssignedBy(rune, kBertUnicodeVersion) || InCategories(rune, U_GC_CO_MASK));
}

bool IsBertMark(char32_t rune) {
  if (rune < 0x300) return false;
  if (rune == 0x1734) return true;                                                          // Mn in Unicode 8
  if (rune == 0x1885 || rune == 0x1886 || rune == 0xA9BD || rune == 0x111C9) return false;  // Mn only later
  return InCategories(rune, U_GC_MN_MASK) && AssignedBy(rune, kBertUnicodeVersion);
}

bool IsMark(char32_t rune) {
  if (rune < 0x300) return false;
  if (rune == 0x1CF2 || rune == 0x1CF3) return true;  // Mc in Unicode 9
  if (rune == 0x111C9) return false;                  // punctuation in Unicode 9
  return InCategories(rune, U_GC_M_MASK) && AssignedBy(rune, kNormalizationUnicodeVersion);
}

bool IsChinese(char32_t rune) {
  if (rune < 0x3400) return false;
  return rune <= 0x4DBF || (rune >= 0x4E00 && rune <= 0x9FFF) || (rune >= 0xF900 && rune <= 0xFAFF) ||
         (rune >= 0x20000 && rune <= 0x2A6DF) || (rune >= 0x2A700 && rune <= 0x2B81F) ||
         (rune >= 0x2B920 && rune <= 0x2CEAF) || (rune >= 0x2F800 && rune <= 0x2FA1F);
}

int ScriptOf(char32_t rune) {
  if (rune == ' ' || !AssignedBy(rune, kScriptUnicodeVersion)) return kNoScript;
  if (rune == 0x30FC) return USCRIPT_HAN;                         // the sign for a long vowel
  if (rune == 0x589 || rune == 0x61C) return USCRIPT_COMMON;      // in Unicode 9
  if (rune == 0x953 || rune == 0x954) return USCRIPT_DEVANAGARI;  // in Unicode 9
  UErrorCode error = U_ZERO_ERROR;
  UScriptCode script = uscript_getScript(static_cast<UChar32>(rune), &error);
  if (U_FAILURE(error) || script == USCRIPT_UNKNOWN) return kNoScript;
  return script == USCRIPT_HIRAGANA || script == USCRIPT_KATAKANA ? USCRIPT_HAN : script;
}

bool IsContinuationByte(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

void AppendLower(char32_t rune, std::vector<char32_t>* out) {
  if (rune < 0x80) {
    out->push_back(rune >= 'A' && rune <= 'Z' ? rune + 32 : rune);
  } else if (rune == 0x130) {  // the only full lower-case mapping of two characters
    out->push_back('i');
    out->push_back(0x307);
  } else {
    out->push_back(static_cast<char32_t>(u_tolower(static_cast<UChar32>(rune))));
  }
}

void AppendDecomposition(char32_t rune, bool compatibility, std::vector<char32_t>* out) {
  icu::UnicodeString decomposition;
  bool decomposes = rune >= 0xA0 && AssignedBy(rune, kNormalizationUnicodeVersion) &&
                    Instance(compatibility).getDecomposition(static_cast<UChar32>(rune), decomposition);
  if (!decomposes) {
    out->push_back(rune);
    return;
  }
  for (int32_t i = 0; i < decomposition.length(); i = decomposition.moveIndex32(i, 1)) {
    out->push_back(static_cast<char32_t>(decomposition.char32At(i)));
  }
}

int CombiningClass(char32_t rune) {
  if (rune < 0x300) return 0;
  int combining_class = u_getCombiningClass(static_cast<UChar32>(rune));
  return combining_class != 0 && AssignedBy(rune, kNormalizationUnicodeVersion) ? combining_class : 0;
}

char32_t Compose(char32_t first, char32_t second) {
  if (second < 0x300) return 0;
  UChar32 composed =
      Instance(/*compatibility=*/false).composePair(static_cast<UChar32>(first), static_cast<UChar32>(second));
  if (composed < 0 || !AssignedBy(static_cast<char32_t>(composed), kNormalizationUnicodeVersion)) return 0;
  return static_cast<char32_t>(composed);
}

bool IsNormalized(absl::string_view text, bool compatibility, bool composed) {
  const UProperty property = compatibility ? (composed ? UCHAR_NFKC_QUICK_CHECK : UCHAR_NFKD_QUICK_CHECK)
                                           : (composed ? UCHAR_NFC_QUICK_CHECK : UCHAR_NFD_QUICK_CHECK);
  int previous_class = 0;
  for (size_t at = 0; at < text.size();) {
    if (static_cast<unsigned char>(text[at]) < 0x80) {
      previous_class = 0;
      ++at;
      continue;
    }
    DecodedRune decoded = DecodeRune(text.substr(at));
    at += decoded.length;
    if (u_getIntPropertyValue(static_cast<UChar32>(decoded.rune), property) != UNORM_YES) return false;
    int combining_class = CombiningClass(decoded.rune);
    if (combining_class != 0 && combining_class < previous_class) return false;
    previous_class = combining_class;
  }
  return true;
}

}  // namespace lastro::engine::tokenizers
