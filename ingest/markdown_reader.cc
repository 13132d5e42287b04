#include "ingest/markdown_reader.h"

#include <md4c.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "ingest/block_text.h"
#include "ingest/html_reader.h"
#include "ingest/html_text.h"
#include "ingest/open_elements.h"
#include "ingest/table_cells.h"

namespace lastro::ingest {
namespace {

constexpr size_t kMaxFrontMatterBytes = 64u << 10;

struct FrontMatter {
  size_t length = 0;  // bytes of the file it takes; 0 when there is none
  std::string title;
};

// YAML between "---" lines at the start of the file. Only a plain "title:" is read.
FrontMatter ReadFrontMatter(absl::string_view markdown) {
  FrontMatter matter;
  if (!absl::StartsWith(markdown, "---\n")) return matter;
  size_t at = 4;
  std::string title;
  while (at < markdown.size() && at < kMaxFrontMatterBytes) {
    size_t end = std::min(markdown.find('\n', at), markdown.size());
    absl::string_view line = absl::StripTrailingAsciiWhitespace(markdown.substr(at, end - at));
    at = std::min(end + 1, markdown.size());
    if (line == "---" || line == "...") return {at, title};
    if (absl::StartsWith(line, "title:")) title = std::string(absl::StripAsciiWhitespace(line.substr(6)));
    bool quoted = title.size() >= 2 && (title.front() == '"' || title.front() == '\'') && title.back() == title.front();
    if (quoted) title = title.substr(1, title.size() - 2);
  }
  return matter;  // never closed: a thematic break, not front matter
}

// Turns md4c's events into blocks. md4c gives text as pointers into its input, which are the offsets we need; what it
// makes up itself (indentation in code) points elsewhere.
class MarkdownCollector {
 public:
  MarkdownCollector(absl::string_view markdown, size_t begin, uint64_t max_memory_bytes, const CallContext& context)
      : markdown_(markdown), begin_(begin), max_memory_bytes_(max_memory_bytes), context_(context), open_(context) {}

  absl::Status Run() {
    MD_PARSER parser = {};
    parser.flags = MD_FLAG_TABLES | MD_FLAG_STRIKETHROUGH | MD_FLAG_TASKLISTS;
    parser.enter_block = [](MD_BLOCKTYPE type, void* detail, void* self) {
      return static_cast<MarkdownCollector*>(self)->EnterBlock(type, detail);
    };
    parser.leave_block = [](MD_BLOCKTYPE type, void* detail, void* self) {
      return static_cast<MarkdownCollector*>(self)->LeaveBlock(type, detail);
    };
    parser.enter_span = [](MD_SPANTYPE, void*, void*) { return 0; };
    parser.leave_span = [](MD_SPANTYPE, void*, void*) { return 0; };
    parser.text = [](MD_TEXTTYPE type, const MD_CHAR* text, MD_SIZE size, void* self) {
      return static_cast<MarkdownCollector*>(self)->AddText(type, absl::string_view(text, size));
    };
    absl::string_view body = markdown_.substr(begin_);
    int result = md_parse(body.data(), static_cast<MD_SIZE>(body.size()), &parser, this);
    if (!status_.ok()) return status_;
    if (result != 0) return absl::ResourceExhaustedError("the Markdown parser ran out of memory");
    return absl::OkStatus();
  }

  std::vector<Block> TakeBlocks() { return std::move(blocks_); }

 private:
  int EnterBlock(MD_BLOCKTYPE type, void* detail) {
    status_ = context_.Check();
    if (!status_.ok()) return 1;
    if (EndsElements(type)) depths_.push_back(open_.depth());
    switch (type) {
      case MD_BLOCK_LI:
        Flush(BlockKind::kListItem);
        ++item_depth_;
        item_starts_ = true;
        break;
      case MD_BLOCK_CODE:
        Flush(Kind());
        in_code_ = true;
        break;
      case MD_BLOCK_HTML:
        Flush(Kind());
        html_begin_ = html_end_ = markdown_.size();
        break;
      case MD_BLOCK_TABLE:
        Flush(Kind());
        ++tables_;
        break;
      case MD_BLOCK_TR:
        cells_.clear();
        break;
      case MD_BLOCK_TH:
      case MD_BLOCK_TD:
        if (!cells_.empty()) text_.Separator(" | ");
        cells_.push_back({0, 0, static_cast<int>(cells_.size()), 1});
        break;
      default:
        Flush(Kind());
    }
    return 0;
  }

