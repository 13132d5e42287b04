#include "retrieval/row_index.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "retrieval/exact_index.h"
#include "retrieval/hnsw_index.h"
#include "retrieval/ivf_index.h"

namespace lastro::retrieval {

float LikelyShare(size_t dimension) { return std::min(1.0f, 4 / std::sqrt(static_cast<float>(dimension))); }

QuantizedVectors KeptRows(const QuantizedVectors& vectors, const std::vector<RowRange>& kept, size_t room_for_more) {
  QuantizedVectors rows(vectors.dimension());
  rows.Reserve(CountRows(kept) + room_for_more);
  for (const RowRange& range : kept) rows.Append(vectors, range.begin, range.end);
  return rows;
}

std::unique_ptr<RowIndex> BuildRowIndex(IndexKind kind, QuantizedVectors vectors, int threads) {
  LASTRO_CHECK(vectors.size() < RowIds::kMaxRows);
  switch (kind) {
    case IndexKind::kExact:
      return std::make_unique<ExactIndex>(std::move(vectors));
    case IndexKind::kHnsw:
      return HnswIndex::Build(std::move(vectors), threads);
    case IndexKind::kIvfSq:
      return IvfSqIndex::Build(std::move(vectors), threads);
    case IndexKind::kIvfPq:
      return IvfPqIndex::Build(vectors, threads);
  }
  LASTRO_CHECK(false, "an index kind that there is not");
  return nullptr;
}

absl::StatusOr<std::unique_ptr<RowIndex>> ReadRowIndex(IndexKind kind, int dimension, size_t rows,
                                                       IndexReader* reader) {
  switch (kind) {
    case IndexKind::kExact:
      return ExactIndex::Read(dimension, rows, reader);
    case IndexKind::kHnsw:
      return HnswIndex::Read(dimension, rows, reader);
    case IndexKind::kIvfSq:
      return IvfSqIndex::Read(dimension, rows, reader);
    case IndexKind::kIvfPq:
      return IvfPqIndex::Read(dimension, rows, reader);
  }
  return absl::InvalidArgumentError("vector index: of an unknown kind");
}

}  // namespace lastro::retrieval
