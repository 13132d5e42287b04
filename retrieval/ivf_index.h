// Indexes by lists around centroids (row_lists.h), for collections whose graph would be too large or take too long to
// make. A search looks into the nearest lists: a sixteenth of all and at least kLeastProbes, more until it has scored
// enough rows that it may find.
//
//   IvfSqIndex  rows as codes of one byte a number: scores differ little from the cosine
//   IvfPqIndex  what a row differs from its centroid by, as one byte for 8 numbers (product_quantizer.h): an eighth of
//               the memory; scores are rough, so more rows are read from the store
#pragma once

#include <memory>
#include <vector>

#include "retrieval/product_quantizer.h"
#include "retrieval/row_index.h"
#include "retrieval/row_lists.h"

namespace lastro::retrieval {

class IvfIndex : public RowIndex {
 public:
  static constexpr size_t kLeastProbes = 16;

  size_t size() const override { return lists_.rows(); }
  size_t made_for() const override { return made_for_; }

 protected:
  IvfIndex(Centroids centroids, RowLists lists, size_t made_for)
      : centroids_(std::move(centroids)), lists_(std::move(lists)), made_for_(made_for) {}

  // Calls score(list, its centroid's score), which returns how many rows it scored, for the nearest lists, more
  // of them with a filter, and in any case until `enough` rows were scored.
  template <typename Score>
  void Probe(const QueryVector& query, bool filtered, size_t enough, const Score& score) const;
  // The list of each kept row, and of `added`, whose own are `added_lists`.
  RowLists UpdatedLists(const std::vector<RowRange>& kept, absl::Span<const uint32_t> added_lists) const;

  const Centroids centroids_;
  const RowLists lists_;
  const size_t made_for_;  // rows when the centroids were made
};

class IvfSqIndex : public IvfIndex {
 public:
  static std::unique_ptr<RowIndex> Build(QuantizedVectors vectors, int threads);
  static absl::StatusOr<std::unique_ptr<RowIndex>> Read(int dimension, size_t rows, IndexReader* reader);

  IndexKind kind() const override { return IndexKind::kIvfSq; }
  const QuantizedVectors* vectors() const override { return &vectors_; }
  size_t bytes() const override;
  Found Search(const QueryVector& query, const AllowedRows* allowed, TopRows* top) const override;
  std::unique_ptr<RowIndex> Updated(const std::vector<RowRange>& kept, const QuantizedVectors& added,
                                    int threads) const override;
  void Write(IndexSink sink) const override;

 private:
  IvfSqIndex(QuantizedVectors vectors, Centroids centroids, RowLists lists, size_t made_for);

  const QuantizedVectors vectors_;
};

class IvfPqIndex : public IvfIndex {
 public:
  static std::unique_ptr<RowIndex> Build(const QuantizedVectors& vectors, int threads);
  static absl::StatusOr<std::unique_ptr<RowIndex>> Read(int dimension, size_t rows, IndexReader* reader);

  IndexKind kind() const override { return IndexKind::kIvfPq; }
  const QuantizedVectors* vectors() const override { return nullptr; }
  size_t bytes() const override;
  size_t CandidatesFor(size_t count) const override { return 16 * count + 128; }
  Found Search(const QueryVector& query, const AllowedRows* allowed, TopRows* top) const override;
  std::unique_ptr<RowIndex> Updated(const std::vector<RowRange>& kept, const QuantizedVectors& added,
                                    int threads) const override;
  void Write(IndexSink sink) const override;

 private:
  using Quantizer = std::shared_ptr<const ProductQuantizer>;
  IvfPqIndex(Centroids centroids, RowLists lists, size_t made_for, Quantizer quantizer, float error,
             HugeArray<uint8_t> codes);

  // The codes of rows, [rows of vectors, code bytes].
  static HugeArray<uint8_t> Encode(const QuantizedVectors& vectors, absl::Span<const uint32_t> list_of_row,
                                   const Centroids& centroids, const ProductQuantizer& quantizer, int threads);
  size_t code_bytes() const { return quantizer_->code_bytes(); }

  const Quantizer quantizer_;
  const float error_;               // what codes leave over of a row: the root of the mean square
  const HugeArray<uint8_t> codes_;  // [size, code_bytes], in the order of the lists
};

}  // namespace lastro::retrieval
