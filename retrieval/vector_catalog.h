// VectorCatalog: the vectors of every collection in memory: an index of one generation and the log of what came after
// it. Thread-safe.
//
// How a search sees exactly its snapshot: it takes a View *before* it opens its SQLite snapshot, so that the snapshot
// is at least as new as the view. Every chunk of the snapshot with an id up to view.last_chunk is then in the view's
// index or log; later ones are read from the snapshot itself. What the view has too much (deleted chunks) the snapshot
// does not know.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "retrieval/vector_index.h"
#include "retrieval/vector_log.h"

namespace lastro::retrieval {

class VectorCatalog {
 public:
  struct Entry {
    int dimension = 0;
    std::string fingerprint;
    std::shared_ptr<const VectorIndex> index;  // null: none yet
    std::shared_ptr<VectorLog> log;            // what came after the index
  };
  using Entries = absl::flat_hash_map<int64_t, Entry>;  // by collection row

  struct View {
    std::shared_ptr<const Entries> entries;
    int64_t last_chunk = 0;
    const Entry* Find(int64_t collection) const;  // null: unknown
  };

  View Grab() const;

  void Add(int64_t collection, Entry entry);
  void Remove(int64_t collection);
  // After a commit, by the writer, in the order of commits: the chunks it added. vectors: one [dimension] each.
  void Publish(int64_t collection, int64_t document, absl::Span<const int64_t> chunks,
               absl::Span<const std::vector<float>> vectors);
  // Replaces the index; the log keeps what the index does not cover. Nothing when the collection is gone.
  void Install(int64_t collection, std::shared_ptr<const VectorIndex> index);

 private:
  // A changed copy of the entries becomes current.
  template <typename Change>
  void Update(Change change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  std::shared_ptr<const Entries> entries_ ABSL_GUARDED_BY(mutex_) = std::make_shared<Entries>();
  int64_t last_chunk_ ABSL_GUARDED_BY(mutex_) = 0;
};

// The number of chunks in an entry's log.
size_t TailSize(const VectorCatalog::Entry& entry);

}  // namespace lastro::retrieval
