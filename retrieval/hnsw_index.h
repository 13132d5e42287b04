// HnswIndex: an HNSW graph over codes. A search with a filter is a walk that goes over all rows and holds allowed ones,
// or a scan of the allowed rows where that is expected to score less, or turned out to.
#pragma once

#include "retrieval/hnsw_graph.h"
#include "retrieval/row_index.h"

namespace lastro::retrieval {

class HnswIndex : public RowIndex {
 public:
  // The least number of rows a walk holds: what gives recall@10 of 0.95 and more (BENCHMARKS.md).
  static constexpr size_t kLeastBreadth = 128;

  static std::unique_ptr<RowIndex> Build(QuantizedVectors vectors, int threads);
  static absl::StatusOr<std::unique_ptr<RowIndex>> Read(int dimension, size_t rows, IndexReader* reader);

  IndexKind kind() const override { return IndexKind::kHnsw; }
  size_t size() const override { return vectors_.size(); }
  const QuantizedVectors* vectors() const override { return &vectors_; }
  size_t bytes() const override {
    return size() * QuantizedVectors::BytesPerRow(vectors_.dimension()) + graph_->bytes();
  }
  Found Search(const QueryVector& query, const AllowedRows* allowed, TopRows* top) const override;
  const HnswGraph& graph() const { return *graph_; }
  // As Search without a filter, by a walk that holds `breadth` rows.
  void Walk(const QueryVector& query, size_t breadth, TopRows* top) const;
  std::unique_ptr<RowIndex> Updated(const std::vector<RowRange>& kept, const QuantizedVectors& added,
                                    int threads) const override;
  void Write(IndexSink sink) const override;

 private:
  HnswIndex(QuantizedVectors vectors, std::unique_ptr<HnswGraph> graph);

  // Adds what a walk found, with bounds that hold for nearly all rows.
  void Offer(const QueryVector& query, absl::Span<const ScoredRow> found, TopRows* top) const;

  const QuantizedVectors vectors_;
  const std::unique_ptr<const HnswGraph> graph_;
};

}  // namespace lastro::retrieval
