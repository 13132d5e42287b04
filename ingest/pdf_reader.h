// Text of PDF files by poppler's pdftotext, in a process of its own, without what the pages hide (pdf_hidden.h). Pure
// functions, thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/call_context.h"
#include "ingest/block.h"

namespace lastro::ingest {

struct PdfOptions {
  std::string program;          // path of pdftotext; empty: searched in the system's folders
  std::string drawing_program;  // the same of pdftoppm
  double timeout_s = 60;        // of each run of one
  uint64_t memory_bytes = 1ull << 30;
  uint64_t max_text_bytes = 32u << 20;
};

// The text that `pdf` shows, valid UTF-8, pages ended by form feeds. FAILED_PRECONDITION when poppler is not installed;
// INVALID_ARGUMENT when the file is no PDF, damaged, encrypted or without text that shows; errors of RunChild.
absl::StatusOr<std::string> ExtractPdfText(absl::string_view pdf, const PdfOptions& options,
                                           const CallContext& context);

// The blocks of extracted text, with their page numbers but without running headers and footers; their sources are its
// bytes. Errors: those of `context`.
absl::StatusOr<std::vector<Block>> ReadPdfText(const std::string& extracted, const CallContext& context);

}  // namespace lastro::ingest
