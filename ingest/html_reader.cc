#include "ingest/html_reader.h"

#include <gumbo.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "ingest/block_text.h"
#include "ingest/html_hidden.h"
#include "ingest/html_text.h"
#include "ingest/html_tree.h"
#include "ingest/table_cells.h"

namespace lastro::ingest {
namespace {

constexpr int kMinMenuLinks = 3;           // a paragraph of so many links and no other words is a menu
constexpr uint64_t kCheckInterval = 1024;  // nodes between two looks at the deadline
constexpr int kMaxNumber = 999;            // of a list's items, as text
constexpr int kMaxSpan = 65'534;           // of a cell, in rows or columns (HTML standard)

int HeadingLevel(GumboTag tag) {
  return tag >= GUMBO_TAG_H1 && tag <= GUMBO_TAG_H6 ? 1 + static_cast<int>(tag) - static_cast<int>(GUMBO_TAG_H1) : 0;
}

// Whether one of the space-separated names in an attribute is what sites call their menus, footers and banners.
bool HasBoilerplateName(const char* names) {
  static const auto* const known = new absl::flat_hash_set<absl::string_view>{
      "menu",   "nav",     "navbar",  "navigation", "breadcrumb",    "breadcrumbs",   "footer",    "site-footer",
      "cookie", "cookies", "sidebar", "toolbar",    "cookie-banner", "cookie-notice", "skip-link", "pagination"};
  if (names == nullptr) return false;
  for (absl::string_view name : absl::StrSplit(names, absl::ByAnyChar(" \t\n"))) {
    if (known->contains(absl::AsciiStrToLower(name))) return true;
  }
  return false;
}

// Parts of a site rather than of the page.
bool IsBoilerplate(const GumboNode* node) {
  GumboTag tag = HtmlTag(node);
  if (tag == GUMBO_TAG_HTML || tag == GUMBO_TAG_BODY || tag == GUMBO_TAG_MAIN || tag == GUMBO_TAG_ARTICLE) return false;
  if (tag == GUMBO_TAG_NAV || tag == GUMBO_TAG_FOOTER || tag == GUMBO_TAG_ASIDE) return true;
  if (HasBoilerplateName(HtmlAttribute(node, "class")) || HasBoilerplateName(HtmlAttribute(node, "id"))) return true;
  const char* role = HtmlAttribute(node, "role");
  if (role == nullptr) return false;
  return std::strcmp(role, "navigation") == 0 || std::strcmp(role, "contentinfo") == 0 ||
         std::strcmp(role, "search") == 0;
}

constexpr GumboTag kBlocks[] = {
    GUMBO_TAG_P,      GUMBO_TAG_DIV,      GUMBO_TAG_SECTION, GUMBO_TAG_ARTICLE, GUMBO_TAG_MAIN,       GUMBO_TAG_HEADER,
    GUMBO_TAG_FOOTER, GUMBO_TAG_ASIDE,    GUMBO_TAG_NAV,     GUMBO_TAG_BODY,    GUMBO_TAG_UL,         GUMBO_TAG_OL,
    GUMBO_TAG_LI,     GUMBO_TAG_DL,       GUMBO_TAG_DT,      GUMBO_TAG_DD,      GUMBO_TAG_BLOCKQUOTE, GUMBO_TAG_PRE,
    GUMBO_TAG_TABLE,  GUMBO_TAG_CAPTION,  GUMBO_TAG_TR,      GUMBO_TAG_THEAD,   GUMBO_TAG_TBODY,      GUMBO_TAG_TFOOT,
    GUMBO_TAG_FORM,   GUMBO_TAG_FIELDSET, GUMBO_TAG_LEGEND,  GUMBO_TAG_FIGURE,  GUMBO_TAG_FIGCAPTION, GUMBO_TAG_ADDRESS,
    GUMBO_TAG_HR,     GUMBO_TAG_DETAILS,  GUMBO_TAG_SUMMARY, GUMBO_TAG_CENTER,  GUMBO_TAG_H1,         GUMBO_TAG_H2,
    GUMBO_TAG_H3,     GUMBO_TAG_H4,       GUMBO_TAG_H5,      GUMBO_TAG_H6,      GUMBO_TAG_HTML};

bool IsBlock(GumboTag tag) { return std::find(std::begin(kBlocks), std::end(kBlocks), tag) != std::end(kBlocks); }

// Elements that make the table around them one of layout rather than of data.
bool IsComplexInTable(GumboTag tag) {
  return HeadingLevel(tag) > 0 || tag == GUMBO_TAG_TABLE || tag == GUMBO_TAG_UL || tag == GUMBO_TAG_OL ||
         tag == GUMBO_TAG_PRE || tag == GUMBO_TAG_BLOCKQUOTE;
}

const GumboVector* ChildrenOf(const GumboNode* node) {
  if (node->type == GUMBO_NODE_DOCUMENT) return &node->v.document.children;
  if (node->type == GUMBO_NODE_ELEMENT || node->type == GUMBO_NODE_TEMPLATE) return &node->v.element.children;
  return nullptr;
}

// Visits a tree without recursion: `enter` returns whether to go into the children, `leave` is called behind them.
template <typename Enter, typename Leave>
absl::Status Walk(const GumboNode* root, const CallContext& context, Enter enter, Leave leave) {
  struct Step {
    const GumboNode* node;
    unsigned next_child;
  };
  std::vector<Step> stack;
  if (enter(root)) stack.push_back({root, 0});
  for (uint64_t steps = 0; !stack.empty(); ++steps) {
    if (steps % kCheckInterval == 0) LASTRO_RETURN_IF_ERROR(context.Check());
    Step& step = stack.back();
    const GumboVector* children = ChildrenOf(step.node);
    if (children == nullptr || step.next_child >= children->length) {
      leave(step.node);
      stack.pop_back();
      continue;
    }
    const auto* child = static_cast<const GumboNode*>(children->data[step.next_child++]);
    if (enter(child)) stack.push_back({child, 0});
  }
  return absl::OkStatus();
}

// The readable blocks of one tree.
class BlockCollector {
 public:
  // The arguments must outlive the object.
  BlockCollector(absl::string_view html, HiddenElements* hidden, bool with_boilerplate)
      : html_(html), hidden_(*hidden), with_boilerplate_(with_boilerplate) {}

