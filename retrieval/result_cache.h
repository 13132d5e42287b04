// ResultCache: search results by everything they depend on: the commit searched, the collection, what the caller sees,
// and the query to the last bit. A commit makes all of them unreachable; Clear() drops them from memory. Thread-safe.
#pragma once

#include <memory>

#include "base/lru_cache.h"
#include "retrieval/chunk_store.h"
#include "retrieval/searcher.h"

namespace lastro::retrieval {

class ResultCache {
 public:
  explicit ResultCache(size_t max_bytes) : results_(max_bytes) {}

  // The result of the same search at `commit`; null when it is not known.
  std::shared_ptr<const SearchResult> Find(const SearchQuery& query, const SearchTarget& target, int64_t commit);
  void Insert(const SearchQuery& query, const SearchTarget& target, const SearchResult& result);
  void Clear() { results_.Clear(); }

 private:
  LruCache<SearchResult> results_;
};

}  // namespace lastro::retrieval
