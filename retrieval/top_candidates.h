// The best k chunks of a scan. Not thread-safe.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_set.h"

namespace lastro::retrieval {

// The rows (documents.row) a search may see; nullptr where a parameter: all.
using DocumentSet = absl::flat_hash_set<int64_t>;

struct VectorCandidate {
  int64_t chunk = 0;
  int64_t document = 0;  // row of the document
  float score = 0;       // inner product with the query

  // Best first; ties by chunk id.
  bool operator<(const VectorCandidate& other) const {
    return score != other.score ? score > other.score : chunk < other.chunk;
  }
};

class TopCandidates {
 public:
  explicit TopCandidates(size_t k) : k_(k) {}

  void Add(const VectorCandidate& candidate) {
    if (heap_.size() == k_) {
      if (k_ == 0 || !(candidate < heap_.front())) return;
      std::pop_heap(heap_.begin(), heap_.end());
      heap_.pop_back();
    }
    heap_.push_back(candidate);
    std::push_heap(heap_.begin(), heap_.end());
  }

  // Best first; empties the heap.
  std::vector<VectorCandidate> TakeSorted() {
    std::sort_heap(heap_.begin(), heap_.end());
    return std::move(heap_);
  }

 private:
  const size_t k_;
  std::vector<VectorCandidate> heap_;  // the worst in front
};

}  // namespace lastro::retrieval
