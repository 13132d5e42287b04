// Lexical search: BM25 over title (weight 3), headings (2) and text (1) of a snapshot's chunks. Thread-safe as its
// arguments are.
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

// The best `count` chunks that match `text` (see lexical_query.h), best first, ties by id; fewer only when there are no
// more. Documents must be in `allowed`, when given.
absl::StatusOr<std::vector<LexicalCandidate>> SearchLexical(Database& db, const CollectionRow& collection,
                                                            const std::string& text, size_t count,
                                                            const FilteredDocuments* allowed);

}  // namespace lastro::retrieval
