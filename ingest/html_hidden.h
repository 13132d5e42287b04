// HiddenElements: which elements of a page a reader does not see. Text in them is not read: it would be an attack on
// whoever reads it next.
//
// An element is hidden by what it is (script, template, noscript, ...: what shows without scripts in a browser of
// today), by its attributes (hidden, aria-hidden, popover, a dialog that is not open), by its style (HidesText, or text
// in the colour of its background), or by a rule of the page's own style sheets. Sheets in other files are not read:
// colours then count where an element or one around it names both. What scripts would show later is hidden.
//
// Not thread-safe; the tree must outlive it.
#pragma once

#include <gumbo.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "base/call_context.h"
#include "ingest/css.h"

namespace lastro::ingest {

class HiddenElements {
 public:
  // Reads the style sheets among the elements of the tree, at any depth.
  HiddenElements(const GumboNode* root, const CallContext& context);

  // The style sheets have more rules than are kept: nothing is known of the page.
  bool has_too_many_rules() const { return rules_.size() >= kMaxCssRules; }

  // Of an element by itself; what is in a hidden one is hidden too. True once the context has ended.
  bool Hides(const GumboNode* element);

 private:
  bool MayGoOn(uint64_t steps = 1);
  using ClassSet = absl::flat_hash_set<absl::string_view>;
  // Valid until the next call.
  const ClassSet& ClassesOf(const GumboNode* element);
  bool Matches(const CssCompound& compound, const GumboNode* element);
  CssDeclarations DeclarationsOf(const GumboNode* element);
  bool Matches(const CssRule& rule, const GumboNode* element);
  bool HasColourOfBackground(const GumboNode* element, const CssDeclarations& declarations);

  const CallContext context_;
  uint64_t steps_ = 0;
  bool stopped_ = false;  // the context has ended
  std::vector<CssRule> rules_;
  absl::flat_hash_map<std::string, std::vector<size_t>> rules_of_;  // by id, class or tag of their last compound
  absl::flat_hash_map<const GumboNode*, ClassSet> classes_;  // of the elements looked at lately; views of the tree
  size_t classes_held_ = 0;
  bool has_sheets_ = false;
};

}  // namespace lastro::ingest
