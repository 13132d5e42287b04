// Lexical search: BM25 (see bm25.h) over title, headings and text of a snapshot's chunks. Thread-safe as its arguments
// are.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "retrieval/collection_table.h"
#include "retrieval/document_table.h"
#include "retrieval/fusion.h"
#include "retrieval/sqlite.h"

namespace lastro::retrieval {

struct LexicalResult {
  std::vector<LexicalCandidate> candidates;
  std::string expression;         // that was matched; "" when the text has no word
  bool phrases_optional = false;  // no chunk has them all
};

// The best `count` chunks that match `text` (see lexical_query.h), best first, ties by id; fewer only when there are no
// more. They contain every quoted phrase, unless no chunk does: then phrases are sought like words. Documents must be in
// `allowed`, when given.
absl::StatusOr<LexicalResult> SearchLexical(Database& db, const CollectionRow& collection, const std::string& text,
                                            size_t count, const FilteredDocuments* allowed);

}  // namespace lastro::retrieval