  absl::Status Collect(const GumboNode* root, const CallContext& context) {
    LASTRO_RETURN_IF_ERROR(Walk(
        root, context, [&](const GumboNode* node) { return MarkComplex(node); }, [](const GumboNode*) {}));
    LASTRO_RETURN_IF_ERROR(Walk(
        root, context, [&](const GumboNode* node) { return Enter(node); },
        [&](const GumboNode* node) { Leave(node); }));
    Flush();
    return absl::OkStatus();
  }

  std::vector<Block> TakeBlocks() { return std::move(blocks_); }
  std::string TakeTitle() { return std::move(title_); }

 private:
  // Notes every ancestor of a complex element, each once.
  bool MarkComplex(const GumboNode* node) {
    if (IsComplexInTable(HtmlTag(node))) {
      for (const GumboNode* up = node->parent; up != nullptr && complex_.insert(up).second;) up = up->parent;
    }
    return true;
  }

  bool IsDataRow(const GumboNode* row) const { return !complex_.contains(row); }

  bool Enter(const GumboNode* node) {
    if (node->type == GUMBO_NODE_TEXT || node->type == GUMBO_NODE_WHITESPACE || node->type == GUMBO_NODE_CDATA) {
      AddText(node->v.text);
      return false;
    }
    GumboTag tag = HtmlTag(node);
    if (tag == GUMBO_TAG_LAST) return node->type == GUMBO_NODE_DOCUMENT;
    if (tag == GUMBO_TAG_TITLE) ReadTitle(node);
    if (tag == GUMBO_TAG_HEAD) return EnterHead(node);
    if (hidden_.Hides(node) || (!with_boilerplate_ && IsBoilerplate(node))) return false;
    if (tag == GUMBO_TAG_A) {
      ++link_depth_;
      ++links_;
    }
    EnterReadable(node, tag);
    return true;
  }

  bool EnterHead(const GumboNode* head) {
    const GumboVector& children = head->v.element.children;
    for (unsigned i = 0; i < children.length; ++i) {
      const auto* child = static_cast<const GumboNode*>(children.data[i]);
      if (HtmlTag(child) == GUMBO_TAG_TITLE) ReadTitle(child);
    }
    return false;
  }

  void EnterReadable(const GumboNode* node, GumboTag tag) {
    if (tag == GUMBO_TAG_BR) return row_ == nullptr ? text_.LineBreak(0, 0) : text_.Space(0, 0);
    if (row_ != nullptr) return EnterInRow(node, tag);
    if (tag == GUMBO_TAG_TR && IsDataRow(node)) {
      Flush();
      StartRow(node);
    } else if (IsBlock(tag) || tag == GUMBO_TAG_TD || tag == GUMBO_TAG_TH) {
      Flush();
      if (tag == GUMBO_TAG_LI) StartItem(node);
      if (tag == GUMBO_TAG_PRE) ++pre_depth_;
      if (tag == GUMBO_TAG_TABLE) tables_.push_back({++table_count_, {}});
    }
  }

