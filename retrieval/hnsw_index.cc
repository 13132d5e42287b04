#include "retrieval/hnsw_index.h"

#include <algorithm>
#include <cstdint>

#include "base/status_macros.h"
#include "retrieval/row_scan.h"

namespace lastro::retrieval {
namespace {

// A walk scores about this many rows for each it holds.
constexpr size_t kScoredPerHeld = 16;
// A walk scores rows wherever they are; a scan reads them in order, so many times as fast.
constexpr size_t kScanSpeedup = 3;

}  // namespace

HnswIndex::HnswIndex(QuantizedVectors vectors, std::unique_ptr<HnswGraph> graph)
    : vectors_(std::move(vectors)), graph_(std::move(graph)) {}

std::unique_ptr<RowIndex> HnswIndex::Build(QuantizedVectors vectors, int threads) {
  std::unique_ptr<HnswGraph> graph = HnswGraph::Build(vectors, nullptr, threads);
  return std::unique_ptr<RowIndex>(new HnswIndex(std::move(vectors), std::move(graph)));
}

absl::StatusOr<std::unique_ptr<RowIndex>> HnswIndex::Read(int dimension, size_t rows, IndexReader* reader) {
  QuantizedVectors vectors(dimension);
  LASTRO_RETURN_IF_ERROR(QuantizedVectors::Read(reader, rows, &vectors));
  LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<HnswGraph> graph, HnswGraph::Read(reader, rows));
  return std::unique_ptr<RowIndex>(new HnswIndex(std::move(vectors), std::move(graph)));
}

void HnswIndex::Offer(const QueryVector& query, absl::Span<const ScoredRow> found, TopRows* top) const {
  const float likely = LikelyShare(query.dimension());
  for (const ScoredRow& row : found) {
    top->Add({row.score + query.ErrorOf(likely * vectors_.error(row.row)), row.row});
  }
}

void HnswIndex::Walk(const QueryVector& query, size_t breadth, TopRows* top) const {
  Offer(query, *graph_->Search(vectors_, query, breadth, nullptr, SIZE_MAX), top);
}

RowIndex::Found HnswIndex::Search(const QueryVector& query, const AllowedRows* allowed, TopRows* top) const {
  const size_t breadth = std::max(kLeastBreadth, top->k());
  const size_t possible = allowed != nullptr ? allowed->count : size();
  // Rows are held once in size / possible scored ones.
  const double expected = static_cast<double>(breadth * kScoredPerHeld) * static_cast<double>(size()) /
                          static_cast<double>(std::max<size_t>(1, possible));
  const bool walk = breadth < possible && expected * kScanSpeedup < static_cast<double>(possible);
  if (walk && allowed == nullptr) {
    Walk(query, breadth, top);
    return Found::kLikely;
  }
  if (walk) {
    const RowBitmap bitmap(size(), allowed->ranges);
    // Allowed rows may all be far from the query: then a walk is given up for a scan.
    if (auto found = graph_->Search(vectors_, query, breadth, &bitmap, possible / kScanSpeedup)) {
      Offer(query, *found, top);
      return Found::kLikely;
    }
  }
  ScanRows(vectors_, query, allowed, top);
  return Found::kCertain;
}

std::unique_ptr<RowIndex> HnswIndex::Updated(const std::vector<RowRange>& kept, const QuantizedVectors& added,
                                             int threads) const {
  QuantizedVectors rows = KeptRows(vectors_, kept, added.size());
  if (rows.size() < size() / 2) {  // too few neighbours are left to repair the graph from
    rows.Append(added, 0, added.size());
    return Build(std::move(rows), threads);
  }
  std::unique_ptr<HnswGraph> repaired;
  if (rows.size() < size()) {
    std::vector<uint32_t> new_rows(size(), HnswGraph::kNone);
    uint32_t next = 0;
    for (const RowRange& range : kept) {
      for (uint32_t row = range.begin; row < range.end; ++row) new_rows[row] = next++;
    }
    repaired = graph_->Without(vectors_, new_rows, threads);
  }
  rows.Append(added, 0, added.size());
  auto graph = HnswGraph::Build(rows, repaired != nullptr ? repaired.get() : graph_.get(), threads);
  return std::unique_ptr<RowIndex>(new HnswIndex(std::move(rows), std::move(graph)));
}

void HnswIndex::Write(IndexSink sink) const {
  vectors_.Write(sink);
  graph_->Write(sink);
}

}  // namespace lastro::retrieval
