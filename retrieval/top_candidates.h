// The best k of a scan. Not thread-safe.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "absl/container/flat_hash_set.h"

namespace lastro::retrieval {

// The rows (documents.row) a search may see; nullptr where a parameter: all.
using DocumentSet = absl::flat_hash_set<int64_t>;

struct VectorCandidate {
  int64_t chunk = 0;
  int64_t document = 0;  // row of the document
  float score = 0;       // inner product with the query, or a bound of it where the text says so

  // Best first; ties by chunk id.
  bool operator<(const VectorCandidate& other) const {
    return score != other.score ? score > other.score : chunk < other.chunk;
  }
};

// A vector of an index or a log by its position there.
struct ScoredRow {
  float score = 0;
  uint32_t row = 0;

  bool operator<(const ScoredRow& other) const { return score != other.score ? score > other.score : row < other.row; }
  bool operator==(const ScoredRow& other) const = default;
};

template <typename Candidate>
class TopOf {
 public:
  explicit TopOf(size_t k) : k_(k) {}

  size_t k() const { return k_; }
  bool full() const { return heap_.size() >= k_; }
  // What a score must exceed to be kept for sure, or equal to be kept perhaps.
  float worst() const {
    if (!full()) return -std::numeric_limits<float>::infinity();
    return heap_.empty() ? std::numeric_limits<float>::infinity() : heap_.front().score;
  }

  void Add(const Candidate& candidate) {
    if (heap_.size() == k_) {
      if (k_ == 0 || !(candidate < heap_.front())) return;
      std::pop_heap(heap_.begin(), heap_.end());
      heap_.pop_back();
    }
    heap_.push_back(candidate);
    std::push_heap(heap_.begin(), heap_.end());
  }

  // Best first; empties the heap.
  std::vector<Candidate> TakeSorted() {
    std::sort_heap(heap_.begin(), heap_.end());
    return std::move(heap_);
  }

 private:
  const size_t k_;
  std::vector<Candidate> heap_;  // the worst in front
};

using TopCandidates = TopOf<VectorCandidate>;
using TopRows = TopOf<ScoredRow>;

}  // namespace lastro::retrieval
