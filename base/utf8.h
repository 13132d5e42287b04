// UTF-8 by the book (RFC 3629, Unicode 15 table 3-7): no overlong forms, no surrogates, nothing above U+10FFFF.
// Pure functions, thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace lastro {

inline constexpr char32_t kReplacementCharacter = 0xFFFD;

struct DecodedRune {
  char32_t rune = kReplacementCharacter;
  size_t length = 1;   // bytes consumed, >= 1: for malformed input the maximal ill-formed prefix
  bool valid = false;
};

// Decodes the code point at the start of `text`. REQUIRES: !text.empty().
DecodedRune DecodeRune(absl::string_view text);

// Appends `rune` (a valid scalar value) to `out`.
void AppendRune(char32_t rune, std::string* out);

bool IsValidUtf8(absl::string_view text);

// Whether a code point of `text`, which is valid, starts or ends at `at`. REQUIRES: at <= text.size().
bool IsRuneBoundary(absl::string_view text, size_t at);

// `text` with every maximal ill-formed sequence replaced by U+FFFD; valid text comes back unchanged.
std::string ReplaceInvalidUtf8(absl::string_view text);

// The length of the longest prefix of `text` that does not end inside a code point. Malformed bytes count as complete.
// For streaming: hold back text.substr(CompleteUtf8Prefix(text)) until more bytes come.
size_t CompleteUtf8Prefix(absl::string_view text);

}  // namespace lastro
