#include "ingest/verify.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "base/sentence.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "retrieval/source_map.h"

namespace lastro::ingest {
namespace {

using retrieval::Chunk;
using retrieval::SourceSegment;

absl::Status Failure(const Chunk& chunk, uint64_t at, absl::string_view what) {
  return absl::InternalError(
      absl::StrCat("chunk ", chunk.ordinal, ", byte ", at, ": ", what, " (a bug of the reader; please report it)"));
}

absl::Status VerifySegment(const Chunk& chunk, const SourceSegment& segment, absl::string_view source) {
  uint64_t at = segment.text_begin;
  bool in_text = at <= chunk.text.size() && segment.text_length <= chunk.text.size() - at;
  bool in_source =
      segment.source_begin <= source.size() && segment.source_length <= source.size() - segment.source_begin;
  if (!in_text || !in_source || segment.text_length == 0) return Failure(chunk, at, "a segment is out of range");
  if (!segment.verbatim) return absl::OkStatus();
  absl::string_view text = absl::string_view(chunk.text).substr(at, segment.text_length);
  if (text != source.substr(segment.source_begin, segment.source_length)) {
    return Failure(chunk, at, "the text differs from the source");
  }
  return absl::OkStatus();
}

absl::Status VerifyCells(const Chunk& chunk) {
  uint64_t end = 0;
  for (const retrieval::NamedCell& cell : chunk.cells) {
    if (cell.begin < end || cell.begin >= cell.end || cell.end > chunk.text.size()) {
      return Failure(chunk, cell.begin, "a cell is empty, overlaps another or is out of range");
    }
    if (!IsRuneBoundary(chunk.text, cell.begin) || !IsRuneBoundary(chunk.text, cell.end)) {
      return Failure(chunk, cell.begin, "a cell cuts a character");
    }
    end = cell.end;
  }
  return absl::OkStatus();
}

absl::Status VerifyChunk(const Chunk& chunk, absl::string_view source) {
  if (!IsValidUtf8(chunk.text)) return Failure(chunk, 0, "the text is not valid UTF-8");
  uint64_t end = 0;
  for (const SourceSegment& segment : chunk.segments) {
    if (segment.text_begin < end) return Failure(chunk, segment.text_begin, "segments overlap");
    LASTRO_RETURN_IF_ERROR(VerifySegment(chunk, segment, source));
    end = segment.text_begin + segment.text_length;
  }
  LASTRO_RETURN_IF_ERROR(VerifyCells(chunk));
  for (const TextRange& sentence : SplitSentences(chunk.text)) {
    std::optional<retrieval::SourceRange> range = retrieval::MapToSource(chunk.segments, sentence.begin, sentence.end);
    if (!range || range->end > source.size()) return Failure(chunk, sentence.begin, "a sentence has no source");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status VerifyChunks(absl::Span<const Chunk> chunks, absl::string_view source) {
  for (const Chunk& chunk : chunks) LASTRO_RETURN_IF_ERROR(VerifyChunk(chunk, source));
  return absl::OkStatus();
}

}  // namespace lastro::ingest
