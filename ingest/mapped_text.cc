#include "ingest/mapped_text.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "base/check.h"

namespace lastro::ingest {
namespace {

using retrieval::SourceSegment;

constexpr uint64_t kMaxMergedBytes = 24;  // of a merged segment that is not verbatim

uint64_t TextEnd(const SourceSegment& segment) { return segment.text_begin + segment.text_length; }
uint64_t SourceEnd(const SourceSegment& segment) { return segment.source_begin + segment.source_length; }

// Letters, digits and everything beyond ASCII: what words are made of.
bool IsWordByte(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || (c & 0x80) != 0; }

bool IsWord(absl::string_view piece) { return std::all_of(piece.begin(), piece.end(), IsWordByte); }

// The first segment that ends after `text_offset`.
std::vector<SourceSegment>::const_iterator FirstAfter(const MappedText& mapped, uint64_t text_offset) {
  return std::partition_point(mapped.segments.begin(), mapped.segments.end(),
                              [&](const SourceSegment& segment) { return TextEnd(segment) <= text_offset; });
}

// The part of `segment` within text [begin, end), which it overlaps.
SourceSegment Clip(const SourceSegment& segment, uint64_t begin, uint64_t end) {
  SourceSegment part = segment;
  part.text_begin = std::max(segment.text_begin, begin);
  part.text_length = std::min(TextEnd(segment), end) - part.text_begin;
  if (segment.verbatim) {
    part.source_begin += part.text_begin - segment.text_begin;
    part.source_length = part.text_length;
  }
  return part;
}

void ComposeVerbatim(const SourceSegment& outer, absl::string_view text, const MappedText& inner,
                     MappedTextBuilder* out) {
  uint64_t begin = outer.source_begin, end = SourceEnd(outer), at = begin;
  auto piece = [&](uint64_t from, uint64_t to) { return text.substr(outer.text_begin + (from - begin), to - from); };
  for (auto it = FirstAfter(inner, begin); it != inner.segments.end() && it->text_begin < end; ++it) {
    SourceSegment part = Clip(*it, begin, end);
    out->AppendWithoutSource(piece(at, part.text_begin));
    at = TextEnd(part);
    if (part.verbatim) {
      out->AppendVerbatim(piece(part.text_begin, at), part.source_begin);
    } else {
      out->AppendChanged(piece(part.text_begin, at), part.source_begin, part.source_length);
    }
  }
  out->AppendWithoutSource(piece(at, end));
}

void ComposeChanged(const SourceSegment& outer, absl::string_view text, const MappedText& inner,
                    MappedTextBuilder* out) {
  absl::string_view piece = text.substr(outer.text_begin, outer.text_length);
  uint64_t begin = UINT64_MAX, end = 0;
  for (auto it = FirstAfter(inner, outer.source_begin); it != inner.segments.end() && it->text_begin < SourceEnd(outer);
       ++it) {
    SourceSegment part = Clip(*it, outer.source_begin, SourceEnd(outer));
    begin = std::min(begin, part.source_begin);
    end = std::max(end, SourceEnd(part));
  }
  if (begin >= end) return out->AppendWithoutSource(piece);
  out->AppendChanged(piece, begin, end - begin);
}

bool IsIdentity(const MappedText& mapped) {
  if (mapped.segments.size() != 1) return false;
  const SourceSegment& only = mapped.segments[0];
  return only.verbatim && only.text_begin == 0 && only.source_begin == 0 && only.text_length == mapped.text.size();
}

}  // namespace

MappedText IdentityText(std::string text) {
  MappedText mapped;
  if (!text.empty()) mapped.segments.push_back({0, text.size(), 0, text.size(), true});
  mapped.text = std::move(text);
  return mapped;
}

MappedText Compose(MappedText outer, const MappedText& inner) {
  if (IsIdentity(inner)) return outer;
  MappedTextBuilder out;
  absl::string_view text = outer.text;
  for (const SourceSegment& segment : outer.segments) {
    out.AppendWithoutSource(text.substr(out.size(), segment.text_begin - out.size()));
    if (segment.verbatim) {
      ComposeVerbatim(segment, text, inner, &out);
    } else {
      ComposeChanged(segment, text, inner, &out);
    }
  }
  out.AppendWithoutSource(text.substr(out.size()));
  return out.Finish();
}

MappedText Slice(const MappedText& mapped, size_t begin, size_t end) {
  LASTRO_CHECK(begin <= end && end <= mapped.text.size());
  MappedText slice;
  slice.text = mapped.text.substr(begin, end - begin);
  for (auto it = FirstAfter(mapped, begin); it != mapped.segments.end() && it->text_begin < end; ++it) {
    SourceSegment part = Clip(*it, begin, end);
    part.text_begin -= begin;
    slice.segments.push_back(part);
  }
  return slice;
}

void MappedTextBuilder::AppendVerbatim(absl::string_view piece, uint64_t source_begin) {
  if (piece.empty()) return;
  AppendSegment({mapped_.text.size(), piece.size(), source_begin, piece.size(), true});
  mapped_.text.append(piece.data(), piece.size());
}

void MappedTextBuilder::AppendChanged(absl::string_view piece, uint64_t source_begin, uint64_t source_length) {
  if (piece.empty()) return;
  AppendSegment({mapped_.text.size(), piece.size(), source_begin, source_length, false});
  mapped_.text.append(piece.data(), piece.size());
  // Merge with the piece before when both are of one word.
  if (mapped_.segments.size() < 2) return;
  SourceSegment& last = mapped_.segments.back();
  SourceSegment& before = mapped_.segments[mapped_.segments.size() - 2];
  bool adjacent = !before.verbatim && TextEnd(before) == last.text_begin && SourceEnd(before) == last.source_begin;
  if (!adjacent || before.text_length + last.text_length > kMaxMergedBytes) return;
  if (!IsWordByte(mapped_.text[last.text_begin - 1]) || !IsWord(piece)) return;
  before.text_length += last.text_length;
  before.source_length += last.source_length;
  mapped_.segments.pop_back();
}

void MappedTextBuilder::AppendSegment(const SourceSegment& segment) {
  if (segment.verbatim && !mapped_.segments.empty()) {
    SourceSegment& last = mapped_.segments.back();
    bool adjacent = TextEnd(last) == segment.text_begin && SourceEnd(last) == segment.source_begin;
    if (last.verbatim && adjacent) {
      last.text_length += segment.text_length;
      last.source_length += segment.source_length;
      return;
    }
  }
  mapped_.segments.push_back(segment);
}

void MappedTextBuilder::Append(const MappedText& other) {
  size_t base = mapped_.text.size();
  for (SourceSegment segment : other.segments) {
    segment.text_begin += base;
    AppendSegment(segment);
  }
  mapped_.text += other.text;
}

void MappedTextBuilder::Truncate(size_t size) {
  if (size >= mapped_.text.size()) return;
  mapped_ = Slice(mapped_, 0, size);
}

}  // namespace lastro::ingest
