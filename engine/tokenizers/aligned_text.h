// AlignedText: text on its way through the normalisers, with the byte range of the caller's input that each of its
// bytes came from. While nothing has changed the text, the ranges are implied and cost nothing. Value type, not
// thread-safe.
//
// How a rewritten character inherits its range follows the reference library's NormalizedString, so that offsets agree:
// a replaced character keeps the range of the first one it replaces, an inserted one takes that of the byte before it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/utf8.h"

namespace lastro::engine::tokenizers {

// A half-open byte range.
struct ByteRange {
  uint32_t begin = 0;
  uint32_t end = 0;
};

// A found or left-over stretch of a text; a list of them covers the text in order.
struct Match {
  uint32_t begin = 0;
  uint32_t end = 0;
  bool is_match = false;
};

// One character of a rewritten text. change == 0: it replaces the next old character; > 0: it is inserted; < 0: it
// replaces the next old character and removes -change more after it.
struct RuneChange {
  char32_t rune;
  int change;
};

// Whether a chain of rewriting steps that began with a text of `before` bytes should end because the text has grown out
// of all proportion: only the steps of a hostile file can do that.
inline bool GrewTooMuch(size_t before, size_t after) { return after > 64 * before + 65'536; }

class AlignedText {
 public:
  // `input` with each maximal ill-formed UTF-8 sequence replaced by U+FFFD, whose range is that sequence.
  // REQUIRES: input.size() < 2^32.
  static AlignedText FromInput(absl::string_view input);

  const std::string& text() const { return text_; }

  // The input range of text bytes [begin, end), widened to whole characters. REQUIRES: begin < end <= text().size().
  ByteRange SourceOf(uint32_t begin, uint32_t end) const;

  AlignedText Slice(uint32_t begin, uint32_t end) const;

  // Replaces the whole text, character by character; see RuneChange.
  void Transform(absl::Span<const RuneChange> changes);

  // Each character becomes what `rewrite(rune, out)` appends to the std::string `out` (possibly nothing); all of it
  // gets the range of the character.
  template <typename Rewrite>
  void RewriteEach(const Rewrite& rewrite);

  // Puts `prefix` in front, with the range of the first character; an empty text stays empty.
  void Prepend(absl::string_view prefix);

  // Replaces each match by `content`, with the range of the match's last character.
  void ReplaceMatches(absl::Span<const Match> matches, absl::string_view content);

  // Appends text [begin, end) of `other`, ranges included, after `prefix` with the range of its first character. For
  // rebuilding a text piece by piece, starting from an empty one. REQUIRES: begin < end.
  void AppendPiece(const AlignedText& other, uint32_t begin, uint32_t end, absl::string_view prefix);

 private:
  void MakeExplicit();
  ByteRange RangeAt(size_t index) const { return ranges_[index]; }

  std::string text_;
  std::vector<ByteRange> ranges_;  // one per byte of text_; empty while implied: byte i is input byte base_ + i
  uint32_t base_ = 0;
  bool explicit_ = false;
};

template <typename Rewrite>
void AlignedText::RewriteEach(const Rewrite& rewrite) {
  MakeExplicit();
  std::string text;
  std::vector<ByteRange> ranges;
  text.reserve(text_.size());
  ranges.reserve(text_.size());
  for (size_t i = 0; i < text_.size();) {
    DecodedRune decoded = DecodeRune(absl::string_view(text_).substr(i));
    rewrite(decoded.rune, &text);
    ranges.resize(text.size(), ranges_[i]);
    i += decoded.length;
  }
  text_ = std::move(text);
  ranges_ = std::move(ranges);
}

}  // namespace lastro::engine::tokenizers
