// ExactIndex: scores every row. Rows come in memory order, so a search runs at the speed memory is read with.
#pragma once

#include "retrieval/row_index.h"

namespace lastro::retrieval {

class ExactIndex : public RowIndex {
 public:
  explicit ExactIndex(QuantizedVectors vectors) : vectors_(std::move(vectors)) {}
  static absl::StatusOr<std::unique_ptr<RowIndex>> Read(int dimension, size_t rows, IndexReader* reader);

  IndexKind kind() const override { return IndexKind::kExact; }
  size_t size() const override { return vectors_.size(); }
  const QuantizedVectors* vectors() const override { return &vectors_; }
  size_t bytes() const override { return size() * QuantizedVectors::BytesPerRow(vectors_.dimension()); }
  Found Search(const QueryVector& query, const AllowedRows* allowed, TopRows* top) const override;
  std::unique_ptr<RowIndex> Updated(const std::vector<RowRange>& kept, const QuantizedVectors& added,
                                    int threads) const override;
  void Write(IndexSink sink) const override { vectors_.Write(sink); }

 private:
  const QuantizedVectors vectors_;
};

}  // namespace lastro::retrieval
