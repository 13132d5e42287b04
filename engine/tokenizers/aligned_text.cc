#include "engine/tokenizers/aligned_text.h"

#include <limits>

#include "base/check.h"
#include "engine/tokenizers/unicode.h"

namespace lastro::engine::tokenizers {

AlignedText AlignedText::FromInput(absl::string_view input) {
  LASTRO_CHECK(input.size() < std::numeric_limits<uint32_t>::max(), "text of 4 GiB or more");
  AlignedText result;
  if (IsValidUtf8(input)) {
    result.text_.assign(input.data(), input.size());
    return result;
  }
  result.explicit_ = true;
  for (uint32_t at = 0; at < input.size();) {
    DecodedRune decoded = DecodeRune(input.substr(at));
    AppendRune(decoded.rune, &result.text_);
    uint32_t end = at + static_cast<uint32_t>(decoded.length);
    result.ranges_.resize(result.text_.size(), ByteRange{at, end});
    at = end;
  }
  return result;
}

ByteRange AlignedText::SourceOf(uint32_t begin, uint32_t end) const {
  if (explicit_) return {ranges_[begin].begin, ranges_[end - 1].end};
  while (begin > 0 && IsContinuationByte(text_[begin])) --begin;
  while (end < text_.size() && IsContinuationByte(text_[end])) ++end;
  return {base_ + begin, base_ + end};
}

AlignedText AlignedText::Slice(uint32_t begin, uint32_t end) const {
  AlignedText result;
  result.text_ = text_.substr(begin, end - begin);
  result.explicit_ = explicit_;
  result.base_ = base_ + begin;
  if (explicit_) result.ranges_.assign(ranges_.begin() + begin, ranges_.begin() + end);
  return result;
}

void AlignedText::MakeExplicit() {
  if (explicit_) return;
  ranges_.clear();
  ranges_.reserve(text_.size());
  for (size_t i = 0; i < text_.size();) {
    size_t next = i + 1;
    while (next < text_.size() && IsContinuationByte(text_[next])) ++next;
    ranges_.resize(next, ByteRange{base_ + static_cast<uint32_t>(i), base_ + static_cast<uint32_t>(next)});
    i = next;
  }
  explicit_ = true;
}

void AlignedText::Transform(absl::Span<const RuneChange> changes) {
  MakeExplicit();
  std::string text;
  std::vector<ByteRange> ranges;
  text.reserve(text_.size());
  ranges.reserve(text_.size());
  size_t at = 0;  // the next old byte
  auto skip_rune = [&] {
    if (at < text_.size()) at += DecodeRune(absl::string_view(text_).substr(at)).length;
  };
  for (const RuneChange& change : changes) {
    ByteRange range;
    if (change.change > 0) {
      if (at > 0) range = ranges_[at - 1];
    } else {
      LASTRO_CHECK(at < ranges_.size());
      range = ranges_[at];
      for (int i = change.change; i <= 0; ++i) skip_rune();
    }
    AppendRune(change.rune, &text);
    ranges.resize(text.size(), range);
  }
  text_ = std::move(text);
  ranges_ = std::move(ranges);
}

void AlignedText::Prepend(absl::string_view prefix) {
  if (text_.empty()) return;
  MakeExplicit();
  ranges_.insert(ranges_.begin(), prefix.size(), ranges_[0]);
  text_.insert(0, prefix.data(), prefix.size());
}

void AlignedText::ReplaceMatches(absl::Span<const Match> matches, absl::string_view content) {
  MakeExplicit();
  std::string text;
  std::vector<ByteRange> ranges;
  for (const Match& match : matches) {
    if (match.is_match) {
      text.append(content.data(), content.size());
      ranges.resize(text.size(), match.end > 0 ? ranges_[match.end - 1] : ByteRange{});
    } else {
      text.append(text_, match.begin, match.end - match.begin);
      ranges.insert(ranges.end(), ranges_.begin() + match.begin, ranges_.begin() + match.end);
    }
  }
  text_ = std::move(text);
  ranges_ = std::move(ranges);
}

void AlignedText::AppendPiece(const AlignedText& other, uint32_t begin, uint32_t end, absl::string_view prefix) {
  explicit_ = true;
  LASTRO_CHECK(other.explicit_ || begin < end);
  for (size_t i = 0; i < prefix.size(); ++i) {
    uint32_t first_end = begin + 1;
    while (first_end < end && IsContinuationByte(other.text_[first_end])) ++first_end;
    ranges_.push_back(other.SourceOf(begin, first_end));
  }
  text_.append(prefix.data(), prefix.size());
  text_.append(other.text_, begin, end - begin);
  if (other.explicit_) {
    ranges_.insert(ranges_.end(), other.ranges_.begin() + begin, other.ranges_.begin() + end);
    return;
  }
  for (uint32_t i = begin; i < end; ++i) ranges_.push_back(other.SourceOf(i, i + 1));
}

}  // namespace lastro::engine::tokenizers
