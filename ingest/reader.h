// From a file's bytes to its readable text in blocks, whatever its format: detect, decode, normalise, parse. Pure
// function, thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/call_context.h"
#include "ingest/block.h"

namespace lastro::ingest {

struct ReaderOptions {
  uint64_t max_text_bytes = 32u << 20;
  double parser_timeout_s = 60;               // of one file's parser
  uint64_t parser_memory_bytes = 1ull << 30;  // of one file's parser
  bool any_text = false;                      // read unknown extensions as plain text
  std::string pdftotext;                      // path; empty: searched in the system's folders
};

// Changes when a reader gives other text for the same bytes: documents are then read again.
inline constexpr int kReaderVersion = 5;

// Reads `content`, the bytes of the file `uri`. UNIMPLEMENTED for a format without a reader, INVALID_ARGUMENT for
// content that cannot be read, FAILED_PRECONDITION when a program is missing, RESOURCE_EXHAUSTED and DEADLINE_EXCEEDED
// when a parser reaches its limits, CANCELLED.
absl::StatusOr<ReadResult> ReadContent(absl::string_view content, absl::string_view uri, absl::string_view media_type,
                                       const ReaderOptions& options, const CallContext& context);

}  // namespace lastro::ingest
