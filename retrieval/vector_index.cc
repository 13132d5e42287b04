#include "retrieval/vector_index.h"

#include <optional>

#include "base/check.h"
#include "base/status_macros.h"

namespace lastro::retrieval {

VectorIndex::VectorIndex(int dimension, const Position& position, RowIds ids, std::unique_ptr<RowIndex> rows)
    : dimension_(dimension), position_(position), ids_(std::move(ids)), rows_(std::move(rows)) {
  LASTRO_CHECK(ids_.size() == rows_->size());
}

std::shared_ptr<const VectorIndex> VectorIndex::Build(IndexKind kind, const Position& position, VectorRows rows,
                                                      int threads) {
  const int dimension = rows.vectors.dimension();
  std::unique_ptr<RowIndex> index = BuildRowIndex(kind, std::move(rows.vectors), threads);
  return std::shared_ptr<const VectorIndex>(
      new VectorIndex(dimension, position, std::move(rows.ids), std::move(index)));
}

std::shared_ptr<const VectorIndex> VectorIndex::Updated(const Position& position, const std::vector<RowRange>& kept,
                                                        const VectorRows& added, int threads) const {
  RowIds ids;
  for (const RowRange& range : kept) ids.Append(ids_, range);
  ids.Append(added.ids, {0, static_cast<uint32_t>(added.ids.size())});
  return std::shared_ptr<const VectorIndex>(
      new VectorIndex(dimension_, position, std::move(ids), rows_->Updated(kept, added.vectors, threads)));
}

absl::StatusOr<std::shared_ptr<const VectorIndex>> VectorIndex::Read(IndexKind kind, int dimension, size_t rows,
                                                                     const Position& position,
                                                                     absl::string_view bytes) {
  IndexReader reader(bytes);
  RowIds ids;
  LASTRO_RETURN_IF_ERROR(RowIds::Read(&reader, rows, &ids));
  LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<RowIndex> index, ReadRowIndex(kind, dimension, rows, &reader));
  LASTRO_RETURN_IF_ERROR(reader.Finish());
  return std::shared_ptr<const VectorIndex>(new VectorIndex(dimension, position, std::move(ids), std::move(index)));
}

void VectorIndex::Write(IndexSink sink) const {
  ids_.Write(sink);
  rows_->Write(sink);
}

RowIndex::Found VectorIndex::Search(const QueryVector& query, const DocumentSet* allowed, TopCandidates* top) const {
  std::optional<AllowedRows> rows;
  if (allowed != nullptr) rows.emplace(ids_.RowsOfDocuments(*allowed));
  TopRows best(top->k());
  const RowIndex::Found found = rows_->Search(query, rows.has_value() ? &*rows : nullptr, &best);
  for (const ScoredRow& row : best.TakeSorted()) {
    const RowIds::Run& run = ids_.RunOf(row.row);
    top->Add({run.chunk + (row.row - run.row), run.document, row.score});
  }
  return found;
}

}  // namespace lastro::retrieval
