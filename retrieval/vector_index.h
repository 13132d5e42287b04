// VectorIndex: an index of one collection's vectors, one generation: which chunks its rows are, and a RowIndex of one of
// the kinds of index_kind.h over their codes. What it finds never changes; where it looks may (PutOn). Thread-safe.
//
// It may hold chunks that were deleted since: who searches drops what his snapshot does not know.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "retrieval/row_device.h"
#include "retrieval/row_ids.h"
#include "retrieval/row_index.h"
#include "retrieval/top_candidates.h"

namespace lastro::retrieval {

// Rows in the order of their chunk ids.
struct VectorRows {
  explicit VectorRows(int dimension) : vectors(dimension) {}
  void Append(int64_t chunk, int64_t document, const float* vector) {
    ids.Append(chunk, document);
    vectors.Append(vector);
  }

  RowIds ids;
  QuantizedVectors vectors;
};

class VectorIndex {
 public:
  // Where the index stands in the history of the store.
  struct Position {
    int64_t generation = 0;
    int64_t commit = 0;      // of the snapshot it was made from
    int64_t last_chunk = 0;  // every chunk of the collection with an id up to here that lived at `commit` is in it
  };

  static std::shared_ptr<const VectorIndex> Build(IndexKind kind, const Position& position, VectorRows rows,
                                                  int threads);
  // The rows `kept` of this index and then `added`, whose chunk ids are all greater; of the same kind.
  std::shared_ptr<const VectorIndex> Updated(const Position& position, const std::vector<RowRange>& kept,
                                             const VectorRows& added, int threads) const;
  // INVALID_ARGUMENT unless `bytes` are what Write wrote.
  static absl::StatusOr<std::shared_ptr<const VectorIndex>> Read(IndexKind kind, int dimension, size_t rows,
                                                                 const Position& position, absl::string_view bytes);
  void Write(IndexSink sink) const;

  IndexKind kind() const { return rows_->kind(); }
  int dimension() const { return dimension_; }
  size_t size() const { return ids_.size(); }
  const Position& position() const { return position_; }
  const RowIds& ids() const { return ids_; }
  const RowIndex& rows() const { return *rows_; }

  // The rows of an exact index are also on `device` from now on, if it has room for them, and scanned there.
  void PutOn(RowDevice* device) const;
  // They no longer are. Waits a second at most for searches that still read them.
  void LeaveDevice() const;
  std::shared_ptr<const DeviceRows> on_device() const;  // null: they are not

  // Offers the best chunks to `top`, with bounds of their scores (see RowIndex). allowed: null for all.
  RowIndex::Found Search(const QueryVector& query, const DocumentSet* allowed, TopCandidates* top) const;

 private:
  VectorIndex(int dimension, const Position& position, RowIds ids, std::unique_ptr<RowIndex> rows);

  const int dimension_;
  const Position position_;
  const RowIds ids_;
  const std::unique_ptr<const RowIndex> rows_;
  mutable absl::Mutex mutex_;
  mutable std::shared_ptr<const DeviceRows> on_device_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace lastro::retrieval
