// MilvusStore: ChunkStore on a Milvus server or cluster, for collections beyond one machine. Thread-safe; several
// processes may work on one store, as long as not two write the same document at once.
//
// What a Put, a Delete and a search promise is as ChunkStore says, with these differences:
//   - `commit` numbers are of a collection, grow with each commit, but not by one.
//   - A document is replaced at once, but two documents that a search shows may be of different moments.
//   - With another consistency than kStrong a read may miss the last writes.
//   - Words are scored by Milvus's BM25 over the terms of lexical_text.h: other numbers than the local store's, and
//   statistics
//     that may count what was deleted until Milvus compacts. A word with a star stands for itself; a phrase wants its
//     words as they are written, but for case and accents.
//   - What Milvus finds among vectors is approximate, by its own index (AUTOINDEX), unless that is exact.
//   - A chunk holds at most 48 KB of text and headings, and the fields of a document some 30 KB: more is
//   INVALID_ARGUMENT.
//   - A collection's count of chunks may for a moment include those of a version that is being replaced.
//   - At most 16,384 candidates of each list: a cap per document beyond them gives fewer hits.
//   - There is no doctor, backup or purge: those are Milvus's own. Blocks carry hashes and originals are checked when
//   read.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "retrieval/chunk_store.h"
#include "services/milvus/milvus_options.h"

namespace lastro::services {

// Makes the store's collections of Milvus's when they are not there. Errors as of MilvusClient. The operator's scope.
absl::StatusOr<std::unique_ptr<retrieval::ChunkStore>> OpenMilvusStore(const MilvusOptions& options);

}  // namespace lastro::services
