// Lists of a passage: their items, and the sentence that announces them ("Visitors must bring:", "os documentos a
// seguir."). Pure functions, thread-safe.
#pragma once

#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/sentence.h"
#include "lastro/v1/common.pb.h"
#include "lastro/v1/retrieval.pb.h"

namespace lastro::services::answer {

struct PassageList {
  // The sentence right before, from the one on that announces it where there is one ("To build it:", "This takes
  // long:"); empty where it announces nothing.
  TextRange announcement;
  std::vector<TextRange> items;  // in order, markers included; at least one, and two where nothing announces them

  bool IsAnnounced() const { return announcement.end > announcement.begin; }
  TextRange Items() const { return {items.front().begin, items.back().end}; }
};

// The lists of the chunk's text, in order: paragraphs whose first line has a marker, and whatever lines a sentence
// announces. Tables are none.
std::vector<PassageList> ListsOf(const v1::Chunk& chunk);

// The items of a list in one passage.
struct ListPart {
  int passage = 0;  // index into the passages
  TextRange items;  // of its chunk's text
  TextRange cited;  // with the sentence that announces them
};

ListPart PartOf(const PassageList& list, int passage);
// The list of passage `passage`, with what chunks before and behind it, where they are among `passages`, have of it:
// its parts in the order of the document. REQUIRES: the passage's chunk has it.
std::vector<ListPart> PartsOf(const PassageList& list, int passage, absl::Span<const v1::SearchHit> passages);

// Whether the items would say the contrary without the sentence that announces them, as an answer to `question`:
// "Visitors must not bring:". `text`: of the part's chunk.
bool DeniesItems(absl::string_view question, absl::string_view text, const ListPart& part);

// Whether the words, or one of them, only point at what follows: "the following", "a seguir", "estes passos".
bool Points(absl::string_view words);

}  // namespace lastro::services::answer
