#include "ingest/open_elements.h"

#include <gumbo.h>

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "ingest/html_hidden.h"
#include "ingest/html_tree.h"

namespace lastro::ingest {
namespace {

constexpr size_t kMaxDepth = 10'000;      // deeper ones are hidden: nobody writes them
constexpr size_t kMaxMarkup = 64u << 10;  // of one tag; what is longer is none
constexpr uint64_t kTagMemoryBytes = 4u << 20;
constexpr size_t kMaxKnown = 1'000;

bool IsOneOf(absl::string_view name, absl::Span<const absl::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool IsVoid(absl::string_view name) {
  constexpr absl::string_view kNames[] = {"area",   "base",  "br",     "col",   "embed", "hr",
                                          "img",    "input", "keygen", "link",  "meta",  "param",
                                          "source", "track", "wbr",    "frame", "image", "bgsound"};
  return IsOneOf(name, kNames);
}

// Elements that a browser opens again behind the end of a paragraph.
bool IsFormatting(absl::string_view name) {
  constexpr absl::string_view kNames[] = {"a", "b",     "big",    "code",   "em", "font", "i",
                                          "s", "small", "strike", "strong", "tt", "u",    "nobr"};
  return IsOneOf(name, kNames);
}

// Elements whose text has no tags in it.
bool IsRaw(absl::string_view name) {
  constexpr absl::string_view kNames[] = {"script", "style",   "textarea", "title",    "xmp",
                                          "iframe", "noembed", "noframes", "noscript", "plaintext"};
  return IsOneOf(name, kNames);
}

std::string NameOf(absl::string_view tag) {
  size_t end = 0;
  while (end < tag.size() && !absl::ascii_isspace(tag[end]) && tag[end] != '/' && tag[end] != '>') ++end;
  return absl::AsciiStrToLower(tag.substr(0, end));
}

// Elements that a parser knows only within a table.
bool IsTablePart(absl::string_view name) {
  constexpr absl::string_view kNames[] = {"caption", "col", "colgroup", "tbody", "td", "tfoot", "th", "thead", "tr"};
  return IsOneOf(name, kNames);
}

// Whether the element that `tag` opens is hidden by itself.
bool OpensHidden(absl::string_view name, absl::string_view tag, const CallContext& context) {
  const std::string html = IsTablePart(name) ? absl::StrCat("<body><div", tag.substr(1 + name.size()), "x")
                                             : absl::StrCat("<body>", tag, "x");
  absl::StatusOr<HtmlTree> tree = HtmlTree::Parse(html, kTagMemoryBytes, context);
  if (!tree.ok()) return true;
  HiddenElements hidden(tree->root(), context);
  for (const GumboNode* node = tree->root(); node->type == GUMBO_NODE_ELEMENT;) {
    const GumboVector& children = node->v.element.children;
    if (HtmlTag(node) != GUMBO_TAG_HTML && hidden.Hides(node)) return true;
    if (children.length == 0) return false;
    node = static_cast<const GumboNode*>(children.data[children.length - 1]);  // html, body, the element
    if (node->type == GUMBO_NODE_TEMPLATE) return true;
  }
  return false;
}

}  // namespace

// Whether what is gathered may become a tag, or begin a comment; in raw text, its end tag.
bool OpenElements::MayBeMarkup() const {
  if (markup_.size() > kMaxMarkup) return false;
  if (!raw_.empty()) {
    const std::string end = absl::StrCat("</", raw_);
    const size_t length = std::min(markup_.size(), end.size());
    return absl::EqualsIgnoreCase(absl::string_view(markup_).substr(0, length), end.substr(0, length));
  }
  return markup_.size() < 2 || absl::ascii_isalpha(markup_[1]) || absl::StrContains("/!?", markup_[1]);
}

// Whether what is gathered ends with its last character.
bool OpenElements::IsWholeMarkup() {
  const char last = markup_.back();
  if (quote_ != 0) {
    if (last == quote_) quote_ = 0;
    return false;
  }
  if ((last == '"' || last == '\'') && markup_[1] != '/') quote_ = last;
  return last == '>';
}

void OpenElements::DropMarkup() {
  markup_.clear();
  quote_ = 0;
}

// Goes on in a comment.
void OpenElements::AddToComment(char c) {
  const bool ends = c == '>' && dashes_ >= 2;
  dashes_ = c == '-' ? dashes_ + 1 : 0;
  in_comment_ = !ends;
}

void OpenElements::Add(absl::string_view html) {
  for (const char c : html) {
    if (in_comment_) {
      AddToComment(c);
      continue;
    }
    if (markup_.empty() && c != '<') continue;
    markup_.push_back(c);
    if (raw_.empty() && markup_ == "<!--") {
      DropMarkup();
      in_comment_ = true;
      dashes_ = 2;  // "<!-->" is whole
    } else if (!MayBeMarkup()) {
      DropMarkup();
      if (c == '<') markup_.push_back(c);
    } else if (IsWholeMarkup()) {
      AddTag(markup_);
      DropMarkup();
    }
  }
}

void OpenElements::AddTag(absl::string_view tag) {
  if (tag.size() < 3) return;
  const bool closes = tag[1] == '/';
  const std::string name = NameOf(tag.substr(closes ? 2 : 1));
  if (name.empty() || !absl::ascii_isalpha(name[0])) return;  // a declaration, a lone "<"
  if (!raw_.empty() && name != raw_) return;
  raw_.clear();
  if (closes) return Close(name);
  if (IsVoid(name)) return;
  if (IsRaw(name)) raw_ = name;
  if (open_.size() == kMaxDepth) return;  // in one that is hidden
  const bool hidden = Hides() || open_.size() + 1 == kMaxDepth || HidesByItself(name, tag);
  open_.push_back({name, hidden});
}

bool OpenElements::HidesByItself(absl::string_view name, absl::string_view tag) {
  auto found = known_.find(tag);
  if (found != known_.end()) return found->second;
  if (known_.size() >= kMaxKnown) known_.clear();
  return known_.emplace(tag, OpensHidden(name, tag, context_)).first->second;
}

void OpenElements::Close(absl::string_view name) {
  for (size_t i = open_.size(); i > 0; --i) {
    if (open_[i - 1].name != name) continue;
    open_.resize(i - 1);
    return;
  }
}

void OpenElements::EndBlock() {
  DropMarkup();
  raw_.clear();
  while (!open_.empty() && open_.back().name == "p") open_.pop_back();
}

void OpenElements::EndParagraph(size_t depth) {
  DropMarkup();
  raw_.clear();
  if (open_.size() <= depth) return;
  bool hidden = depth > 0 && open_[depth - 1].hidden;
  size_t kept = depth;
  for (size_t i = depth; i < open_.size(); ++i) {
    const bool itself = open_[i].hidden && (i == 0 || !open_[i - 1].hidden);
    if (!IsFormatting(open_[i].name)) continue;
    hidden = hidden || itself;
    open_[kept++] = {open_[i].name, hidden};
  }
  open_.resize(kept);
}

}  // namespace lastro::ingest