  // Its marker, which its tag stands for, comes before its first text.
  void StartItem(const GumboNode* item) {
    ++item_depth_;
    marker_ = HtmlTag(item->parent) == GUMBO_TAG_OL ? NumberOf(item) : "-";
    marker_tag_ = item->v.element.original_tag;
  }

  // "3."; "-" where numbers go down, or are of more than three digits.
  std::string NumberOf(const GumboNode* item) {
    auto [number, is_new] = numbers_.try_emplace(item->parent, 0);
    if (is_new) number->second = NumberAttribute(item->parent, "start").value_or(1) - 1;
    number->second = NumberAttribute(item, "value").value_or(std::min(number->second, kMaxNumber) + 1);
    const bool plain = number->second >= 0 && number->second <= kMaxNumber;
    return plain && HtmlAttribute(item->parent, "reversed") == nullptr ? absl::StrCat(number->second, ".") : "-";
  }

  static std::optional<int> NumberAttribute(const GumboNode* node, const char* attribute) {
    const char* value = HtmlAttribute(node, attribute);
    int number = 0;
    if (value == nullptr || !absl::SimpleAtoi(value, &number)) return std::nullopt;
    return std::clamp(number, -1, kMaxNumber + 1);
  }

  void StartRow(const GumboNode* row) {
    row_ = row;
    row_in_head_ = HtmlTag(row->parent) == GUMBO_TAG_THEAD;
    row_has_data_ = false;
    cells_.clear();
    if (!tables_.empty()) tables_.back().grid.StartRow();
  }

  void EnterInRow(const GumboNode* node, GumboTag tag) {
    if (tag == GUMBO_TAG_TD || tag == GUMBO_TAG_TH) {
      if (!cells_.empty()) text_.Separator(" | ");
      cells_.push_back(Place(node));
      row_has_data_ |= tag == GUMBO_TAG_TD;
    } else if (IsBlock(tag)) {
      text_.Space(0, 0);
    }
  }

  // Where a cell stands in its table, its text not yet known.
  TableCell Place(const GumboNode* node) {
    const int columns = SpanOf(node, "colspan");
    return {0, 0, tables_.empty() ? 0 : tables_.back().grid.Place(columns, SpanOf(node, "rowspan")), columns};
  }

  static int SpanOf(const GumboNode* node, const char* attribute) {
    const char* value = HtmlAttribute(node, attribute);
    int span = 1;
    return value != nullptr && absl::SimpleAtoi(value, &span) ? std::clamp(span, 1, kMaxSpan) : 1;
  }

  void Leave(const GumboNode* node) {
    GumboTag tag = HtmlTag(node);
    if (tag == GUMBO_TAG_A) --link_depth_;
    if (node == row_) {
      FlushAs(BlockKind::kTableRow, 0);
      row_ = nullptr;
    } else if (row_ != nullptr) {
      if (IsBlock(tag)) text_.Space(0, 0);
    } else if (int level = HeadingLevel(tag); level > 0) {
      FlushAs(BlockKind::kHeading, level);
    } else if (tag == GUMBO_TAG_PRE) {
      FlushAs(BlockKind::kCode, 0);
      --pre_depth_;
    } else if (tag == GUMBO_TAG_LI || tag == GUMBO_TAG_DD || tag == GUMBO_TAG_DT) {
      FlushAs(BlockKind::kListItem, 0);
      if (tag == GUMBO_TAG_LI) --item_depth_;
      marker_.clear();
    } else if (IsBlock(tag) || tag == GUMBO_TAG_TD || tag == GUMBO_TAG_TH) {
      Flush();
      if (tag == GUMBO_TAG_TABLE) tables_.pop_back();
    }
  }

  void Flush() {
    const BlockKind kind = item_depth_ > 0 ? BlockKind::kListItem : BlockKind::kParagraph;
    FlushAs(pre_depth_ > 0 ? BlockKind::kCode : kind, 0);
  }

  void FlushAs(BlockKind kind, int level) {
    std::vector<BlockText::Field> fields;
    MappedText content = text_.Take(&fields);
    bool has_text = std::exchange(has_text_, false);
    bool menu = std::exchange(links_, 0) >= kMinMenuLinks && !has_text;
    if (menu && kind == BlockKind::kParagraph && !with_boilerplate_) return;
    if (content.text.find_first_not_of("| \t\n") == std::string::npos) return;
    Block block;
    block.kind = kind;
    block.level = level;
    block.content = std::move(content);
    if (kind == BlockKind::kTableRow) {
      block.table_header = row_in_head_ || !row_has_data_;
      block.table = tables_.empty() ? 0 : tables_.back().number;
      block.cells = CellsWithText(fields, cells_);
    }
    blocks_.push_back(std::move(block));
  }

