// MappedText: UTF-8 text that knows which source bytes each of its bytes came from. The stages of a reader (decode,
// normalise, parse) each make one from the text of the stage before; Compose() chains their maps down to the file's own
// bytes. Plain data and pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "retrieval/types.h"

namespace lastro::ingest {

struct MappedText {
  std::string text;                                // valid UTF-8
  std::vector<retrieval::SourceSegment> segments;  // in text order, without overlap; gaps are text without a source
};

// The text as a map onto itself.
MappedText IdentityText(std::string text);

// `outer` with its source ranges, which point into `inner.text`, replaced by those of `inner`'s source. A range that
// covers part of a segment of `inner` that is not verbatim takes the whole segment.
MappedText Compose(MappedText outer, const MappedText& inner);

// Bytes [begin, end) of `mapped`. REQUIRES: begin <= end <= mapped.text.size().
MappedText Slice(const MappedText& mapped, size_t begin, size_t end);

// Appends pieces and keeps the map small: neighbouring verbatim pieces are merged, and so are neighbouring pieces of
// one word that are not verbatim (a UTF-16 file has one segment a word, not one a letter).
class MappedTextBuilder {
 public:
  // `piece` is source bytes [source_begin, +piece.size()), unchanged.
  void AppendVerbatim(absl::string_view piece, uint64_t source_begin);
  // `piece` stands for source bytes [source_begin, +source_length).
  void AppendChanged(absl::string_view piece, uint64_t source_begin, uint64_t source_length);
  // `piece` has no source (a separator of ours).
  void AppendWithoutSource(absl::string_view piece) { mapped_.text.append(piece.data(), piece.size()); }
  // All of `other`, segments included.
  void Append(const MappedText& other);

  const std::string& text() const { return mapped_.text; }
  size_t size() const { return mapped_.text.size(); }
  // Cuts the text to its first `size` bytes.
  void Truncate(size_t size);
  MappedText Finish() { return std::move(mapped_); }

 private:
  void AppendSegment(const retrieval::SourceSegment& segment);
  MappedText mapped_;
};

}  // namespace lastro::ingest
