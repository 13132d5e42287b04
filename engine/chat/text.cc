#include "engine/chat/text.h"

#include <unicode/locid.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include <algorithm>

#include "base/check.h"
#include "base/utf8.h"

namespace lastro::engine::chat {
namespace {

struct Rune {
  char32_t rune;
  size_t begin;
  size_t end;
};

std::vector<Rune> RunesOf(const std::string& bytes) {
  std::vector<Rune> runes;
  for (size_t at = 0; at < bytes.size();) {
    const DecodedRune decoded = DecodeRune(absl::string_view(bytes).substr(at));
    runes.push_back({decoded.rune, at, at + decoded.length});
    at += decoded.length;
  }
  return runes;
}

// `rune` in another case; may be several code points.
std::string Cased(char32_t rune, bool upper) {
  icu::UnicodeString text(static_cast<UChar32>(rune));
  if (upper) {
    text.toUpper(icu::Locale::getRoot());
  } else {
    text.toLower(icu::Locale::getRoot());
  }
  std::string bytes;
  return text.toUTF8String(bytes);
}

}  // namespace

Text::Text(absl::string_view text, bool trusted) { Append(text, trusted); }

void Text::Append(const Text& other) {
  bytes_ += other.bytes_;
  trusted_ += other.trusted_;
}

void Text::Append(absl::string_view text, bool trusted) {
  if (IsValidUtf8(text)) {
    bytes_.append(text.data(), text.size());
  } else {
    bytes_ += ReplaceInvalidUtf8(text);
  }
  trusted_.resize(bytes_.size(), trusted ? 1 : 0);
}

Text Text::Substring(size_t begin, size_t end) const {
  LASTRO_CHECK(begin <= end && end <= size());
  Text part;
  part.bytes_ = bytes_.substr(begin, end - begin);
  part.trusted_ = trusted_.substr(begin, end - begin);
  return part;
}

std::vector<Piece> Text::Pieces() const {
  std::vector<Piece> pieces;
  for (size_t begin = 0; begin < size();) {
    const size_t end = std::min(size(), trusted_.find_first_not_of(trusted_[begin], begin));
    pieces.push_back({bytes_.substr(begin, end - begin), TrustedAt(begin)});
    begin = end;
  }
  return pieces;
}

std::vector<size_t> Text::Offsets() const {
  std::vector<size_t> offsets;
  for (size_t i = 0; i < size(); ++i) {
    if ((static_cast<uint8_t>(bytes_[i]) & 0xC0) != 0x80) offsets.push_back(i);
  }
  offsets.push_back(size());
  return offsets;
}

size_t Text::Length() const {
  return static_cast<size_t>(std::count_if(bytes_.begin(), bytes_.end(),
                                           [](char byte) { return (static_cast<uint8_t>(byte) & 0xC0) != 0x80; }));
}

bool IsPythonSpace(char32_t rune) {
  return (rune >= 0x09 && rune <= 0x0D) || (rune >= 0x1C && rune <= 0x20) || rune == 0x85 || rune == 0xA0 ||
         rune == 0x1680 || (rune >= 0x2000 && rune <= 0x200A) || rune == 0x2028 || rune == 0x2029 || rune == 0x202F ||
         rune == 0x205F || rune == 0x3000;
}

Text Strip(const Text& text, Side side, const Text* set) {
  const std::vector<Rune> runes = RunesOf(text.bytes());
  const std::vector<Rune> members = set != nullptr ? RunesOf(set->bytes()) : std::vector<Rune>();
  auto goes = [&](const Rune& rune) {
    if (set == nullptr) return IsPythonSpace(rune.rune);
    return std::any_of(members.begin(), members.end(), [&](const Rune& member) { return member.rune == rune.rune; });
  };
  size_t first = 0, last = runes.size();
  while (side != Side::kRight && first < last && goes(runes[first])) ++first;
  while (side != Side::kLeft && last > first && goes(runes[last - 1])) --last;
  return first == last ? Text() : text.Substring(runes[first].begin, runes[last - 1].end);
}

std::vector<Text> Split(const Text& text, const Text& separator, int64_t limit, bool from_right) {
  LASTRO_CHECK(!separator.empty());
  std::vector<Text> parts;
  size_t begin = 0, end = text.size();
  for (; limit != 0; --limit) {
    size_t at = std::string::npos;
    if (!from_right) {
      at = text.bytes().find(separator.bytes(), begin);
    } else if (end >= separator.size()) {
      at = text.bytes().rfind(separator.bytes(), end - separator.size());
    }
    if (at == std::string::npos) break;
    if (from_right) {
      parts.push_back(text.Substring(at + separator.size(), end));
      end = at;
    } else {
      parts.push_back(text.Substring(begin, at));
      begin = at + separator.size();
    }
  }
  parts.push_back(text.Substring(begin, end));
  if (from_right) std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<Text> SplitSpace(const Text& text, int64_t limit, bool from_right) {
  std::vector<Rune> runes = RunesOf(text.bytes());
  if (from_right) std::reverse(runes.begin(), runes.end());
  auto part = [&](size_t first, size_t last) {  // runes [first, last)
    const Rune &a = runes[first], &b = runes[last - 1];
    return text.Substring(std::min(a.begin, b.begin), std::max(a.end, b.end));
  };
  std::vector<Text> parts;
  for (size_t at = 0;;) {
    while (at < runes.size() && IsPythonSpace(runes[at].rune)) ++at;
    if (at == runes.size()) break;
    size_t end = at;
    if (limit-- == 0) {  // the rest, without the white space at its far end
      end = runes.size();
      while (IsPythonSpace(runes[end - 1].rune)) --end;
      parts.push_back(part(at, end));
      break;
    }
    while (end < runes.size() && !IsPythonSpace(runes[end].rune)) ++end;
    parts.push_back(part(at, end));
    at = end;
  }
  if (from_right) std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<Text> SplitLines(const Text& text) {
  std::vector<Text> lines;
  const std::vector<Rune> runes = RunesOf(text.bytes());
  size_t begin = 0;
  for (size_t i = 0; i < runes.size(); ++i) {
    const char32_t rune = runes[i].rune;
    const bool breaks = (rune >= 0x0A && rune <= 0x0D) || (rune >= 0x1C && rune <= 0x1E) || rune == 0x85 ||
                        rune == 0x2028 || rune == 0x2029;
    if (!breaks) continue;
    lines.push_back(text.Substring(begin, runes[i].begin));
    if (rune == '\r' && i + 1 < runes.size() && runes[i + 1].rune == '\n') ++i;
    begin = runes[i].end;
  }
  if (begin < text.size()) lines.push_back(text.Substring(begin, text.size()));
  return lines;
}

Text Replace(const Text& text, const Text& from, const Text& to, int64_t limit) {
  Text out;
  size_t at = 0;
  if (from.empty()) {
    for (const Rune& rune : RunesOf(text.bytes())) {
      if (limit-- == 0) break;
      out.Append(to);
      out.Append(text.Substring(rune.begin, rune.end));
      at = rune.end;
    }
    if (at == text.size() && limit != 0) out.Append(to);
  } else {
    for (size_t found; limit != 0 && (found = text.bytes().find(from.bytes(), at)) != std::string::npos; --limit) {
      out.Append(text.Substring(at, found));
      out.Append(to);
      at = found + from.size();
    }
  }
  out.Append(text.Substring(at, text.size()));
  return out;
}

Text WithCase(const Text& text, Case to) {
  Text out;
  bool inside = false;  // of a word (title) or of the text (capitalize)
  for (const Rune& rune : RunesOf(text.bytes())) {
    const bool upper = to == Case::kUpper || (to != Case::kLower && !inside);
    out.Append(Cased(rune.rune, upper), text.TrustedAt(rune.begin));
    inside = to == Case::kCapitalize || u_isUAlphabetic(static_cast<UChar32>(rune.rune));
  }
  return out;
}

bool AllOf(const Text& text, bool (*holds)(char32_t)) {
  const std::vector<Rune> runes = RunesOf(text.bytes());
  return !runes.empty() && std::all_of(runes.begin(), runes.end(), [&](const Rune& rune) { return holds(rune.rune); });
}

}  // namespace lastro::engine::chat
