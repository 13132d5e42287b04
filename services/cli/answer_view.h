// How an answer is shown: its text with a number after each claim, then the numbered sources; or why there is none.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "lastro/v1/ask.pb.h"
#include "services/cli/source_lines.h"
#include "services/cli/terminal.h"

namespace lastro::services {

// The citations of an answer without repetitions (same document and range), in order of appearance; number n is at n
// - 1.
std::vector<v1::Citation> DistinctCitations(const v1::Answer& answer);

// The answer's text with "[n]" behind each claim, and "[?]" behind unsupported ones. Ranges outside the text are
// ignored.
std::string TextWithMarkers(const v1::Answer& answer, absl::Span<const v1::Citation> citations);

// Where a citation is: "handbook.md:12-13", or without lines, the uri alone.
std::string Location(const v1::Citation& citation, const LineRange& lines);

// Prints the whole answer. `lines` has one entry a citation.
void PrintAnswer(const v1::Answer& answer, absl::Span<const v1::Citation> citations, absl::Span<const LineRange> lines,
                 const Terminal& terminal, std::ostream& out);

// Prints passages that were considered: number, score, place and text.
void PrintPassages(const v1::Answer& answer, const Terminal& terminal, std::ostream& out);

// Text of an answer shown as it is made, on a terminal; elsewhere nothing is shown. Not thread-safe.
class LiveText {
 public:
  LiveText(const Terminal& terminal, std::ostream& out) : terminal_(terminal), out_(out) {}
  void Append(const std::string& text);
  // Takes what was shown off the screen, or, when it has scrolled away in part, ends its line and says that the checked
  // answer follows.
  void Clear();

 private:
  const Terminal terminal_;
  std::ostream& out_;
  std::string shown_;
};

}  // namespace lastro::services
