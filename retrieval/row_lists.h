// RowLists: the rows of an index in lists around centroids ("inverted lists"; Sivic and Zisserman, 2003). A search looks
// only into the lists whose centroids are nearest to its query. Immutable once made; thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "retrieval/index_bytes.h"
#include "retrieval/quantized_vectors.h"
#include "retrieval/top_candidates.h"

namespace lastro::retrieval {

// Centroids of unit length, by spherical k-means (Dhillon and Modha, 2001) over a sample. Copies share them.
class Centroids {
 public:
  explicit Centroids(QuantizedVectors vectors)
      : vectors_(std::make_shared<const QuantizedVectors>(std::move(vectors))) {}
  // About 4 sqrt(rows) of them.
  static Centroids Train(const QuantizedVectors& vectors, int threads);

  size_t size() const { return vectors_->size(); }
  const QuantizedVectors& vectors() const { return *vectors_; }
  // The nearest centroid of each row.
  std::vector<uint32_t> Assign(const QuantizedVectors& vectors, int threads) const;
  // All, the nearest to the query first.
  std::vector<ScoredRow> Ranked(const QueryVector& query) const;

  void Write(IndexSink sink) const;
  static absl::StatusOr<Centroids> Read(int dimension, IndexReader* reader);

 private:
  std::shared_ptr<const QuantizedVectors> vectors_;
};

class RowLists {
 public:
  RowLists() = default;
  // lists[i]: that of row i.
  RowLists(size_t lists, absl::Span<const uint32_t> list_of_row);

  size_t lists() const { return starts_.size() == 0 ? 0 : starts_.size() - 1; }
  size_t rows() const { return rows_.size(); }
  // Rows of a list, and where they stand among all lists' rows in order.
  absl::Span<const uint32_t> RowsOf(size_t list) const {
    return {rows_.data() + starts_[list], starts_[list + 1] - starts_[list]};
  }
  size_t StartOf(size_t list) const { return starts_[list]; }
  std::vector<uint32_t> ListOfRow() const;

  size_t bytes() const { return rows_.capacity() * sizeof(uint32_t) + starts_.capacity() * sizeof(uint64_t); }
  void Write(IndexSink sink) const;
  absl::Status Read(IndexReader* reader, size_t lists, size_t rows);

 private:
  HugeArray<uint64_t> starts_;  // [lists + 1]
  HugeArray<uint32_t> rows_;    // by list, ascending in each
};

}  // namespace lastro::retrieval
