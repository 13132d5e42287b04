// Dense search: the chunks of a snapshot whose vectors are nearest to a query. Thread-safe as its arguments are.
//
// Memory holds vectors as codes; the truth is in SQLite. Codes give candidates and, for each, a bound that its score
// does not exceed. Candidates are read from the snapshot, the highest bound first, and scored by their stored vectors;
// what the snapshot does not know was deleted. Reading ends when the next bound is below the worst of the `count` best
// scores: nothing that follows can be better (the "VA-file" search of Weber, Schek and Blott, 1998). So every score is
// that of the stored vector, and wherever the index scores every row that may be found (RowIndex::Found::kCertain:
// exact indexes, small ones, narrow filters) the result is exactly that of comparing the query with every stored
// vector.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "base/call_context.h"
#include "retrieval/connection_pool.h"
#include "retrieval/document_table.h"
#include "retrieval/vector_catalog.h"

namespace lastro::retrieval {

struct DenseRequest {
  int64_t collection = 0;                     // row
  const VectorSetRow* set = nullptr;          // of the collection; each of its chunks has a vector in it
  const std::vector<float>* query = nullptr;  // of unit length, of the set's dimension
  size_t count = 0;
  const FilteredDocuments* allowed = nullptr;  // null: all documents
};

// The best `count` chunks, best first; fewer only when there are no more. `view` was taken before `snapshot`.
absl::StatusOr<std::vector<VectorCandidate>> SearchDense(const VectorCatalog::View& view, const ReadSnapshot& snapshot,
                                                         const DenseRequest& request, const CallContext& context);

}  // namespace lastro::retrieval
