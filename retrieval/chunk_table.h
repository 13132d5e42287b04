// The table `chunks` and its full-text index. Functions run in the caller's transaction.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "retrieval/document_table.h"
#include "retrieval/sqlite.h"

namespace lastro::retrieval {

absl::string_view VectorBytes(const std::vector<float>& vector);
// DATA_LOSS unless `bytes` are `dimension` floats.
absl::StatusOr<std::vector<float>> VectorFromBytes(absl::string_view bytes, int dimension);

// Adds the chunks of a document, with vectors[i] for chunks[i]; their ids, ascending.
absl::StatusOr<std::vector<int64_t>> InsertChunks(Database& db, int64_t collection, int64_t document,
                                                  const std::string& title, absl::Span<const Chunk> chunks,
                                                  absl::Span<const std::vector<float>> vectors);
absl::Status EraseChunksOf(Database& db, int64_t collection, int64_t document);

// By ordinal.
absl::StatusOr<std::vector<Chunk>> SelectChunksOf(Database& db, const CollectionRow& collection,
                                                  const DocumentRow& document, bool with_vectors);

struct ChunkRow {
  int64_t document = 0;  // row of the document
  Chunk chunk;           // without vector and document_id
};
absl::StatusOr<ChunkRow> SelectChunk(Database& db, int64_t id);  // NOT_FOUND

// The ids of a document's chunks from ordinal - reach to ordinal + reach, by ordinal.
absl::StatusOr<std::vector<int64_t>> SelectChunksAround(Database& db, int64_t document, int32_t ordinal, int reach);

// Calls visit(id, document row, vector [dimension]) for the collection's chunks with id > `after`, in order of id.
template <typename Visit>
absl::Status ForEachVectorAfter(Database& db, int64_t collection, int dimension, int64_t after, Visit visit);

// Of chunks of documents that match `visible`: one per key, empty when there is none.
absl::StatusOr<std::vector<std::vector<float>>> SelectVectors(Database& db, const CollectionRow& collection,
                                                              const Filter& visible,
                                                              absl::Span<const std::string> text_sha256);

// --- implementation of the template

struct VectorRow {
  int64_t id = 0;
  int64_t document = 0;
  std::vector<float> vector;
};

// Steps through ForEachVectorAfter's rows.
class VectorCursor {
 public:
  static absl::StatusOr<VectorCursor> Open(Database& db, int64_t collection, int dimension, int64_t after);
  absl::StatusOr<bool> Next(VectorRow* row);

 private:
  VectorCursor(Statement query, int dimension) : query_(std::move(query)), dimension_(dimension) {}
  Statement query_;
  int dimension_;
};

template <typename Visit>
absl::Status ForEachVectorAfter(Database& db, int64_t collection, int dimension, int64_t after, Visit visit) {
  absl::StatusOr<VectorCursor> cursor = VectorCursor::Open(db, collection, dimension, after);
  if (!cursor.ok()) return cursor.status();
  VectorRow row;
  while (true) {
    absl::StatusOr<bool> more = cursor->Next(&row);
    if (!more.ok()) return more.status();
    if (!*more) return absl::OkStatus();
    visit(row.id, row.document, row.vector.data());
  }
}

}  // namespace lastro::retrieval
