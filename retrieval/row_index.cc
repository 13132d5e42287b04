#include "retrieval/row_index.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "retrieval/exact_index.h"
#include "retrieval/hnsw_index.h"
#include "retrieval/ivf_index.h"

namespace lastro::retrieval {
namespace {

constexpr uint32_t kBlockRows = 256;  // scored at once
constexpr uint32_t kGroupRows = 16;   // compared at once
constexpr float kNoBound = -std::numeric_limits<float>::infinity();
static_assert(kBlockRows % kGroupRows == 0);

// Whether one of kGroupRows bounds is not below `worst`; without a branch, for hardly any is.
bool AnyReaches(const float* bounds, float worst) {
  int reached = 0;
  for (uint32_t i = 0; i < kGroupRows; ++i) reached |= bounds[i] >= worst ? 1 : 0;
  return reached != 0;
}

}  // namespace

void ScanRange(const QuantizedVectors& vectors, const QueryVector& query, RowRange range, TopRows* top) {
  const CodeOperand operand = query.operand();
  float bounds[kBlockRows];
  for (uint32_t begin = range.begin; begin < range.end; begin += kBlockRows) {
    const uint32_t count = std::min(kBlockRows, range.end - begin);
    ScoreRange(operand, vectors.rows(), begin, count, bounds);
    const float* errors = vectors.errors() + begin;
    for (uint32_t i = 0; i < count; ++i) bounds[i] += query.ErrorOf(errors[i]);
    std::fill(bounds + count, bounds + (count + kGroupRows - 1) / kGroupRows * kGroupRows, kNoBound);
    for (uint32_t group = 0; group < count; group += kGroupRows) {
      if (!AnyReaches(bounds + group, top->worst())) continue;
      for (uint32_t i = group; i < std::min(group + kGroupRows, count); ++i) {
        if (bounds[i] >= top->worst()) top->Add({bounds[i], begin + i});
      }
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