  // Where the raw text of a node begins in the page; npos when it does not lie in it.
  size_t OffsetOf(const GumboStringPiece& piece) const {
    std::less<const char*> before;
    if (piece.data == nullptr || before(piece.data, html_.data())) return absl::string_view::npos;
    size_t offset = static_cast<size_t>(piece.data - html_.data());
    return offset <= html_.size() && piece.length <= html_.size() - offset ? offset : absl::string_view::npos;
  }

  void AddText(const GumboText& node) {
    absl::string_view decoded = node.text;
    size_t offset = OffsetOf(node.original_text);
    if (decoded.empty() || offset == absl::string_view::npos) return;
    absl::string_view raw = html_.substr(offset, node.original_text.length);
    MappedText aligned = AlignHtmlText(decoded, raw, offset, &entities_);
    for (const retrieval::SourceSegment& segment : aligned.segments) {
      absl::string_view piece = absl::string_view(aligned.text).substr(segment.text_begin, segment.text_length);
      AddPiece(piece, segment);
    }
  }

  void AddMarker(absl::string_view piece) {
    if (marker_.empty() || row_ != nullptr || absl::StripAsciiWhitespace(piece).empty()) return;
    const std::string marker = std::exchange(marker_, "");
    const size_t offset = OffsetOf(marker_tag_);
    if (offset == absl::string_view::npos || !text_.empty()) return;
    text_.Replaced(marker, offset, marker_tag_.length);
    text_.Space(0, 0);
  }

  void AddPiece(absl::string_view piece, const retrieval::SourceSegment& segment) {
    AddMarker(piece);
    has_text_ = has_text_ || (link_depth_ == 0 && std::any_of(piece.begin(), piece.end(), IsAlphanumeric));
    if (!segment.verbatim) {
      bool line_end = pre_depth_ > 0 && piece == "\n";
      line_end ? text_.LineBreak(segment.source_begin, segment.source_length)
               : text_.Replaced(piece, segment.source_begin, segment.source_length);
    } else if (pre_depth_ > 0 && row_ == nullptr) {
      text_.Preformatted(piece, segment.source_begin);
    } else {
      text_.Text(piece, segment.source_begin);
    }
  }

  static bool IsAlphanumeric(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)); }

  void ReadTitle(const GumboNode* node) {
    const GumboVector& children = node->v.element.children;
    if (!title_.empty() || children.length == 0) return;
    const auto* text = static_cast<const GumboNode*>(children.data[0]);
    if (text->type == GUMBO_NODE_TEXT) title_ = ReplaceInvalidUtf8(text->v.text.text);
  }

  const absl::string_view html_;
  HiddenElements& hidden_;
  const bool with_boilerplate_;
  HtmlEntities entities_;
  absl::flat_hash_set<const GumboNode*> complex_;
  BlockText text_;
  std::vector<Block> blocks_;
  std::string title_;
  const GumboNode* row_ = nullptr;  // the table row we are in
  bool row_in_head_ = false;        // it is of the rows that the table says to be its head
  bool row_has_data_ = false;       // it has a cell that is no header
  std::vector<TableCell> cells_;    // of the row so far
  struct OpenTable {
    int number = 0;
    TableGrid grid;
  };
  std::vector<OpenTable> tables_;  // that we are in, innermost last
  int table_count_ = 0;
  absl::flat_hash_map<const GumboNode*, int> numbers_;  // of the last item of each numbered list
  std::string marker_;                                  // of the item we are in, still to be written
  GumboStringPiece marker_tag_ = kGumboEmptyString;     // that it stands for
  int item_depth_ = 0;
  int pre_depth_ = 0;
  int link_depth_ = 0;
  int links_ = 0;          // of the block
  bool has_text_ = false;  // the block has words outside of links
};

}  // namespace

absl::StatusOr<HtmlPage> ReadHtml(absl::string_view html, uint64_t max_memory_bytes, const CallContext& context) {
  LASTRO_ASSIGN_OR_RETURN(HtmlTree tree, HtmlTree::Parse(html, max_memory_bytes, context));
  HiddenElements hidden(tree.root(), context);
  if (hidden.has_too_many_rules()) {
    return absl::ResourceExhaustedError(absl::StrCat("the page's style sheets have ", kMaxCssRules,
                                                     " rules or more; which of its text is shown cannot be told"));
  }
  HtmlPage page;
  for (bool with_boilerplate : {false, true}) {  // a page that is all boilerplate is still a page
    BlockCollector collector(html, &hidden, with_boilerplate);
    LASTRO_RETURN_IF_ERROR(collector.Collect(tree.root(), context));
    page.blocks = collector.TakeBlocks();
    page.title = collector.TakeTitle();
    if (!page.blocks.empty()) break;
  }
  return page;
}

}  // namespace lastro::ingest
