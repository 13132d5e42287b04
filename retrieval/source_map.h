// From bytes of a chunk's text to bytes of its source. Pure functions, thread-safe.
#pragma once

#include <optional>

#include "absl/types/span.h"
#include "retrieval/types.h"

namespace lastro::retrieval {

// The smallest source range that text bytes [begin, end) come from; nullopt when no segment covers both ends, or the
// range is empty. A bound inside a segment that is not verbatim takes the whole segment.
std::optional<SourceRange> MapToSource(absl::Span<const SourceSegment> segments, uint64_t begin, uint64_t end);

}  // namespace lastro::retrieval
