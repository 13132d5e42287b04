// The blobs of the store: metadata, the layout of a chunk (heading lengths, source segments, cells), and jobs. Pure
// functions, thread-safe. Decoding checks everything: DATA_LOSS.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "retrieval/filter.h"
#include "retrieval/types.h"

namespace lastro::retrieval {

std::string EncodeMetadata(const Metadata& metadata);
std::string EncodeFilter(const Filter& filter);  // different for filters that are not the same; not read back
absl::StatusOr<Metadata> DecodeMetadata(absl::string_view bytes);

// Headings are stored as one text, joined by '\n', which full-text search indexes; the layout keeps their lengths.
std::string JoinHeadings(absl::Span<const std::string> headings);
// Of headings, segments and cells.
std::string EncodeLayout(const Chunk& chunk);
// Fills them in. Layouts from before there were cells have none.
absl::Status DecodeLayout(absl::string_view layout, absl::string_view joined_headings, Chunk* chunk);

std::string EncodeJob(const Job& job);
absl::StatusOr<Job> DecodeJob(absl::string_view bytes);

}  // namespace lastro::retrieval
