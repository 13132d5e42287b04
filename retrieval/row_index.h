// RowIndex: finds the rows of one collection whose vectors are nearest to a query. Knows rows 0, 1, ..., not chunks.
// Immutable once made; thread-safe.
//
// Kinds, and bytes a row beside its ids (d: the dimension, rounded up to 64):
//   exact   d + 8          every row is scored, with bounds that are certain
//   hnsw    d + 8 + 136    an HNSW graph over the same codes (hnsw_graph.h)
//   ivf-sq  d + 8 + 4      lists of rows around centroids, over the same codes (ivf_index.h)
//   ivf-pq  about d/8 + 4  lists of products' codes; no vectors are held (ivf_index.h)
// All give candidates; what they are worth is decided by the vectors in SQLite (dense_search.h).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "retrieval/allowed_rows.h"
#include "retrieval/index_bytes.h"
#include "retrieval/index_kind.h"
#include "retrieval/quantized_vectors.h"
#include "retrieval/top_candidates.h"

namespace lastro::retrieval {

class RowIndex {
 public:
  // What a row's score in a search means.
  enum class Found {
    kCertain,  // every row that may be found was scored, and a score is never below the row's DotProduct
    kLikely,   // some of the best rows may be missing, and a score is rarely below
  };

  virtual ~RowIndex() = default;

  virtual IndexKind kind() const = 0;
  virtual size_t size() const = 0;
  // The codes of all rows; null when it keeps none.
  virtual const QuantizedVectors* vectors() const = 0;
  virtual size_t bytes() const = 0;
  // The number of rows what was learnt from them is good for: with more than four times as many, make it anew.
  virtual size_t made_for() const { return RowIds::kMaxRows; }
  // How many candidates are worth looking at for `count` results.
  virtual size_t CandidatesFor(size_t count) const { return 2 * count + 32; }

  // Offers the best rows, among `allowed` unless null, to `top`: as many as it can hold while there are more.
  virtual Found Search(const QueryVector& query, const AllowedRows* allowed, TopRows* top) const = 0;

  // Its rows that `kept` has, in their order, and then those of `added`.
  virtual std::unique_ptr<RowIndex> Updated(const std::vector<RowRange>& kept, const QuantizedVectors& added,
                                            int threads) const = 0;

  virtual void Write(IndexSink sink) const = 0;
};

// |rest| times this is how far the product of a query with what codes leave over of a row mostly is from zero: like
// that with a random direction, whose standard deviation is |rest| / sqrt(dimension); four of them.
float LikelyShare(size_t dimension);

// The rows that `kept` has.
QuantizedVectors KeptRows(const QuantizedVectors& vectors, const std::vector<RowRange>& kept, size_t room_for_more);

// REQUIRES: fewer than RowIds::kMaxRows rows.
std::unique_ptr<RowIndex> BuildRowIndex(IndexKind kind, QuantizedVectors vectors, int threads);
// INVALID_ARGUMENT unless what is read is an index of `rows` rows that no search leaves.
absl::StatusOr<std::unique_ptr<RowIndex>> ReadRowIndex(IndexKind kind, int dimension, size_t rows, IndexReader* reader);

}  // namespace lastro::retrieval
