// IndexBuilder: brings vector indexes up to date on a thread of its own; readers and the writer never wait for it.
// Thread-safe.
//
// A generation is made from what lives in the current snapshot, written to its file, and only then installed. It is the
// index there was, with the tail added and, when at least index_after_chunks and a sixteenth of its chunks are deleted,
// without those; another
// kind (index_kind.h), or what was learnt from a quarter of the chunks, is made anew. The threads that compute give way
// to others (row_threads.h), so they may be as many as there are cores.
//
// Each set of vectors (vector_table.h) has an index of its own. That of a set which is not searched is made when it is
// asked for (Prepare), from the truth, so that a search is as fast after the collection's turn to the set as before it.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "retrieval/collection_table.h"
#include "retrieval/connection_pool.h"
#include "retrieval/index_kind.h"
#include "retrieval/vector_catalog.h"

namespace lastro::retrieval {

struct IndexBuilderOptions {
  std::string folder;  // the data folder
  int64_t store = 0;   // the store's number: files of another are not its
  int64_t index_after_chunks = 5000;
  IndexKindRule kind;
  const RowDevice* device = nullptr;  // an index whose rows it has room for is exact, unless kind.always says otherwise
};

// What the vectors in an index file must be: of this embedding model and this store.
std::string IndexFingerprint(const std::string& embedding_fingerprint, int64_t store);

// How many chunks the truth has up to the position of `index`; DATA_LOSS unless the index holds each of them.
absl::StatusOr<int64_t> CheckAgainstTruth(Database& db, int64_t collection, const VectorIndex& index);

// `pool` and `catalog` must outlive it.
class IndexBuilder {
 public:
  IndexBuilder(const IndexBuilderOptions& options, ConnectionPool* pool, VectorCatalog* catalog);
  ~IndexBuilder();  // a build that has begun is finished first

  // Loads, for each set of the collection, the newest usable generation, and the tail of the one that is searched from
  // SQLite into the catalog. Generations that do not match the truth are removed; the tail is then everything, and
  // Nudge() has it indexed again.
  absl::Status Load(Database& db, const CollectionRow& collection);

  // Indexes a set that is not searched unless what its index lacks is so little that it need not be; waits.
  // FAILED_PRECONDITION when a chunk has no vector in it yet.
  absl::Status Prepare(int64_t set);
  // Within the transaction that makes the collection's other set the one searched: reads what its index lacks.
  // ABORTED when that is more than little.
  absl::Status Complete(Database& db, const CollectionRow& collection);

  // Asks for a new generation when the tail is long enough, more than index_after_chunks and an eighth of the index, or
  // when at least index_after_chunks and a sixteenth of the index are deleted.
  void Nudge(int64_t set);
  // Counts chunks that were deleted. One too many is harmless.
  void NoteDeleted(int64_t set, int64_t chunks);
  // Removes the set's vectors and files from memory and disk.
  void Forget(int64_t set);
  // Indexes every tail there is, and what Nudge would, and waits for these builds and those asked for before; their
  // first error.
  absl::Status Flush();
  // Makes every index anew that holds deleted chunks, and waits; their number.
  absl::StatusOr<int64_t> Purge();

 private:
  void Run();
  absl::Status LoadSet(Database& db, const CollectionRow& collection, const VectorSetRow& set);
  // `purge`: also when there is no tail, and without any deleted chunk.
  absl::Status Build(int64_t set, bool purge);
  // Builds these and waits; the first error.
  absl::Status BuildAll(const std::vector<int64_t>& sets, bool purge);
  absl::StatusOr<std::shared_ptr<const VectorIndex>> MakeIndex(const VectorCatalog::View& view,
                                                               const VectorCatalog::Entry& entry, bool purge);
  IndexKind KindOf(const VectorCatalog::Entry& entry, size_t rows) const;
  bool ManyDeleted(const VectorCatalog::Entry& entry) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // More chunks than these are a long tail of an entry.
  int64_t LongTail(const VectorCatalog::Entry& entry) const;
  absl::Status RemoveOtherGenerations(int64_t set, int64_t keep);
  void Enqueue(int64_t set) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const IndexBuilderOptions options_;
  ConnectionPool* const pool_;
  VectorCatalog* const catalog_;

  absl::Mutex files_mutex_;  // held while files of a set are written or removed
  absl::Mutex mutex_;
  std::deque<int64_t> queue_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<int64_t> queued_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<int64_t> purges_ ABSL_GUARDED_BY(mutex_);                // of those queued
  absl::flat_hash_map<int64_t, int64_t> deleted_ ABSL_GUARDED_BY(mutex_);      // chunks of a set since its last build
  int64_t building_ ABSL_GUARDED_BY(mutex_) = 0;                               // 0: none
  absl::flat_hash_map<int64_t, absl::Status> errors_ ABSL_GUARDED_BY(mutex_);  // of the latest build of a set
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace lastro::retrieval
