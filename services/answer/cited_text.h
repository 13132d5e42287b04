// Cited text: a decoder is asked to write "[n]" behind what passage n of its prompt says. This takes these citations
// out of what it wrote and keeps which passage was named where. They prove nothing: what is cited is what comparison
// finds.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace lastro::services::answer {

// A passage was named behind the first `at` bytes of the text.
struct NamedPassage {
  uint64_t at = 0;
  int passage = 0;  // index into the prompt's passages
};

// Text that comes in pieces, without its citations, the spaces before them and white space at its beginning. A citation
// of no passage is taken out and names nothing; any other "[" is text. Not thread-safe.
class CitationFilter {
 public:
  explicit CitationFilter(int passages) : passages_(passages) {}

  // What of the text is now known to be no citation. At the text's end what is held back is dropped: spaces, and the
  // beginning of a citation that was cut off.
  std::string Push(absl::string_view piece);

  const std::vector<NamedPassage>& named() const { return named_; }

 private:
  void Take(char c, std::string* shown);
  void Show(absl::string_view text, std::string* shown);

  const int passages_;
  std::string held_;  // spaces, then what may be a citation
  uint64_t shown_bytes_ = 0;
  std::vector<NamedPassage> named_;
};

}  // namespace lastro::services::answer
