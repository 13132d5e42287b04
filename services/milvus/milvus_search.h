// One search of a collection in Milvus: dense and lexical candidates, joined as the local store joins them (fusion.h),
// and of each document only what its record says is its version. Thread-safe.
//
// Milvus has no snapshot over several calls. Instead: the candidates are looked for; the records of their documents are
// read; rows of versions that do not count are left out by the expression, and the candidates are looked for again,
// until there are none such among them. So nothing is cut after a limit, and no result mixes two versions of a
// document.
#pragma once

#include "absl/status/statusor.h"
#include "base/call_context.h"
#include "retrieval/chunk_store.h"
#include "services/milvus/milvus_chunks.h"
#include "services/milvus/milvus_records.h"

namespace lastro::services {

// REQUIRES: ValidateQuery(query).ok(). `visible`: the documents that the caller sees. The hits' documents are of the
// collection's stored name. Errors of ChunkStore::Search, and ABORTED: documents of the collection were replaced faster
// than they could be read.
absl::StatusOr<retrieval::SearchResult> RunMilvusSearch(const retrieval::SearchQuery& query,
                                                        const CollectionRecord& collection,
                                                        const retrieval::Filter& visible, MilvusRecords& records,
                                                        MilvusChunks& chunks, const CallContext& context);

}  // namespace lastro::services
