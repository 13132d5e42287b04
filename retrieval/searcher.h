// One search from query to hits: dense and lexical lists from one snapshot, fused, capped per document, completed with
// chunks and documents. Thread-safe.
#pragma once

#include "absl/status/statusor.h"
#include "base/call_context.h"
#include "retrieval/chunk_store.h"
#include "retrieval/connection_pool.h"
#include "retrieval/vector_catalog.h"

namespace lastro::retrieval {

absl::StatusOr<SearchResult> RunSearch(const SearchQuery& query, const CallContext& context, ConnectionPool& pool,
                                       const VectorCatalog& catalog);

}  // namespace lastro::retrieval
