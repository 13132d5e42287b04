// Dense search: the chunks of a snapshot whose vectors are nearest to a query. Thread-safe as its arguments are.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "base/call_context.h"
#include "retrieval/collection_table.h"
#include "retrieval/connection_pool.h"
#include "retrieval/document_table.h"
#include "retrieval/vector_catalog.h"

namespace lastro::retrieval {

struct DenseRequest {
  const CollectionRow* collection = nullptr;
  const std::vector<float>* query = nullptr;  // of unit length, of the collection's dimension
  size_t count = 0;
  const FilteredDocuments* allowed = nullptr;  // null: all documents
};

// The best `count` chunks, best first; fewer only when there are no more. `view` was taken before `snapshot`.
// Up to kExactScanChunks allowed chunks, and wherever the index is flat, the result is exact.
absl::StatusOr<std::vector<VectorCandidate>> SearchDense(const VectorCatalog::View& view, const ReadSnapshot& snapshot,
                                                         const DenseRequest& request, const CallContext& context);

inline constexpr int64_t kExactScanChunks = 10000;

}  // namespace lastro::retrieval
