// VectorLog: the vectors of a collection that are not in its index yet, as codes, in the order of their chunk ids.
// Append-only and thread-safe: one writer at a time, any number of readers, who see a fixed prefix.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "retrieval/top_candidates.h"
#include "retrieval/vector_index.h"

namespace lastro::retrieval {

class VectorLog {
 private:
  struct Slab;

 public:
  // What was in the log at one moment. Cheap to copy; keeps the memory alive.
  class View {
   public:
    size_t size() const { return size_; }
    int64_t chunk(size_t row) const;
    int64_t document(size_t row) const;
    // Offers every chunk whose document is in `allowed`, all where it is null, with certain bounds of their scores (see
    // RowIndex).
    void Search(const QueryVector& query, const DocumentSet* allowed, TopCandidates* top) const;
    // The rows whose documents are in `live`.
    VectorRows RowsOf(const DocumentSet& live) const;
    // This view without the rows after chunk `last_chunk`.
    View UpTo(int64_t last_chunk) const;

   private:
    friend class VectorLog;
    std::vector<std::shared_ptr<const Slab>> slabs_;
    size_t size_ = 0;
    int dimension_ = 0;
  };

  explicit VectorLog(int dimension) : dimension_(dimension) {}

  // REQUIRES: `chunk` is greater than any before. vector: [dimension].
  void Append(int64_t chunk, int64_t document, const float* vector);
  // The rows of `view` after chunk `after`.
  void Append(const View& view, int64_t after);
  View Snapshot() const;
  size_t size() const;

 private:
  // Where the next row goes.
  Slab* Room() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const int dimension_;
  mutable absl::Mutex mutex_;
  std::vector<std::shared_ptr<Slab>> slabs_ ABSL_GUARDED_BY(mutex_);
  size_t size_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace lastro::retrieval
