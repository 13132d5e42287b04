// One search from query to hits: dense and lexical lists from one snapshot, fused, capped per document, completed with
// chunks and documents. Thread-safe.
#pragma once

#include "absl/status/statusor.h"
#include "base/call_context.h"
#include "retrieval/chunk_store.h"
#include "retrieval/connection_pool.h"
#include "retrieval/filter_cache.h"
#include "retrieval/vector_catalog.h"

namespace lastro::retrieval {

// Where a search may look: in the stored collection, at the documents that its caller sees.
struct SearchTarget {
  std::string collection;
  Filter visible;
};

// REQUIRES: ValidateQuery(query).ok(). The hits' documents are of `target.collection`.
absl::StatusOr<SearchResult> RunSearch(const SearchQuery& query, const SearchTarget& target,
                                       const CallContext& context, ConnectionPool& pool, const VectorCatalog& catalog,
                                       FilterCache& filters);

}  // namespace lastro::retrieval
