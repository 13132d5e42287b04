#include "engine/tokenizers/merge_queue.h"

#include <algorithm>
#include <functional>
#include <tuple>
#include <utility>

namespace lastro::engine::tokenizers {
namespace {

constexpr size_t kBucketedFrom = 1024;  // symbols; below, the heap stays in the first cache

// Orders a std::heap so that the lowest rank, then the leftmost pair, is on top.
bool ComesLater(const MergeQueue::Candidate& a, const MergeQueue::Candidate& b) {
  return std::tie(a.rank, a.left) > std::tie(b.rank, b.left);
}

}  // namespace

void MergeQueue::Reset(size_t symbols) {
  bucketed_ = symbols >= kBucketedFrom;
  heap_.clear();
  buckets_.clear();
  waiting_ranks_.clear();
  open_.lefts.clear();
  any_open_ = false;
  next_ = 0;
}

void MergeQueue::Push(const Candidate& candidate) {
  if (bucketed_ && (!any_open_ || candidate.rank > open_rank_)) {
    PushBucket(candidate);
    return;
  }
  heap_.push_back(candidate);
  std::push_heap(heap_.begin(), heap_.end(), ComesLater);
}

void MergeQueue::PushBucket(const Candidate& candidate) {
  auto [bucket, inserted] = buckets_.try_emplace(candidate.rank);
  bucket->second.merged_id = candidate.merged_id;
  bucket->second.lefts.push_back(candidate.left);
  if (!inserted) return;
  waiting_ranks_.push_back(candidate.rank);
  std::push_heap(waiting_ranks_.begin(), waiting_ranks_.end(), std::greater<>());
}

bool MergeQueue::OpenNextBucket() {
  if (waiting_ranks_.empty()) return false;
  std::pop_heap(waiting_ranks_.begin(), waiting_ranks_.end(), std::greater<>());
  open_rank_ = waiting_ranks_.back();
  waiting_ranks_.pop_back();
  auto bucket = buckets_.find(open_rank_);
  open_ = std::move(bucket->second);
  buckets_.erase(bucket);
  any_open_ = true;
  next_ = 0;
  if (!std::is_sorted(open_.lefts.begin(), open_.lefts.end())) std::sort(open_.lefts.begin(), open_.lefts.end());
  return true;
}

bool MergeQueue::Pop(Candidate* candidate) {
  // Everything in the heap has at most the open rank: it goes before any bucket that still waits.
  if (heap_.empty() && next_ == open_.lefts.size() && !OpenNextBucket()) return false;
  if (next_ < open_.lefts.size()) {
    Candidate first{open_rank_, open_.lefts[next_], open_.merged_id};
    if (heap_.empty() || ComesLater(heap_.front(), first)) {
      ++next_;
      *candidate = first;
      return true;
    }
  }
  std::pop_heap(heap_.begin(), heap_.end(), ComesLater);
  *candidate = heap_.back();
  heap_.pop_back();
  return true;
}

}  // namespace lastro::engine::tokenizers
