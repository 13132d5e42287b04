// Blocks of plain text: paragraphs with their wrapped lines joined, list items, lines that stand for themselves, and
// the headings that can be told with confidence. Also reads the text extracted from PDF files. Pure function,
// thread-safe.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/call_context.h"
#include "ingest/block.h"

namespace lastro::ingest {

struct PlainTextOptions {
  int page = 0;               // given to every block
  double wrap_slack = 0.9;    // a line counts as wrapped when it and the next word exceed this share of the width
  int min_wrap_columns = 45;  // text with shorter lines was not wrapped by a program
  bool join_hyphens = false;  // join words that were hyphenated at the line end
  int section_before = 0;     // number of the last numbered heading on the pages before; with first_line_headings
  bool first_line_headings = false;  // the first line of a paragraph may be a heading (PDF has no blank lines there)
};

// The number of up to three digits that a text begins with; 0 when there is none.
int LeadingNumber(absl::string_view text);

// `text` is UTF-8 with \n line ends. The blocks' sources are its bytes. Errors: those of `context`.
absl::StatusOr<std::vector<Block>> ReadPlainText(absl::string_view text, const PlainTextOptions& options,
                                                 const CallContext& context);

}  // namespace lastro::ingest
