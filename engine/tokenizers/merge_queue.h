// MergeQueue: the pairs of a word that could be merged, lowest rank first and leftmost first within a rank. Not
// thread-safe; reused from word to word.
//
// A short word uses a binary heap. In a long one (a megabyte without a split) a heap of all pairs misses the cache at
// every step, so pairs wait in one bucket per rank, which is sorted when its turn comes; the heap then only takes what
// must come before the rest of the open bucket. O(n log n) whatever the merges are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace lastro::engine::tokenizers {

class MergeQueue {
 public:
  struct Candidate {
    uint32_t rank;
    int32_t left;  // index of the left symbol
    int32_t merged_id;
  };

  // Empties the queue, for a word of `symbols` symbols.
  void Reset(size_t symbols);
  void Push(const Candidate& candidate);
  // Takes the first candidate out; false when there is none.
  bool Pop(Candidate* candidate);

 private:
  struct Bucket {
    int32_t merged_id = 0;  // one for all: a rank belongs to one pair
    std::vector<int32_t> lefts;
  };
  void PushBucket(const Candidate& candidate);
  bool OpenNextBucket();

  bool bucketed_ = false;
  std::vector<Candidate> heap_;
  absl::flat_hash_map<uint32_t, Bucket> buckets_;  // by rank; all greater than open_rank_
  std::vector<uint32_t> waiting_ranks_;            // of buckets_: a heap, lowest on top
  bool any_open_ = false;
  uint32_t open_rank_ = 0;
  Bucket open_;
  size_t next_ = 0;  // in open_.lefts
};

}  // namespace lastro::engine::tokenizers
