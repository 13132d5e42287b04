// What of CSS tells whether an element is shown: declarations of a style attribute, and rules of a page's own style
// sheets with plain selectors (tags, classes and ids, also below others). Pure functions, thread-safe.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

namespace lastro::ingest {

// Those of the properties that tell whether text is shown, with their last values: in lower case, white space folded,
// without "!important".
using CssDeclarations = absl::flat_hash_map<std::string, std::string>;

CssDeclarations ParseCssDeclarations(absl::string_view style);

// "div.note#top": all that is set must match.
struct CssCompound {
  std::string tag, id;  // "": any
  std::vector<std::string> classes;
};

struct CssRule {
  std::vector<CssCompound> selector;                    // outermost first, each somewhere within the one before
  std::shared_ptr<const CssDeclarations> declarations;  // of all selectors of the rule
};

// The rules of a style sheet that may hide elements on a screen, in order, at most kMaxCssRules. Left out are selectors
// with anything but names (pseudo-classes, attributes, siblings) and what depends on the screen (@media, but for all
// and screen).
inline constexpr size_t kMaxCssRules = 65'536;
void AppendCssRules(absl::string_view sheet, std::vector<CssRule>* rules);

// Whether text with these declarations is not to be seen whatever is around it: not displayed, transparent, of no size,
// or out of the page.
bool HidesText(const CssDeclarations& declarations);

// A colour in a form of its own for each colour ("#rrggbb"); "" for what is none, or not told from these few names.
std::string CanonicalCssColour(absl::string_view colour);

// That of `background` or `background-color`; "" when there is none.
std::string CssBackground(const CssDeclarations& declarations);

}  // namespace lastro::ingest
