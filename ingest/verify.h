// The last check before chunks are stored: their maps hold. Pure function, thread-safe.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "retrieval/types.h"

namespace lastro::ingest {

// INTERNAL, naming chunk and byte, unless every segment lies within text and source, segments are in order, verbatim
// ones hold the same bytes, the text is valid UTF-8, cells are whole characters of it in order, and every sentence maps
// to a range of the source.
absl::Status VerifyChunks(absl::Span<const retrieval::Chunk> chunks, absl::string_view source);

}  // namespace lastro::ingest
