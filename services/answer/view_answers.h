// View answers: where in the views of passages the answer may be, by what a reader points at and, in tables, by what
// the question says. A reader of prose finds a row better than the cell in it, and answers from the nearest row where
// none is about what is asked. Pure functions, thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "base/sentence.h"
#include "lastro/v1/generation.pb.h"
#include "lastro/v1/retrieval.pb.h"
#include "services/answer/passage_views.h"

namespace lastro::services::answer {

// Bytes of a chunk's text that may be the answer, as the reader scored them.
struct FoundSpan {
  TextRange range;
  double score = 0;
  double probability = 0;
};

struct ReadView {
  int passage = 0;  // that it is of: index into the passages
  PassageView view;
  double relevance = 0;          // as the reader gave it
  std::vector<FoundSpan> found;  // best first
  int doubts = 0;                // in a passage with a table, see below
};

// Takes out the rows that say less of the question than another row of their document, which says all that they do and
// something besides: they are not worth reading.
void DropOutdoneRows(const std::string& question, absl::Span<const v1::SearchHit> passages,
                     std::vector<ReadView>* views);

// Fills what was read into `views`, at most `max_spans` spans each; `readings` are of them, in their order.
//   - Of prose they are the reader's. A cell of a few words is an answer as a whole.
//   - Where the question names a column ("When does the last bus leave?": "Last bus") and the cell there is not named
//   by
//     it too, that cell is the row's answer, with the best score of the row: the reader tells the row, the question the
//     cell.
//   - A doubt is each name or number of the question that neither the row nor what stands around the table says; where
//     there is none, that no cell of the row says any word of the question that is not said around the table or by its
//     columns.
void FindAnswers(const std::string& question, absl::Span<const v1::SearchHit> passages,
                 absl::Span<const v1::ReadResponse::Reading* const> readings, size_t max_spans,
                 std::vector<ReadView>* views);

}  // namespace lastro::services::answer
