#include "ingest/html_hidden.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "ingest/html_tree.h"

namespace lastro::ingest {
namespace {

constexpr GumboTag kUnreadable[] = {GUMBO_TAG_SCRIPT, GUMBO_TAG_STYLE,         GUMBO_TAG_NOSCRIPT, GUMBO_TAG_TEMPLATE,
                                    GUMBO_TAG_HEAD,   GUMBO_TAG_IFRAME,        GUMBO_TAG_OBJECT,   GUMBO_TAG_CANVAS,
                                    GUMBO_TAG_SVG,    GUMBO_TAG_AUDIO,         GUMBO_TAG_VIDEO,    GUMBO_TAG_SELECT,
                                    GUMBO_TAG_BUTTON, GUMBO_TAG_TEXTAREA,      GUMBO_TAG_NOEMBED,  GUMBO_TAG_NOFRAMES,
                                    GUMBO_TAG_RP,     GUMBO_TAG_DATALIST,      GUMBO_TAG_PROGRESS, GUMBO_TAG_METER,
                                    GUMBO_TAG_APPLET, GUMBO_TAG_ANNOTATION_XML};

constexpr char kWhite[] = "#ffffff";
constexpr size_t kMaxClassesHeld = 1 << 20;   // of elements looked at
constexpr uint64_t kCheckInterval = 1 << 14;  // names and elements looked at between two looks at the deadline

// The name as the page writes it, in lower case.
std::string TagName(const GumboNode* element) {
  const GumboElement& found = element->v.element;
  if (found.tag != GUMBO_TAG_UNKNOWN) return gumbo_normalized_tagname(found.tag);
  GumboStringPiece name = found.original_tag;
  if (name.data == nullptr) return "";
  gumbo_tag_from_original_text(&name);
  return name.data == nullptr ? "" : absl::AsciiStrToLower(absl::string_view(name.data, name.length));
}

bool HasAttribute(const GumboNode* element, const char* name) { return HtmlAttribute(element, name) != nullptr; }

bool IsHiddenByAttribute(const GumboNode* element) {
  if (HasAttribute(element, "hidden") || HasAttribute(element, "popover")) return true;
  const char* aria = HtmlAttribute(element, "aria-hidden");
  return aria != nullptr && absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(aria), "true");
}

bool IsHiddenByName(const GumboNode* element) {
  const GumboTag tag = element->v.element.tag;
  if (std::find(std::begin(kUnreadable), std::end(kUnreadable), tag) != std::end(kUnreadable)) return true;
  if (tag != GUMBO_TAG_UNKNOWN) return false;
  const std::string name = TagName(element);
  return name == "annotation" || (name == "dialog" && !HasAttribute(element, "open"));
}

std::string KeyOf(const CssCompound& compound) {
  if (!compound.id.empty()) return absl::StrCat("#", compound.id);
  return compound.classes.empty() ? compound.tag : absl::StrCat(".", compound.classes.front());
}

// The background that an element itself has; "" when it has none of its own.
std::string BackgroundOf(const GumboNode* element, const CssDeclarations& declarations) {
  const std::string background = CssBackground(declarations);
  const char* attribute = HtmlAttribute(element, "bgcolor");
  return background.empty() && attribute != nullptr ? CanonicalCssColour(attribute) : background;
}

void CollectSheets(const GumboNode* root, std::vector<const GumboNode*>* sheets) {
  std::vector<const GumboNode*> open = {root};
  while (!open.empty()) {
    const GumboNode* node = open.back();
    open.pop_back();
    const GumboVector* children = node->type == GUMBO_NODE_DOCUMENT  ? &node->v.document.children
                                  : node->type == GUMBO_NODE_ELEMENT ? &node->v.element.children
                                                                     : nullptr;
    if (children == nullptr) continue;
    if (HtmlTag(node) == GUMBO_TAG_STYLE) sheets->push_back(node);
    for (unsigned i = children->length; i > 0; --i)
      open.push_back(static_cast<const GumboNode*>(children->data[i - 1]));
    const char* rel = HtmlTag(node) == GUMBO_TAG_LINK ? HtmlAttribute(node, "rel") : nullptr;
    if (rel != nullptr && absl::StrContains(absl::AsciiStrToLower(rel), "stylesheet")) sheets->push_back(node);
  }
}

}  // namespace

HiddenElements::HiddenElements(const GumboNode* root, const CallContext& context) : context_(context) {
  std::vector<const GumboNode*> sheets;
  CollectSheets(root, &sheets);
  has_sheets_ = !sheets.empty();
  for (const GumboNode* sheet : sheets) {
    const GumboVector& children = sheet->v.element.children;
    for (unsigned i = 0; i < children.length; ++i) {
      const auto* text = static_cast<const GumboNode*>(children.data[i]);
      if (text->type == GUMBO_NODE_TEXT) AppendCssRules(text->v.text.text, &rules_);
    }
  }
  for (size_t i = 0; i < rules_.size(); ++i) rules_of_[KeyOf(rules_[i].selector.back())].push_back(i);
}

