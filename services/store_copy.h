// Copies collections from one store into another, whichever implementations the two are: documents with their
// originals, extracted text, chunks, vectors, labels and metadata. Not jobs. A document is one commit of the target, so
// what was interrupted goes on where it was when it is called again: what is there already and is the same is left
// alone.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "base/call_context.h"
#include "retrieval/chunk_store.h"

namespace lastro::services {

struct StoreCopyReport {
  int64_t collections = 0;
  int64_t documents_copied = 0;
  int64_t documents_equal = 0;     // there already, the same to the byte
  int64_t documents_vanished = 0;  // deleted from the source while it was read
  int64_t documents_beyond = 0;    // of the target's collections that the source does not have; they stay
  int64_t chunks = 0;              // of all that were copied or equal
  int64_t bytes = 0;               // originals of these
  // Of the digests of all these documents, by collection and uri: the same for stores that hold the same.
  std::string sha256;
};

struct StoreCopyOptions {
  std::string collection;  // empty: all that the source shows
  std::function<void(const std::string& collection, int64_t done, int64_t total)> progress;
};

// Lower-case hexadecimal SHA-256 of everything that a document is made of, but for what a store sets itself (ids, the
// time of ingestion): record, chunks with vectors, original, extracted text. Errors of the store's reads.
absl::StatusOr<std::string> DocumentDigest(retrieval::ChunkStore& store, const std::string& collection,
                                           const std::string& document_id);

// Makes the target's collections hold what the source's do. Every document is read back from the target and compared.
// NOT_FOUND: no such collection. FAILED_PRECONDITION: the target has a collection of the name with another embedding
// model. ABORTED: a document of the source changed again and again while it was read, or a collection of it turned to
// another embedding model. DATA_LOSS: what the target gives
// back is not what was put, or it lacks documents at the end. CANCELLED and DEADLINE_EXCEEDED between documents.
absl::StatusOr<StoreCopyReport> CopyStore(retrieval::ChunkStore& from, retrieval::ChunkStore& to,
                                          const StoreCopyOptions& options, const CallContext& context);

}  // namespace lastro::services
