// Character classes and normalisation data as the reference `tokenizers` library sees them. Its parts carry tables of
// different Unicode versions (8 for BERT's classes, 9 for normalisation and scripts, 15 for the rest); characters
// assigned later than that count as unassigned there, and so they do here: an id must not change because ICU is newer.
// Pure functions.
#pragma once

#include <vector>

#include "absl/strings/string_view.h"

namespace lastro::engine::tokenizers {

bool IsWhitespace(char32_t rune);   // property White_Space
bool IsNumeric(char32_t rune);      // Nd, Nl, No
bool IsWordRune(char32_t rune);     // \w: Alphabetic, marks, Nd, Pc, Join_Control
bool IsPunctuation(char32_t rune);  // ASCII punctuation or P*, Unicode 8
bool IsBertControl(char32_t rune);  // Cc, Cf, Co of Unicode 8, but neither tab, LF nor CR
bool IsBertMark(char32_t rune);     // Mn of Unicode 8
bool IsMark(char32_t rune);         // M* of Unicode 9
bool IsChinese(char32_t rune);      // the blocks BERT puts spaces around
bool IsContinuationByte(char byte);

// The script of a character (Unicode 9), Hiragana and Katakana counted as Han; kNoScript for a space and unassigned
// characters.
inline constexpr int kNoScript = -1;
int ScriptOf(char32_t rune);

// Lower case of one character without context; may be two characters. Appends to `out`.
void AppendLower(char32_t rune, std::vector<char32_t>* out);

// Full canonical or compatibility decomposition (Unicode 9), Hangul included; the character itself when it has none.
void AppendDecomposition(char32_t rune, bool compatibility, std::vector<char32_t>* out);
int CombiningClass(char32_t rune);
// The canonical composition of a pair, or 0.
char32_t Compose(char32_t first, char32_t second);
// True when NFC, NFD, NFKC or NFKD surely leave `text` (valid UTF-8) as it is (UAX #15, quick check). Linear; ICU's own
// check takes quadratic time on long runs of combining marks.
bool IsNormalized(absl::string_view text, bool compatibility, bool composed);

}  // namespace lastro::engine::tokenizers
