// OpenElements: the HTML elements that are open at a place of a Markdown text, whose HTML comes in pieces (a tag in a
// sentence, the lines of a block), and whether one of them hides what stands there. Not thread-safe.
#pragma once

#include <cstdint>
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
  // What stands here is in a hidden element, or in a comment: one that nothing ends goes on to the end of the text.
  bool Hides() const { return in_comment_ || (!open_.empty() && open_.back().hidden); }

 private:
  struct Element {
    std::string name;
    bool hidden;  // it, or one around it
  };
  void AddToComment(char c);
  bool MayBeMarkup() const;
  bool IsWholeMarkup();
  void DropMarkup();
  void AddTag(absl::string_view tag);
  bool HidesByItself(absl::string_view name, absl::string_view tag);
  void Close(absl::string_view name);

  const CallContext context_;
  bool in_comment_ = false;
  int64_t dashes_ = 0;  // that stand last in it
  std::string markup_;  // a tag that has begun
  char quote_ = 0;      // around the attribute's value that it is cut in
  std::string raw_;     // "script": only its end tag counts until then
  std::vector<Element> open_;
  absl::flat_hash_map<std::string, bool> known_;  // tags, and whether they hide
};

}  // namespace lastro::ingest
