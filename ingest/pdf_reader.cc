#include "ingest/pdf_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "ingest/child_process.h"
#include "ingest/normalize.h"
#include "ingest/text_reader.h"

namespace lastro::ingest {
namespace {

constexpr size_t kHeaderBytes = 1024;  // within which "%PDF-" must stand
constexpr size_t kMaxReasonBytes = 200;

// The last line of what the program complained about, printable characters only.
std::string Reason(absl::string_view errors) {
  errors = absl::StripAsciiWhitespace(errors);
  size_t line = errors.rfind('\n');
  if (line != absl::string_view::npos) errors.remove_prefix(line + 1);
  std::string reason(errors.substr(0, kMaxReasonBytes));
  std::replace_if(reason.begin(), reason.end(), [](char c) { return !absl::ascii_isprint(c); }, '?');
  return reason;
}

// Proportional fonts make wrapped lines differ in length, hence the slack.
PlainTextOptions PageOptions(int page) {
  PlainTextOptions options;
  options.page = page;
  options.wrap_slack = 0.7;
  options.min_wrap_columns = 30;
  options.join_hyphens = true;
  options.first_line_headings = true;
  return options;
}

}  // namespace

absl::StatusOr<std::string> ExtractPdfText(absl::string_view pdf, const PdfOptions& options,
                                           const CallContext& context) {
  if (!absl::StrContains(pdf.substr(0, kHeaderBytes), "%PDF-")) {
    return absl::InvalidArgumentError("the file is no PDF: it does not begin with %PDF-");
  }
  std::string program = options.program.empty() ? FindProgram("pdftotext") : options.program;
  if (program.empty()) {
    return absl::FailedPreconditionError("pdftotext is not installed; install poppler-utils to read PDF files");
  }
  ChildLimits limits{options.timeout_s, options.memory_bytes, options.max_text_bytes};
  LASTRO_ASSIGN_OR_RETURN(
      ChildResult result,
      RunChild({program, "-q", "-enc", "UTF-8", "-eol", "unix", "-", "-"}, pdf, limits, context));
  if (result.exit_code != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("pdftotext could not read the PDF (exit code ", result.exit_code, ") ", Reason(result.errors)));
  }
  std::string text = ReplaceInvalidUtf8(result.output);
  if (text.find_first_not_of(" \t\n\f\r") == std::string::npos) {
    return absl::InvalidArgumentError("the PDF has no text; scanned pages must go through text recognition first");
  }
  return text;
}

absl::StatusOr<std::vector<Block>> ReadPdfText(const std::string& extracted, const CallContext& context) {
  std::vector<Block> blocks;
  int page = 1;
  for (size_t begin = 0; begin < extracted.size(); ++page) {
    size_t end = std::min(extracted.find('\f', begin), extracted.size());
    MappedText text = IdentityText(extracted.substr(begin, end - begin));
    for (retrieval::SourceSegment& segment : text.segments) segment.source_begin += begin;
    text = Normalize(std::move(text));
    LASTRO_ASSIGN_OR_RETURN(std::vector<Block> page_blocks, ReadPlainText(text.text, PageOptions(page), context));
    for (Block& block : page_blocks) {
      block.content = Compose(std::move(block.content), text);
      blocks.push_back(std::move(block));
    }
    begin = end + 1;
  }
  return blocks;
}

}  // namespace lastro::ingest
