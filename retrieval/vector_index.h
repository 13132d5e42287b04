// VectorIndex: an immutable index of one collection's vectors, one generation. FAISS holds the vectors (flat) and,
// above `exact_up_to_chunks` (50,000 unless set otherwise), an HNSW graph over them; distances come from DotProduct,
// because Debian's FAISS is compiled for plain x86-64. Thread-safe.
//
// It may hold chunks that were deleted since: who searches drops what his snapshot does not know.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "retrieval/top_candidates.h"

namespace faiss {
struct Index;
struct IndexFlat;
struct IndexHNSW;
}  // namespace faiss

namespace lastro::retrieval {

// Rows in the order of their chunk ids.
struct VectorRows {
  std::vector<int64_t> chunks;
  std::vector<int64_t> documents;
  std::vector<float> vectors;  // [chunks.size(), dimension]
};

class VectorIndex {
 public:
  enum class Kind { kFlat, kHnsw };

  // Where the index stands in the history of the store.
  struct Position {
    int64_t generation = 0;
    int64_t commit = 0;      // of the snapshot it was made from
    int64_t last_chunk = 0;  // every chunk of the collection with an id up to here that lived at `commit` is in it
  };

  static absl::StatusOr<std::shared_ptr<const VectorIndex>> Build(int dimension, Kind kind, const Position& position,
                                                                  VectorRows rows);
  // `base` and `rows`, whose ids are all greater, with the graph of `base` extended. REQUIRES: base.kind() == kHnsw.
  static absl::StatusOr<std::shared_ptr<const VectorIndex>> Extend(const VectorIndex& base, const Position& position,
                                                                   VectorRows rows);
  // Wraps an index that was read from a file; INVALID_ARGUMENT when it is not what it should be.
  static absl::StatusOr<std::shared_ptr<const VectorIndex>> Wrap(int dimension, const Position& position,
                                                                 std::vector<int64_t> chunks,
                                                                 std::vector<int64_t> documents,
                                                                 std::unique_ptr<faiss::Index> index);
  ~VectorIndex();

  Kind kind() const { return graph_ != nullptr ? Kind::kHnsw : Kind::kFlat; }
  int dimension() const { return dimension_; }
  size_t size() const { return chunks_.size(); }
  const Position& position() const { return position_; }
  absl::Span<const int64_t> chunks() const { return chunks_; }
  absl::Span<const int64_t> documents() const { return documents_; }
  const float* vector(size_t row) const;
  const faiss::Index& faiss_index() const { return *index_; }

  // Offers every row whose document is in `allowed` to `top`: exact. query: [dimension].
  void Scan(const float* query, const DocumentSet* allowed, TopCandidates* top) const;
  // Offers about the `k` nearest rows to `top`: exact for kFlat. INTERNAL when FAISS fails.
  absl::Status SearchNearest(const float* query, size_t k, TopCandidates* top) const;

 private:
  VectorIndex(int dimension, const Position& position, std::vector<int64_t> chunks, std::vector<int64_t> documents,
              std::unique_ptr<faiss::Index> index);

  const int dimension_;
  const Position position_;
  const std::vector<int64_t> chunks_;  // ascending
  const std::vector<int64_t> documents_;
  const std::unique_ptr<faiss::Index> index_;
  const faiss::IndexHNSW* const graph_;  // index_ when it is a graph, else null
  const faiss::IndexFlat* const flat_;   // what holds the vectors
};

}  // namespace lastro::retrieval
