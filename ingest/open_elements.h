// OpenElements: the HTML elements that are open at a place of a Markdown text, whose HTML comes in pieces (a tag in a
// sentence, the lines of a block), and whether one of them hides what stands there. Not thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "base/call_context.h"

namespace lastro::ingest {

class OpenElements {
 public:
  explicit OpenElements(const CallContext& context) : context_(context) {}

  // Goes on behind `html`: tags and comments, which may be cut between two pieces, and text between them.
  void Add(absl::string_view html);
  // A block of HTML ends, and with it a paragraph that is open in it.
  void EndBlock();
  // A paragraph, cell or item ends: of what was opened in it only what HTML opens again in the next one (b, font, ...)
  // stays, and a tag that was not finished is none. `depth` is what depth() was where it began.
  void EndParagraph(size_t depth);

  size_t depth() const { return open_.size(); }
  // What stands here is in a hidden element.
  bool Hides() const { return !open_.empty() && open_.back().hidden; }

 private:
  struct Element {
    std::string name;
    bool hidden;  // it, or one around it
  };
  bool MayBeMarkup() const;
  bool IsWholeMarkup();
  void DropMarkup();
  void AddTag(absl::string_view tag);
  bool HidesByItself(absl::string_view name, absl::string_view tag);
  void Close(absl::string_view name);

  const CallContext context_;
  std::string markup_;  // a tag or comment that has begun
  char quote_ = 0;      // around the attribute's value that it is cut in
  std::string raw_;     // "script": only its end tag counts until then
  std::vector<Element> open_;
  absl::flat_hash_map<std::string, bool> known_;  // tags, and whether they hide
};

}  // namespace lastro::ingest
