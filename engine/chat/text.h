// Text: a UTF-8 string that knows of each byte whether the template wrote it (trusted) or a message did (not). Every
// operation keeps the marks, so that a control token a user spelled is never taken for one of the template's. Value
// type; reads are thread-safe.
//
// Indices and lengths count code points and white space is Unicode's, as in Python, whose strings templates are
// written for. Comparison looks at the bytes only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace lastro::engine::chat {

// A stretch of rendered text of one origin.
struct Piece {
  std::string text;
  bool trusted = false;
};

class Text {
 public:
  Text() = default;
  // Ill-formed UTF-8 becomes U+FFFD.
  Text(absl::string_view text, bool trusted);

  const std::string& bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  bool TrustedAt(size_t byte) const { return trusted_[byte] != 0; }

  void Append(const Text& other);
  void Append(absl::string_view text, bool trusted);

  // Bytes [begin, end), both on code point boundaries.
  Text Substring(size_t begin, size_t end) const;

  // The stretches of one origin, none empty.
  std::vector<Piece> Pieces() const;

  // Where each code point begins, and the end: length + 1 entries.
  std::vector<size_t> Offsets() const;
  size_t Length() const;  // in code points

 private:
  std::string bytes_;
  std::string trusted_;  // one per byte: 1 trusted, 0 not
};

inline bool operator==(const Text& a, const Text& b) { return a.bytes() == b.bytes(); }

// What str.isspace() holds of.
bool IsPythonSpace(char32_t rune);

enum class Side { kLeft, kRight, kBoth };
// Without the code points of `set` at the sides; a null set means white space.
Text Strip(const Text& text, Side side, const Text* set = nullptr);

// At most `limit` splits (-1: all), at `separator` (not empty), from the left or from the right.
std::vector<Text> Split(const Text& text, const Text& separator, int64_t limit, bool from_right);
// At runs of white space; no part is empty.
std::vector<Text> SplitSpace(const Text& text, int64_t limit, bool from_right);
std::vector<Text> SplitLines(const Text& text);

// The first `limit` (-1: all) occurrences of `from` replaced; an empty `from` stands before each code point and at the
// end.
Text Replace(const Text& text, const Text& from, const Text& to, int64_t limit = -1);

enum class Case { kUpper, kLower, kCapitalize, kTitle };
Text WithCase(const Text& text, Case to);

// True when every code point satisfies `holds` and there is one.
bool AllOf(const Text& text, bool (*holds)(char32_t));

}  // namespace lastro::engine::chat
