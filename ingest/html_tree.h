// HtmlTree: a Gumbo parse of untrusted HTML. Gumbo itself frees a tree by recursion, has no limits and takes quadratic
// time on hostile nesting; here all its memory comes from an arena that is dropped as a whole, and the parse is
// abandoned when the arena or the deadline is used up. Not thread-safe; one tree per thread.
#pragma once

#include <gumbo.h>

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/call_context.h"

namespace lastro::ingest {

class HtmlArena;

class HtmlTree {
 public:
  // `html` is UTF-8 and must outlive the tree. RESOURCE_EXHAUSTED beyond `max_memory_bytes`; DEADLINE_EXCEEDED and
  // CANCELLED from `context`.
  static absl::StatusOr<HtmlTree> Parse(absl::string_view html, uint64_t max_memory_bytes, const CallContext& context);
  HtmlTree(HtmlTree&&) noexcept;
  HtmlTree& operator=(HtmlTree&&) noexcept;
  ~HtmlTree();

  const GumboNode* root() const { return output_->root; }

 private:
  HtmlTree(std::unique_ptr<HtmlArena> arena, const GumboOutput* output);
  std::unique_ptr<HtmlArena> arena_;  // owns the nodes
  const GumboOutput* output_;
};

// The value of `node`'s attribute; null when it has none. Null too when `node` is no element.
const char* HtmlAttribute(const GumboNode* node, const char* name);

// The tag of an element, GUMBO_TAG_LAST for any other node.
GumboTag HtmlTag(const GumboNode* node);

}  // namespace lastro::ingest
