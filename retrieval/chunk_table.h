// The table `chunks` and its full-text index. Functions run in the caller's transaction.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "retrieval/document_table.h"
#include "retrieval/sqlite.h"

namespace lastro::retrieval {

// The key under which a chunk's vector is found for an equal text: its text_sha256, that of its text where it has none.
std::string TextKey(const Chunk& chunk);

// Adds the chunks of a document without their vectors; their ids, ascending.
absl::StatusOr<std::vector<int64_t>> InsertChunks(Database& db, int64_t collection, int64_t document,
                                                  const std::string& title, absl::Span<const Chunk> chunks);
// REQUIRES: their vectors are gone (EraseVectorsOf).
absl::Status EraseChunksOf(Database& db, int64_t collection, int64_t document);

// By ordinal. Vectors are those that are searched.
absl::StatusOr<std::vector<Chunk>> SelectChunksOf(Database& db, const CollectionRow& collection,
                                                  const DocumentRow& document, bool with_vectors);

struct ChunkRow {
  int64_t document = 0;  // row of the document
  Chunk chunk;           // without vector and document_id
};
absl::StatusOr<ChunkRow> SelectChunk(Database& db, int64_t id);  // NOT_FOUND

// The ids of a document's chunks from ordinal - reach to ordinal + reach, by ordinal.
absl::StatusOr<std::vector<int64_t>> SelectChunksAround(Database& db, int64_t document, int32_t ordinal, int reach);

// Chunks without a vector in `set` with ids after `after`, by id, without vectors and document ids: at most `count`,
// and at most `max_bytes` of text, headings and segments together but for one chunk. `last` is the id of the last.
struct ChunksWithoutVector {
  std::vector<Chunk> chunks;
  int64_t last = 0;
};
absl::StatusOr<ChunksWithoutVector> SelectChunksWithoutVector(Database& db, int64_t collection, int64_t set,
                                                              int64_t after, int count, size_t max_bytes);

}  // namespace lastro::retrieval
