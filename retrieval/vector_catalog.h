// VectorCatalog: the sets of vectors in memory: an index of one generation and the log of what came after it.
// Thread-safe.
//
// How a search sees exactly its snapshot: it takes a View *before* it opens its SQLite snapshot, so that the snapshot
// is at least as new as the view. Every chunk of the snapshot with an id up to view.last_chunk is then in the view's
// index or log; later ones are read from the snapshot itself. What the view has too much (deleted chunks) the snapshot
// does not know. A set that is not the one searched hears of no commit: what its entry covers ends earlier, and the
// snapshot that makes it the one searched, whichever view it meets, has the rest.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "retrieval/vector_index.h"
#include "retrieval/vector_log.h"
#include "retrieval/vector_table.h"

namespace lastro::retrieval {

class VectorCatalog {
 public:
  static constexpr int64_t kEverything = std::numeric_limits<int64_t>::max();

  struct Entry {
    int64_t collection = 0;  // row
    VectorSetRow set;        // its counts are not kept
    // Every chunk of the collection with an id up to here is in the index or the log.
    int64_t covers = kEverything;
    std::shared_ptr<const VectorIndex> index;  // null: none yet
    std::shared_ptr<VectorLog> log;            // what came after the index
  };
  using Entries = absl::flat_hash_map<int64_t, Entry>;  // by the set's id

  struct View {
    std::shared_ptr<const Entries> entries;
    int64_t last_chunk = 0;
    const Entry* Find(int64_t set) const;  // null: unknown
  };

  // `device`, unless null, gets the rows of exact indexes, as far as it has room. It must outlive them.
  explicit VectorCatalog(RowDevice* device = nullptr) : device_(device) {}

  View Grab() const;

  void Add(Entry entry);
  void Remove(int64_t set);
  // After a commit, by the writer, in the order of commits: the chunks it added. vectors: one [dimension] each.
  void Publish(int64_t set, int64_t document, absl::Span<const int64_t> chunks,
               absl::Span<const std::vector<float>> vectors);
  // Replaces the index; the log keeps what the index does not cover. Nothing when the set is gone. The old index's rows
  // leave the device first, so that there is room for the new ones.
  void Install(int64_t set, std::shared_ptr<const VectorIndex> index);
  // Before the commit that makes `set` the one searched: `tail`, the rest of its chunks up to `covers`.
  void Complete(int64_t set, const VectorLog::View& tail, int64_t covers);
  // After it: `now` hears of commits instead of `before`, which covers what it covers.
  void Turn(int64_t before, int64_t now);

 private:
  // A changed copy of the entries becomes current.
  template <typename Change>
  void Update(Change change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LeaveDevice(int64_t set) const;

  RowDevice* const device_;
  mutable absl::Mutex mutex_;
  std::shared_ptr<const Entries> entries_ ABSL_GUARDED_BY(mutex_) = std::make_shared<Entries>();
  int64_t last_chunk_ ABSL_GUARDED_BY(mutex_) = 0;
};

// The number of chunks in an entry's log.
size_t TailSize(const VectorCatalog::Entry& entry);

}  // namespace lastro::retrieval
