#include "retrieval/source_map.h"

#include <algorithm>

namespace lastro::retrieval {
namespace {

uint64_t TextEnd(const SourceSegment& segment) { return segment.text_begin + segment.text_length; }

// The source bytes of the part of `segment` within text bytes [begin, end), which overlap it.
SourceRange MapWithin(const SourceSegment& segment, uint64_t begin, uint64_t end) {
  if (!segment.verbatim) return {segment.source_begin, segment.source_begin + segment.source_length};
  uint64_t first = std::max(begin, segment.text_begin) - segment.text_begin;
  uint64_t last = std::min(end, TextEnd(segment)) - segment.text_begin;
  return {segment.source_begin + first, segment.source_begin + last};
}

}  // namespace

std::optional<SourceRange> MapToSource(absl::Span<const SourceSegment> segments, uint64_t begin, uint64_t end) {
  if (begin >= end) return std::nullopt;
  auto first = std::upper_bound(segments.begin(), segments.end(), begin,
                                [](uint64_t at, const SourceSegment& segment) { return at < TextEnd(segment); });
  auto stop = std::lower_bound(first, segments.end(), end,
                               [](const SourceSegment& segment, uint64_t at) { return segment.text_begin < at; });
  if (first == stop || first->text_begin > begin || TextEnd(*(stop - 1)) < end) return std::nullopt;
  SourceRange range = MapWithin(*first, begin, end);
  for (auto segment = first + 1; segment != stop; ++segment) {
    SourceRange piece = MapWithin(*segment, begin, end);
    range.begin = std::min(range.begin, piece.begin);
    range.end = std::max(range.end, piece.end);
  }
  if (range.begin >= range.end) return std::nullopt;
  return range;
}

}  // namespace lastro::retrieval