  int LeaveBlock(MD_BLOCKTYPE type, void* detail) {
    if (EndsElements(type)) {
      open_.EndParagraph(depths_.back());
      depths_.pop_back();
    }
    switch (type) {
      case MD_BLOCK_H:
        Flush(BlockKind::kHeading, static_cast<int>(static_cast<const MD_BLOCK_H_DETAIL*>(detail)->level));
        break;
      case MD_BLOCK_LI:
        Flush(BlockKind::kListItem);
        --item_depth_;
        item_starts_ = false;
        break;
      case MD_BLOCK_CODE:
        Flush(BlockKind::kCode);
        in_code_ = false;
        break;
      case MD_BLOCK_HTML:
        status_ = ReadHtmlBlock();
        break;
      case MD_BLOCK_TR:
        Flush(BlockKind::kTableRow);
        break;
      case MD_BLOCK_THEAD:
        if (!blocks_.empty() && blocks_.back().kind == BlockKind::kTableRow) blocks_.back().table_header = true;
        break;
      case MD_BLOCK_TH:
      case MD_BLOCK_TD:
        break;
      default:
        Flush(Kind());
    }
    return status_.ok() ? 0 : 1;
  }

  // Blocks at whose end the HTML elements opened in them end.
  static bool EndsElements(MD_BLOCKTYPE type) {
    return type == MD_BLOCK_P || type == MD_BLOCK_H || type == MD_BLOCK_TH || type == MD_BLOCK_TD ||
           type == MD_BLOCK_LI || type == MD_BLOCK_QUOTE;
  }

  BlockKind Kind() const { return item_depth_ > 0 ? BlockKind::kListItem : BlockKind::kParagraph; }

  void Flush(BlockKind kind, int level = 0) {
    Block block;
    block.kind = kind;
    block.level = level;
    std::vector<BlockText::Field> fields;
    block.content = text_.Take(&fields);
    if (kind == BlockKind::kTableRow) {
      block.table = tables_;
      block.cells = CellsWithText(fields, cells_);
    }
    if (block.content.text.find_first_not_of("| \t\n") != std::string::npos) blocks_.push_back(std::move(block));
  }

  // Where `text` lies in the file; nullopt when md4c made it up.
  std::optional<size_t> OffsetOf(absl::string_view text) const {
    std::less<const char*> before;
    const char* end = markdown_.data() + markdown_.size();
    if (before(text.data(), markdown_.data()) || !before(text.data(), end)) return std::nullopt;
    return static_cast<size_t>(text.data() - markdown_.data());
  }

  int AddText(MD_TEXTTYPE type, absl::string_view text) {
    std::optional<size_t> offset = OffsetOf(text);
    if (type != MD_TEXT_HTML && open_.Hides()) {
      if (offset) last_end_ = *offset + text.size();
      return 0;
    }
    if (in_code_) return AddCode(text, offset);
    switch (type) {
      case MD_TEXT_BR:
        text_.LineBreak(0, 0);
        break;
      case MD_TEXT_SOFTBR:
        AddSoftBreak();
        break;
      case MD_TEXT_HTML:
        AddHtml(text, offset);
        break;
      case MD_TEXT_ENTITY:
        StartItem(offset);
        if (offset) AddEntity(text, *offset);
        break;
      case MD_TEXT_NULLCHAR:
        break;
      default:
        if (offset) {
          StartItem(offset);
          text_.Text(text, *offset);
        } else if (!text.empty()) {
          text_.Space(0, 0);  // a line break inside a code span
        }
    }
    if (offset) last_end_ = *offset + text.size();
    return 0;
  }

  // HTML knows "&not" without a semicolon, Markdown does not: what leaves the semicolon over is plain text.
  void AddEntity(absl::string_view text, size_t offset) {
    const std::string& meaning = entities_.Decode(text);
    bool known = meaning != text && (meaning == ";" || !absl::EndsWith(meaning, ";"));
    known ? text_.Replaced(meaning, offset, text.size()) : text_.Text(text, offset);
  }

  // A soft break comes without a position: it is the line end behind the text before it, with what the next line
  // starts with (indentation; a quote's markers end the range).
  void AddSoftBreak() {
    size_t at = markdown_.find_first_not_of(" \t*_~`)", last_end_);
    if (at == absl::string_view::npos || markdown_[at] != '\n') return text_.Space(0, 0);
    size_t end = markdown_.find_first_not_of(" \t\n", at);
    if (end == absl::string_view::npos) end = markdown_.size();
    text_.Space(at, end - at);
  }

