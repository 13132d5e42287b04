#include "retrieval/row_index.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "retrieval/exact_index.h"
#include "retrieval/hnsw_index.h"
#include "retrieval/ivf_index.h"

namespace lastro::retrieval {
namespace {
constexpr uint32_t kBlockRows = 256;  // scored at once
}  // namespace

void ScanRange(const QuantizedVectors& vectors, const QueryVector& query, RowRange range, TopRows* top) {
  const CodeOperand operand = query.operand();
  float scores[kBlockRows];
  for (uint32_t begin = range.begin; begin < range.end; begin += kBlockRows) {
    const uint32_t count = std::min(kBlockRows, range.end - begin);
    ScoreRange(operand, vectors.rows(), begin, count, scores);
    for (uint32_t i = 0; i < count; ++i) {
      const float bound = scores[i] + query.ErrorOf(vectors.error(begin + i));
      if (bound >= top->worst()) top->Add({bound, begin + i});
    }
  }
}

void ScanRows(const QuantizedVectors& vectors, const QueryVector& query, const AllowedRows* allowed, TopRows* top) {
  if (allowed == nullptr) return ScanRange(vectors, query, {0, static_cast<uint32_t>(vectors.size())}, top);
  for (const RowRange& range : allowed->ranges) ScanRange(vectors, query, range, top);
}

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
