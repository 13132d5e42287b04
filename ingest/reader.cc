#include "ingest/reader.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "ingest/decode.h"
#include "ingest/format.h"
#include "ingest/html_reader.h"
#include "ingest/markdown_reader.h"
#include "ingest/normalize.h"
#include "ingest/pdf_reader.h"
#include "ingest/text_reader.h"

namespace lastro::ingest {
namespace {

absl::StatusOr<ReadResult> ReadPdf(absl::string_view content, const ReaderOptions& options,
                                   const CallContext& context) {
  PdfOptions pdf;
  pdf.program = options.pdftotext;
  pdf.timeout_s = options.parser_timeout_s;
  pdf.memory_bytes = options.parser_memory_bytes;
  pdf.max_text_bytes = options.max_text_bytes;
  ReadResult result;
  result.source_kind = retrieval::SourceKind::kExtractedText;
  LASTRO_ASSIGN_OR_RETURN(result.extracted, ExtractPdfText(content, pdf, context));
  LASTRO_ASSIGN_OR_RETURN(result.blocks, ReadPdfText(result.extracted, context));
  return result;
}

// Parses normalised text of a format into blocks whose sources are its bytes; the title goes into `result`.
absl::Status ParseText(absl::string_view text, Format format, const ReaderOptions& options, const CallContext& context,
                       ReadResult* result) {
  if (format == Format::kHtml) {
    LASTRO_ASSIGN_OR_RETURN(HtmlPage page, ReadHtml(text, options.parser_memory_bytes, context));
    result->title = std::move(page.title);
    result->blocks = std::move(page.blocks);
  } else if (format == Format::kMarkdown) {
    LASTRO_ASSIGN_OR_RETURN(MarkdownPage page, ReadMarkdown(text, options.parser_memory_bytes, context));
    result->title = std::move(page.title);
    result->blocks = std::move(page.blocks);
  } else {
    LASTRO_ASSIGN_OR_RETURN(result->blocks, ReadPlainText(text, PlainTextOptions(), context));
  }
  return absl::OkStatus();
}

// Of a table's row part by part, so that it is known where its cells are then.
void NormalizeBlock(Block* block) {
  if (block->cells.empty()) {
    block->content = Normalize(std::move(block->content));
    return;
  }
  MappedTextBuilder out;
  std::vector<TableCell> cells;
  size_t at = 0;
  const auto add = [&](size_t end) {
    const size_t before = out.size();
    out.Append(Normalize(Slice(block->content, at, end)));
    at = end;
    return before;
  };
  for (TableCell cell : block->cells) {
    add(cell.begin);
    cell.begin = add(cell.end);
    cell.end = out.size();
    if (cell.begin < cell.end) cells.push_back(cell);
  }
  add(block->content.text.size());
  block->content = out.Finish();
  block->cells = std::move(cells);
}

absl::StatusOr<ReadResult> ReadText(absl::string_view content, Format format, const ReaderOptions& options,
                                    const CallContext& context) {
  if (absl::StartsWith(content, "%PDF-")) return absl::InvalidArgumentError("the file is a PDF; name it .pdf");
  std::string declared = format == Format::kHtml ? DeclaredHtmlCharset(content) : "";
  LASTRO_ASSIGN_OR_RETURN(DecodedText decoded, DecodeText(content, declared, options.max_text_bytes));
  LASTRO_RETURN_IF_ERROR(context.Check());
  MappedText text = Normalize(std::move(decoded.mapped));
  ReadResult result;
  result.encoding = std::move(decoded.encoding);
  LASTRO_RETURN_IF_ERROR(ParseText(text.text, format, options, context, &result));
  std::vector<Block> blocks;
  for (Block& block : result.blocks) {
    // Character references may have brought back what normalisation had removed.
    block.content = Compose(std::move(block.content), text);
    NormalizeBlock(&block);
    if (block.content.text.find_first_not_of(" \t\n") != std::string::npos) blocks.push_back(std::move(block));
  }
  result.blocks = std::move(blocks);
  return result;
}

// One line without hidden characters, at most `max_bytes` long.
std::string CleanTitle(std::string title) {
  constexpr size_t kMaxTitleBytes = 300;
  MappedText clean = Normalize(IdentityText(std::move(title)));
  std::string line;
  for (char c : clean.text) {
    bool space = c == ' ' || c == '\n' || c == '\t';
    if (!space) line.push_back(c);
    if (space && !line.empty() && line.back() != ' ') line.push_back(' ');
  }
  if (line.size() > kMaxTitleBytes) {
    size_t end = kMaxTitleBytes;
    while ((line[end] & 0xC0) == 0x80) --end;
    line.resize(end);
  }
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

// The first heading of the highest level among the first few blocks.
std::string TitleFromHeadings(const std::vector<Block>& blocks) {
  const Block* best = nullptr;
  for (const Block& block : blocks) {
    bool better = block.kind == BlockKind::kHeading && (best == nullptr || block.level < best->level);
    if (better) best = &block;
    if (best != nullptr && best->level == 1) break;
  }
  return best == nullptr ? "" : best->content.text;
}

}  // namespace

absl::StatusOr<ReadResult> ReadContent(absl::string_view content, absl::string_view uri, absl::string_view media_type,
                                       const ReaderOptions& options, const CallContext& context) {
  LASTRO_ASSIGN_OR_RETURN(Format format, DetectFormat(uri, media_type, options.any_text));
  CallContext limited = context.WithDeadline(absl::Now() + absl::Seconds(options.parser_timeout_s));
  absl::StatusOr<ReadResult> result =
      format == Format::kPdf ? ReadPdf(content, options, limited) : ReadText(content, format, options, limited);
  if (absl::IsDeadlineExceeded(result.status()) && context.Check().ok()) {
    return absl::DeadlineExceededError(
        absl::StrCat("reading the file takes longer than ", options.parser_timeout_s, " s"));
  }
  LASTRO_RETURN_IF_ERROR(result.status());
  if (result->blocks.empty()) return absl::InvalidArgumentError("the file has no readable text");
  result->media_type = std::string(MediaTypeOf(format));
  result->title = CleanTitle(result->title.empty() ? TitleFromHeadings(result->blocks) : std::move(result->title));
  return result;
}

}  // namespace lastro::ingest
