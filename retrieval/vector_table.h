// Sets of vectors: all vectors of a collection by one embedding model. A collection has the set that is searched and,
// while it moves to another model or may go back, one other (reembedding.h). The table `vector_sets`, and a table
// `vectors_N` of each set; functions run in the caller's transaction.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "retrieval/filter.h"
#include "retrieval/sqlite.h"
#include "retrieval/types.h"

namespace lastro::retrieval {

struct VectorSetRow {
  int64_t id = 0;  // never used again; names the set's table and the folder of its index
  VectorSet set;
};

std::string VectorTable(int64_t set);

absl::string_view VectorBytes(const std::vector<float>& vector);
// DATA_LOSS unless `bytes` are `dimension` floats.
absl::StatusOr<std::vector<float>> VectorFromBytes(absl::string_view bytes, int dimension);

// Adds an empty set with its table, as searched since `set.since`; its id.
absl::StatusOr<int64_t> InsertVectorSet(Database& db, int64_t collection, const VectorSet& set);
absl::Status EraseVectorSet(Database& db, int64_t set);
// Takes all vectors out of a set without reading them.
absl::Status EmptyVectorSet(Database& db, int64_t set);
// The same where a damaged page is in the way: the table is made anew, and the pages of the one before belong to nobody
// until a VACUUM.
absl::Status RemakeVectorSet(Database& db, int64_t set);

// vectors[i] for chunk ids[i]; an empty one is left out. Counts them.
absl::Status InsertVectors(Database& db, int64_t set, absl::Span<const int64_t> ids,
                           absl::Span<const std::vector<float>> vectors);
// `vector` for each chunk of the collection that has this text_sha256 and no vector in the set yet; their number.
absl::StatusOr<int64_t> InsertVectorOfText(Database& db, int64_t collection, int64_t set,
                                           const std::string& text_sha256, const std::vector<float>& vector);
absl::Status EraseVectorsOf(Database& db, int64_t set, int64_t document);  // while its chunks are there

// The vector of one chunk after the other.
class VectorReader {
 public:
  static absl::StatusOr<VectorReader> Open(Database& db, const VectorSetRow& set);
  // DATA_LOSS when it has none.
  absl::StatusOr<std::vector<float>> Read(int64_t chunk);
  // Empty when it has none.
  absl::StatusOr<std::vector<float>> Find(int64_t chunk);

 private:
  VectorReader(Statement query, int dimension) : query_(std::move(query)), dimension_(dimension) {}
  Statement query_;
  int dimension_;
};

// Of chunks of documents that match `visible`: one per key, empty when there is none.
absl::StatusOr<std::vector<std::vector<float>>> SelectVectors(Database& db, int64_t collection, const VectorSetRow& set,
                                                              const Filter& visible,
                                                              absl::Span<const std::string> text_sha256);

struct VectorRow {
  int64_t id = 0;  // of the chunk
  int64_t document = 0;
  std::vector<float> vector;
};

// Chunks after `after`, up to `last`, of documents whose rows are not below `document`.
struct ChunkRange {
  int64_t after = 0;
  int64_t last = std::numeric_limits<int64_t>::max();
  int64_t document = 0;
};

// Steps through ForEachVector's rows.
class VectorCursor {
 public:
  static absl::StatusOr<VectorCursor> Open(Database& db, int64_t collection, const VectorSetRow& set, ChunkRange range);
  absl::StatusOr<bool> Next(VectorRow* row);

 private:
  VectorCursor(Statement query, const Database& db, int dimension, const ChunkRange& range)
      : query_(std::move(query)),
        db_(&db),
        dimension_(dimension),
        last_chunk_(range.after),
        last_document_(range.document) {}
  Statement query_;
  const Database* db_;
  int dimension_;
  int64_t last_chunk_, last_document_;
};

// Calls visit(id, document row, vector [dimension]) for the collection's chunks in `range`, in order of id. DATA_LOSS
// at the first that has no vector in the set, or is not in order: documents get rows and chunks together, so that their
// rows ascend with the ids.
template <typename Visit>
absl::Status ForEachVector(Database& db, int64_t collection, const VectorSetRow& set, ChunkRange range, Visit visit) {
  absl::StatusOr<VectorCursor> cursor = VectorCursor::Open(db, collection, set, range);
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