bool HiddenElements::MayGoOn(uint64_t steps) {
  const uint64_t before = steps_ / kCheckInterval;
  steps_ += steps;
  if (steps_ / kCheckInterval != before) stopped_ = stopped_ || !context_.Check().ok();
  return !stopped_;
}

const HiddenElements::ClassSet& HiddenElements::ClassesOf(const GumboNode* element) {
  auto found = classes_.find(element);
  if (found != classes_.end()) return found->second;
  const char* names = HtmlAttribute(element, "class");
  ClassSet classes;
  if (names != nullptr) classes = absl::StrSplit(names, absl::ByAnyChar(" \t\r\n\f"), absl::SkipEmpty());
  if (classes_held_ > kMaxClassesHeld) {
    classes_.clear();
    classes_held_ = 0;
  }
  classes_held_ += classes.size() + 1;
  return classes_.emplace(element, std::move(classes)).first->second;
}

bool HiddenElements::Matches(const CssCompound& compound, const GumboNode* element) {
  if (!compound.tag.empty() && compound.tag != TagName(element)) return false;
  const char* id = HtmlAttribute(element, "id");
  if (!compound.id.empty() && (id == nullptr || compound.id != id)) return false;
  if (compound.classes.empty()) return true;
  const ClassSet& classes = ClassesOf(element);
  return std::all_of(compound.classes.begin(), compound.classes.end(),
                     [&](const std::string& name) { return MayGoOn() && classes.contains(name); });
}

bool HiddenElements::Matches(const CssRule& rule, const GumboNode* element) {
  if (!Matches(rule.selector.back(), element)) return false;
  size_t left = rule.selector.size() - 1;
  for (const GumboNode* up = element->parent; left > 0 && up != nullptr && MayGoOn(); up = up->parent) {
    if (up->type == GUMBO_NODE_ELEMENT && Matches(rule.selector[left - 1], up)) --left;
  }
  return left == 0;
}

CssDeclarations HiddenElements::DeclarationsOf(const GumboNode* element) {
  std::vector<size_t> candidates;
  auto add = [&](const std::string& key) {
    auto found = rules_of_.find(key);
    if (found != rules_of_.end()) candidates.insert(candidates.end(), found->second.begin(), found->second.end());
  };
  if (!rules_.empty()) {
    add(TagName(element));
    if (const char* id = HtmlAttribute(element, "id"); id != nullptr) add(absl::StrCat("#", id));
    for (absl::string_view name : ClassesOf(element)) add(absl::StrCat(".", name));
  }
  std::sort(candidates.begin(), candidates.end());
  CssDeclarations declarations;
  for (size_t rule : candidates) {
    if (!MayGoOn() || !Matches(rules_[rule], element)) continue;
    for (const auto& [property, value] : *rules_[rule].declarations) declarations[property] = value;
  }
  if (const char* style = HtmlAttribute(element, "style"); style != nullptr) {
    for (auto& [property, value] : ParseCssDeclarations(style)) declarations[property] = value;
  }
  const char* colour = HtmlTag(element) == GUMBO_TAG_FONT ? HtmlAttribute(element, "color") : nullptr;
  if (colour != nullptr) declarations.try_emplace("color", absl::AsciiStrToLower(colour));
  return declarations;
}

bool HiddenElements::HasColourOfBackground(const GumboNode* element, const CssDeclarations& declarations) {
  auto found = declarations.find("color");
  const std::string colour = found == declarations.end() ? "" : CanonicalCssColour(found->second);
  if (colour.empty()) return false;
  std::string background = BackgroundOf(element, declarations);
  for (const GumboNode* up = element->parent; background.empty() && up != nullptr && MayGoOn(); up = up->parent) {
    if (up->type == GUMBO_NODE_ELEMENT) background = BackgroundOf(up, DeclarationsOf(up));
  }
  if (background.empty() && !has_sheets_) background = kWhite;
  return colour == background;
}

bool HiddenElements::Hides(const GumboNode* element) {
  if (element->type != GUMBO_NODE_ELEMENT) return element->type == GUMBO_NODE_TEMPLATE;
  if (IsHiddenByName(element) || IsHiddenByAttribute(element)) return true;
  const CssDeclarations declarations = DeclarationsOf(element);
  if (stopped_) return true;
  return !declarations.empty() && (HidesText(declarations) || HasColourOfBackground(element, declarations));
}

}  // namespace lastro::ingest
