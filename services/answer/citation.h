// Citations: from bytes of a passage to verified bytes of its source. No citation leaves this file that was not
// compared with the source's bytes as the store holds them. Thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "base/call_context.h"
#include "lastro/v1/ask.pb.h"
#include "lastro/v1/retrieval.pb.h"
#include "services/api.h"

namespace lastro::services::answer {

// Notes in `citation`, which is of bytes that hold them, that bytes [begin, end) of `passage`'s chunk text are the
// answer (Citation.answer_in_quote). Leaves it out where the source's encoding does not let its bytes be told apart.
void MarkAnswer(const v1::SearchHit& passage, uint64_t begin, uint64_t end, v1::Citation* citation);

// The citation of bytes [begin, end) of `passage`'s chunk text: reads the source range from `retrieval`, compares every
// verbatim piece with the text, and fills all but answer_range.
//
// Errors: ABORTED when the source no longer is what the passage was read from (the document was replaced or deleted
// since the search: ask again); DATA_LOSS when the same source holds other bytes; NOT_FOUND never leaves: it becomes
// ABORTED.
absl::StatusOr<v1::Citation> MakeVerifiedCitation(const v1::SearchHit& passage, uint64_t begin, uint64_t end,
                                                  RetrievalApi& retrieval, const CallContext& context);

// Whether bytes [begin, end) of `passage`'s chunk text can be compared with their source at all: what a page writes in
// character references alone cannot, and is not quoted.
bool CanBeVerified(const v1::SearchHit& passage, uint64_t begin, uint64_t end);

// True when each verbatim segment that overlaps text bytes [begin, end) has the same bytes in `source`, which holds the
// source's bytes from `source_begin` on.
bool SourceMatchesText(const v1::Chunk& chunk, uint64_t begin, uint64_t end, const std::string& source,
                       uint64_t source_begin);

}  // namespace lastro::services::answer
