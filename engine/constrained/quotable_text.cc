#include "engine/constrained/quotable_text.h"

#include <unicode/uchar.h>

#include <algorithm>
#include <string_view>

#include "base/utf8.h"

namespace lastro::engine::constrained {
namespace {

bool IsWordRune(char32_t rune) {
  const auto code = static_cast<UChar32>(rune);
  return u_isalnum(code) || (U_GET_GC_MASK(code) & U_GC_M_MASK) != 0;
}

bool IsDigit(char32_t rune) { return rune >= '0' && rune <= '9'; }

// A code point and where it stands in text().
struct Place {
  char32_t rune;
  size_t at;
};

// Whether runes[i - 1] and runes[i] are of one word.
bool AreOneWord(absl::Span<const Place> runes, size_t i) {
  const char32_t before = runes[i - 1].rune, here = runes[i].rune;
  if (IsWordRune(before) && IsWordRune(here)) return true;
  auto separates = [](char32_t rune) { return rune == '.' || rune == ','; };
  const bool into = IsDigit(before) && separates(here) && i + 1 < runes.size() && IsDigit(runes[i + 1].rune);
  const bool out_of = i >= 2 && IsDigit(runes[i - 2].rune) && separates(before) && IsDigit(here);
  return into || out_of;
}

bool IsSpace(const Place& place) { return u_isUWhiteSpace(static_cast<UChar32>(place.rune)) != 0; }

bool IsOneOf(const Place& place, std::u32string_view runes) {
  return runes.find(place.rune) != std::u32string_view::npos;
}

// Whether a sentence's mark stands before runes[i], with what closes quotations and brackets behind it perhaps.
bool HasMarkBefore(absl::Span<const Place> runes, size_t i) {
  while (i > 0 && IsOneOf(runes[i - 1], U"\"')”’»")) --i;
  return i > 0 && IsOneOf(runes[i - 1], U".!?…");
}

bool BeginsSentence(absl::Span<const Place> runes, size_t i) {
  bool spaces = false;
  for (; i > 0 && IsSpace(runes[i - 1]); --i) {
    if (runes[i - 1].rune == '\n') return true;
    spaces = true;
  }
  return i == 0 || runes[i - 1].rune == QuotableText::kBarrier || (spaces && HasMarkBefore(runes, i));
}

bool EndsSentence(absl::Span<const Place> runes, size_t i) {
  return i > 0 && (runes[i].rune == '\n' || runes[i].rune == QuotableText::kBarrier ||
                   (IsSpace(runes[i]) && HasMarkBefore(runes, i)));
}

}  // namespace

QuotableText::QuotableText(absl::Span<const std::string> passages, bool by_sentences) {
  for (const std::string& passage : passages) Add(passage, by_sentences);
  auto from = [this](uint32_t at) { return absl::string_view(text_).substr(at, kComparedBytes); };
  std::sort(beginnings_.begin(), beginnings_.end(), [&](uint32_t a, uint32_t b) {
    const int order = from(a).compare(from(b));
    return order != 0 ? order < 0 : a < b;
  });
}

void QuotableText::Add(absl::string_view passage, bool by_sentences) {
  std::vector<Place> runes;
  while (!passage.empty()) {
    const DecodedRune decoded = DecodeRune(passage);
    runes.push_back({decoded.valid ? decoded.rune : static_cast<char32_t>(kBarrier), text_.size()});
    if (decoded.valid) {
      text_.append(passage.data(), decoded.length);
    } else {
      text_.push_back(kBarrier);
    }
    passage.remove_prefix(decoded.length);
  }
  text_.push_back(kBarrier);
  ends_.resize(text_.size());
  ends_.back() = true;
  for (size_t i = 0; i < runes.size(); ++i) {
    if (i > 0 && AreOneWord(runes, i)) continue;
    ends_[runes[i].at] = !by_sentences || EndsSentence(runes, i);
    const bool begins = runes[i].rune != kBarrier && !IsSpace(runes[i]) && (!by_sentences || BeginsSentence(runes, i));
    if (begins) beginnings_.push_back(static_cast<uint32_t>(runes[i].at));
  }
}

QuotableText::Run QuotableText::Extend(const Run& run, uint8_t byte) const {
  if (byte == static_cast<uint8_t>(kBarrier)) return {};
  const auto begin = beginnings_.begin();
  auto behind = [&](uint32_t at) { return static_cast<uint8_t>(text_[at + run.length]); };
  const auto first =
      std::partition_point(begin + run.first, begin + run.last, [&](uint32_t at) { return behind(at) < byte; });
  const auto last = std::partition_point(first, begin + run.last, [&](uint32_t at) { return behind(at) == byte; });
  Run longer = {static_cast<uint32_t>(first - begin), static_cast<uint32_t>(last - begin), run.length + 1};
  if (longer.empty()) return {};
  if (longer.length >= kComparedBytes) longer.last = longer.first + 1;
  return longer;
}

bool QuotableText::AnyBehind(const Run& run, const std::vector<bool>& marks) const {
  return std::any_of(beginnings_.begin() + run.first, beginnings_.begin() + run.last,
                     [&](uint32_t at) { return marks[at + run.length]; });
}

}  // namespace lastro::engine::constrained
