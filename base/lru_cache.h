// LruCache: values by key within a byte budget; what was used least recently goes first. Thread-safe. Values are shared
// and const, so that one may be read while it is dropped here.
//
// Whoever makes the keys keeps apart what must not meet: put ScopeKey() and everything else a value depends on into it.
#pragma once

#include <list>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"

namespace lastro {

template <typename Value>
class LruCache {
 public:
  explicit LruCache(size_t max_bytes) : max_bytes_(max_bytes) {}

  // Null when there is none.
  std::shared_ptr<const Value> Find(const std::string& key) {
    absl::MutexLock lock(&mutex_);
    auto found = by_key_.find(key);
    if (found == by_key_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, found->second);
    return found->second->value;
  }

  // Keeps `value` in place of what the key had. `value_bytes` is its size; one that exceeds the budget is not kept.
  void Insert(const std::string& key, std::shared_ptr<const Value> value, size_t value_bytes) {
    const size_t bytes = value_bytes + key.size() + kEntryBytes;
    absl::MutexLock lock(&mutex_);
    if (auto found = by_key_.find(key); found != by_key_.end()) Drop(found->second);
    if (bytes > max_bytes_) return;
    while (bytes_ + bytes > max_bytes_) Drop(std::prev(entries_.end()));
    entries_.push_front({key, std::move(value), bytes});
    by_key_[key] = entries_.begin();
    bytes_ += bytes;
  }

  void Clear() {
    absl::MutexLock lock(&mutex_);
    by_key_.clear();
    entries_.clear();
    bytes_ = 0;
  }

  size_t bytes() const {
    absl::MutexLock lock(&mutex_);
    return bytes_;
  }

 private:
  static constexpr size_t kEntryBytes = 128;  // what an entry takes besides its key and value, about

  struct Entry {
    std::string key;
    std::shared_ptr<const Value> value;
    size_t bytes;
  };
  using Entries = std::list<Entry>;

  void Drop(typename Entries::iterator entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    bytes_ -= entry->bytes;
    by_key_.erase(entry->key);
    entries_.erase(entry);
  }

  const size_t max_bytes_;
  mutable absl::Mutex mutex_;
  Entries entries_ ABSL_GUARDED_BY(mutex_);  // the latest used first
  absl::flat_hash_map<std::string, typename Entries::iterator> by_key_ ABSL_GUARDED_BY(mutex_);
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace lastro
