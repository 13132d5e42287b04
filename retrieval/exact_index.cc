#include "retrieval/exact_index.h"

#include "base/status_macros.h"
#include "retrieval/row_scan.h"

namespace lastro::retrieval {

absl::StatusOr<std::unique_ptr<RowIndex>> ExactIndex::Read(int dimension, size_t rows, IndexReader* reader) {
  QuantizedVectors vectors(dimension);
  LASTRO_RETURN_IF_ERROR(QuantizedVectors::Read(reader, rows, &vectors));
  return std::make_unique<ExactIndex>(std::move(vectors));
}

RowIndex::Found ExactIndex::Search(const QueryVector& query, const AllowedRows* allowed, TopRows* top) const {
  ScanRows(vectors_, query, allowed, top);
  return Found::kCertain;
}

std::unique_ptr<RowIndex> ExactIndex::Updated(const std::vector<RowRange>& kept, const QuantizedVectors& added,
                                              int threads) const {
  QuantizedVectors rows = KeptRows(vectors_, kept, added.size());
  rows.Append(added, 0, added.size());
  return std::make_unique<ExactIndex>(std::move(rows));
}

}  // namespace lastro::retrieval