  int AddCode(absl::string_view text, std::optional<size_t> offset) {
    if (offset) {
      text_.Preformatted(text, *offset);
      last_end_ = *offset + text.size();
    } else if (text == "\n" && !text_.empty()) {
      bool verbatim = last_end_ < markdown_.size() && markdown_[last_end_] == '\n';
      verbatim ? text_.Preformatted("\n", last_end_) : text_.Separator("\n");
      ++last_end_;
    } else if (text != "\n") {
      text_.Separator(text);
    }
    return 0;
  }

  void AddHtml(absl::string_view text, std::optional<size_t> offset) {
    if (html_begin_ == kNoHtml) {  // an inline tag or comment
      open_.Add(text);
      if (absl::StartsWithIgnoreCase(text, "<br")) text_.LineBreak(0, 0);
      return;
    }
    if (!offset) return;
    html_begin_ = std::min(html_begin_, *offset);
    html_end_ = *offset + text.size();
  }

  absl::Status ReadHtmlBlock() {
    size_t begin = std::exchange(html_begin_, kNoHtml);
    if (begin >= html_end_) return absl::OkStatus();
    absl::string_view html = markdown_.substr(begin, html_end_ - begin);
    while (open_.Hides() && !html.empty()) {  // lines of what began hidden
      const size_t line = std::min(html.find('\n'), html.size() - 1) + 1;
      open_.Add(html.substr(0, line));
      html.remove_prefix(line);
      begin += line;
    }
    open_.Add(html);
    open_.EndBlock();
    LASTRO_ASSIGN_OR_RETURN(HtmlPage page, ReadHtml(html, max_memory_bytes_, context_));
    const int tables_before = tables_;
    for (Block& block : page.blocks) {
      if (block.kind == BlockKind::kTableRow) tables_ = std::max(tables_, block.table += tables_before);
      for (retrieval::SourceSegment& segment : block.content.segments) segment.source_begin += begin;
      blocks_.push_back(std::move(block));
    }
    return absl::OkStatus();
  }

  // Puts the marker of a list item ("- ", "3. ") before its first text.
  void StartItem(std::optional<size_t> offset) {
    if (!std::exchange(item_starts_, false) || !offset || !text_.empty()) return;
    size_t line = markdown_.rfind('\n', *offset);
    line = line == absl::string_view::npos || *offset == 0 ? 0 : line + 1;
    if (line > *offset) return;
    absl::string_view before = markdown_.substr(line, *offset - line);
    before = before.substr(0, before.find_last_not_of("*_`~![") + 1);  // emphasis, code, a link or picture
    before = absl::StripTrailingAsciiWhitespace(before);
    if (absl::EndsWith(before, "]")) before = absl::StripTrailingAsciiWhitespace(before.substr(0, before.rfind('[')));
    size_t end = before.size();
    size_t begin = before.find_last_of(" \t>");
    begin = begin == absl::string_view::npos ? 0 : begin + 1;
    absl::string_view marker = before.substr(begin, end - begin);
    if (marker.empty() || marker.size() > 10 || !IsMarker(marker)) return;
    text_.Preformatted(marker, line + begin);
    text_.Space(line + end, *offset - (line + end));
  }

  static bool IsMarker(absl::string_view marker) {
    if (marker == "-" || marker == "*" || marker == "+") return true;
    char last = marker.back();
    return (last == '.' || last == ')') && marker.size() > 1 &&
           marker.find_first_not_of("0123456789") == marker.size() - 1;
  }

  static constexpr size_t kNoHtml = absl::string_view::npos;
  const absl::string_view markdown_;
  const size_t begin_;
  const uint64_t max_memory_bytes_;
  const CallContext& context_;
  HtmlEntities entities_;
  OpenElements open_;
  std::vector<size_t> depths_;  // of open elements where the blocks around this place began
  BlockText text_;
  std::vector<Block> blocks_;
  absl::Status status_;
  size_t last_end_ = 0;          // of the last text with a position
  size_t html_begin_ = kNoHtml;  // of the HTML block we are in
  size_t html_end_ = 0;
  int item_depth_ = 0;
  bool item_starts_ = false;  // the marker of the current list item is still to come
  bool in_code_ = false;
  std::vector<TableCell> cells_;  // of the table row so far
  int tables_ = 0;                // so far
};

}  // namespace

absl::StatusOr<MarkdownPage> ReadMarkdown(absl::string_view markdown, uint64_t max_memory_bytes,
                                          const CallContext& context) {
  FrontMatter matter = ReadFrontMatter(markdown);
  MarkdownCollector collector(markdown, matter.length, max_memory_bytes, context);
  LASTRO_RETURN_IF_ERROR(collector.Run());
  return MarkdownPage{std::move(matter.title), collector.TakeBlocks()};
}

}  // namespace lastro::ingest
