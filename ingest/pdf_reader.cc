#include "ingest/pdf_reader.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "ingest/child_process.h"
#include "ingest/normalize.h"
#include "ingest/pdf_hidden.h"
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
  std::replace_if(
      reason.begin(), reason.end(), [](char c) { return !absl::ascii_isprint(c); }, '?');
  return reason;
}

// Proportional fonts make wrapped lines differ in length, hence the slack.
PlainTextOptions PageOptions(int page, int section_before) {
  PlainTextOptions options;
  options.page = page;
  options.section_before = section_before;
  options.wrap_slack = 0.7;
  options.min_wrap_columns = 30;
  options.join_hyphens = true;
  options.first_line_headings = true;
  return options;
}

// The page extracted[begin, end).
absl::StatusOr<std::vector<Block>> ReadPage(const std::string& extracted, size_t begin, size_t end,
                                            const PlainTextOptions& options, const CallContext& context) {
  MappedText text = IdentityText(extracted.substr(begin, end - begin));
  for (retrieval::SourceSegment& segment : text.segments) segment.source_begin += begin;
  text = Normalize(std::move(text));
  LASTRO_ASSIGN_OR_RETURN(std::vector<Block> blocks, ReadPlainText(text.text, options, context));
  for (Block& block : blocks) block.content = Compose(std::move(block.content), text);
  return blocks;
}

// What a header or footer has in common with those of other pages: all but the digits. Empty for what is too long.
std::string RunningKey(const Block& block) {
  constexpr size_t kMaxRunningBytes = 120;
  std::string key = block.content.text;
  if (key.size() > kMaxRunningBytes || key.find('\n') != std::string::npos) return "";
  key.erase(std::remove_if(key.begin(), key.end(), absl::ascii_isdigit), key.end());
  return key;
}

// The blocks of all pages but for headers and footers: the first or last block of a page when at least half of the
// pages, and two, have one like it.
std::vector<Block> WithoutRunningLines(std::vector<std::vector<Block>> pages) {
  absl::flat_hash_map<std::string, size_t> firsts, lasts;
  for (const std::vector<Block>& page : pages) {
    if (page.size() < 2) continue;
    ++firsts[RunningKey(page.front())];
    ++lasts[RunningKey(page.back())];
  }
  auto runs = [&](const absl::flat_hash_map<std::string, size_t>& counts, const Block& block) {
    std::string key = RunningKey(block);
    auto found = counts.find(key);
    return !key.empty() && found != counts.end() && found->second >= 2 && found->second * 2 >= pages.size();
  };
  std::vector<Block> blocks;
  for (std::vector<Block>& page : pages) {
    for (size_t i = 0; i < page.size(); ++i) {
      bool header = i == 0 && page.size() > 1 && runs(firsts, page[i]);
      bool footer = i > 0 && i + 1 == page.size() && runs(lasts, page[i]);
      if (!header && !footer) blocks.push_back(std::move(page[i]));
    }
  }
  return blocks;
}

bool IsBlank(const std::string& text) { return text.find_first_not_of(" \t\n\f\r") == std::string::npos; }

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
  LASTRO_ASSIGN_OR_RETURN(ChildResult result,
                          RunChild({program, "-q", "-enc", "UTF-8", "-eol", "unix", "-", "-"}, pdf, limits, context));
  if (result.exit_code != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("pdftotext could not read the PDF (exit code ", result.exit_code, ") ", Reason(result.errors)));
  }
  std::string text = ReplaceInvalidUtf8(result.output);
  if (IsBlank(text)) {
    return absl::InvalidArgumentError("the PDF has no text; scanned pages must go through text recognition first");
  }
  LASTRO_ASSIGN_OR_RETURN(text, WithoutHiddenText(pdf, text, options, context));
  if (IsBlank(text)) return absl::InvalidArgumentError("the PDF shows no text; all of it is hidden");
  return text;
}

absl::StatusOr<std::vector<Block>> ReadPdfText(const std::string& extracted, const CallContext& context) {
  std::vector<std::vector<Block>> pages;
  int section = 0;
  for (size_t begin = 0; begin < extracted.size();) {
    size_t end = std::min(extracted.find('\f', begin), extracted.size());
    PlainTextOptions options = PageOptions(static_cast<int>(pages.size()) + 1, section);
    LASTRO_ASSIGN_OR_RETURN(std::vector<Block> page, ReadPage(extracted, begin, end, options, context));
    for (const Block& block : page) {
      if (block.kind == BlockKind::kHeading) section = std::max(section, LeadingNumber(block.content.text));
    }
    pages.push_back(std::move(page));
    begin = end + 1;
  }
  return WithoutRunningLines(std::move(pages));
}

}  // namespace lastro::ingest
