// HnswGraph: links between rows of quantised vectors that are near each other, in levels, over which a search walks
// towards a query (Malkov and Yashunin, 2018, "Efficient and robust approximate nearest neighbor search using
// hierarchical navigable small world graphs"). Immutable once made; searches are thread-safe.
//
// Every row is on the ground level with up to kGroundLinks links in two cache lines; one in kLinks of a level's rows is
// on the next, with up to kLinks links. The level of a row depends on its number alone. A walk marks rows it has seen
// in a table of epochs, which searches hand on to each other; collects the links of a row that it has not, and scores
// them in one call while their vectors are being fetched.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "retrieval/allowed_rows.h"
#include "retrieval/huge_array.h"
#include "retrieval/index_bytes.h"
#include "retrieval/quantized_vectors.h"
#include "retrieval/top_candidates.h"

namespace lastro::retrieval {

class HnswGraph {
 public:
  static constexpr uint32_t kLinks = 16;
  static constexpr uint32_t kGroundLinks = 2 * kLinks;
  static constexpr uint32_t kNone = 0xFFFFFFFF;  // ends a row's links before all are used
  static constexpr int kBuildBreadth = 128;      // rows held while a place for a new one is sought

  HnswGraph();
  ~HnswGraph();
  HnswGraph(const HnswGraph&) = delete;
  HnswGraph& operator=(const HnswGraph&) = delete;

  // A graph over all of `vectors`: that of `base`, which covers their first rows, or none, and the others inserted by
  // `threads` threads.
  static std::unique_ptr<HnswGraph> Build(const QuantizedVectors& vectors, const HnswGraph* base, int threads);

  // Without the rows that `new_rows` maps to kNone; the others get the numbers it maps them to, ascending. Rows that
  // linked to a row that goes look for links among that one's (Singh et al., 2021, "FreshDiskANN", algorithm 4).
  // vectors: of the old rows.
  std::unique_ptr<HnswGraph> Without(const QuantizedVectors& vectors, absl::Span<const uint32_t> new_rows,
                                     int threads) const;

  size_t size() const { return levels_.size(); }

  // The best rows a walk finds that holds `breadth` rows, with their scores (not bounds), in no order. With `allowed`,
  // the walk goes over all rows and holds allowed ones. Nothing when that would score more than `most_scored` rows.
  std::optional<std::vector<ScoredRow>> Search(const QuantizedVectors& vectors, const QueryVector& query,
                                               size_t breadth, const RowBitmap* allowed, size_t most_scored) const;

  size_t bytes() const;
  void Write(IndexSink sink) const;
  // INVALID_ARGUMENT when a link, level or entry leads outside, whatever a checksum says.
  static absl::StatusOr<std::unique_ptr<HnswGraph>> Read(IndexReader* reader, size_t rows);

 private:
  class Builder;
  class Walk;
  class Repair;
  static constexpr int kMaxLevel = 12;

  static int LevelOf(uint32_t row);
  // Makes room for rows up to `rows`, without links.
  void Grow(size_t rows);
  absl::Status Check() const;
  uint32_t* Links(uint32_t row, int level);
  const uint32_t* Links(uint32_t row, int level) const { return const_cast<HnswGraph*>(this)->Links(row, level); }
  static uint32_t LinkCount(int level) { return level == 0 ? kGroundLinks : kLinks; }

  std::unique_ptr<Walk> TakeWalk() const;
  void GiveBack(std::unique_ptr<Walk> walk) const;

  HugeArray<uint8_t> levels_;    // [rows]
  HugeArray<uint32_t> ground_;   // [rows, kGroundLinks]
  HugeArray<uint32_t> upper_;    // [sum of levels, kLinks]: levels 1, 2, ... of the rows that have them
  absl::flat_hash_map<uint32_t, uint32_t> upper_of_;  // row -> its first place in upper_, in units of kLinks
  uint32_t entry_ = kNone;       // a row of the highest level

  mutable absl::Mutex mutex_;
  mutable std::vector<std::unique_ptr<Walk>> idle_walks_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace lastro::retrieval
