// FilterCache: the documents that a filter selects, by commit, collection and filter, so that callers of one scope do
// not select them anew with each search. Thread-safe.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "base/lru_cache.h"
#include "retrieval/connection_pool.h"
#include "retrieval/document_table.h"
#include "retrieval/filter.h"

namespace lastro::retrieval {

class FilterCache {
 public:
  explicit FilterCache(size_t max_bytes) : selections_(max_bytes) {}

  // The documents of `snapshot`. `collection` is the collection's row id.
  absl::StatusOr<std::shared_ptr<const FilteredDocuments>> Select(const ReadSnapshot& snapshot, int64_t collection,
                                                                  const Filter& filter);
  void Clear() { selections_.Clear(); }

 private:
  LruCache<FilteredDocuments> selections_;
};

}  // namespace lastro::retrieval
