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
constexpr size_t kMaxMarkup = 64u << 10;  // of one tag or comment; what is longer is no tag
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

// Whether the element that `tag` opens is hidden by itself.
bool OpensHidden(absl::string_view tag, const CallContext& context) {
  const std::string html = absl::StrCat("<body>", tag, "x");
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

size_t OpenElements::MarkupLength() const {
  const absl::string_view text = rest_;
  if (absl::StartsWith(text, "<!--")) {
    const size_t end = text.find("-->", 2);
    return end == absl::string_view::npos ? 0 : end + 3;
  }
  char quote = 0;
  for (size_t at = 1; at < text.size(); ++at) {
    if (quote != 0) {
      if (text[at] == quote) quote = 0;
    } else if (text[at] == '>') {
      return at + 1;
    } else if ((text[at] == '"' || text[at] == '\'') && text[1] != '/') {
      quote = text[at];
    }
  }
  return 0;
}

void OpenElements::Add(absl::string_view html) {
  rest_.append(html.data(), html.size());
  size_t at = rest_.find('<');
  while (at != std::string::npos) {
    rest_.erase(0, at);
    const size_t length = MarkupLength();
    if (length == 0 && rest_.size() <= kMaxMarkup) return;
    const std::string markup = rest_.substr(0, std::max<size_t>(length, 1));
    rest_.erase(0, markup.size());
    AddTag(markup);
    at = rest_.find('<');
  }
  rest_.clear();
}

void OpenElements::AddTag(absl::string_view tag) {
  if (tag.size() < 3) return;
  const bool closes = tag[1] == '/';
  const std::string name = NameOf(tag.substr(closes ? 2 : 1));
  if (name.empty() || !absl::ascii_isalpha(name[0])) return;  // a comment, a declaration, a lone "<"
  if (!raw_.empty() && (!closes || name != raw_)) return;
  raw_.clear();
  if (closes) return Close(name);
  if (IsVoid(name)) return;
  if (IsRaw(name)) raw_ = name;
  const bool hidden = Hides() || open_.size() >= kMaxDepth || HidesByItself(tag);
  if (open_.size() < kMaxDepth) open_.push_back({name, hidden});
}

bool OpenElements::HidesByItself(absl::string_view tag) {
  auto found = known_.find(tag);
  if (found != known_.end()) return found->second;
  if (known_.size() >= kMaxKnown) known_.clear();
  return known_.emplace(tag, OpensHidden(tag, context_)).first->second;
}

void OpenElements::Close(absl::string_view name) {
  for (size_t i = open_.size(); i > 0; --i) {
    if (open_[i - 1].name != name) continue;
    open_.resize(i - 1);
    return;
  }
}

void OpenElements::EndBlock() {
  rest_.clear();
  raw_.clear();
  while (!open_.empty() && open_.back().name == "p") open_.pop_back();
}

void OpenElements::EndParagraph(size_t depth) {
  rest_.clear();
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
