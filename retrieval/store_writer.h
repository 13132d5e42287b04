// StoreWriter: the commits of the store, one at a time, on the one write connection. Thread-safe. After each commit the
// vector catalog hears of it before the next one begins. What commits leave to be tidied is done in the background, in
// steps that a commit waits for one of at most; see store_upkeep.cc.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "retrieval/chunk_store.h"
#include "retrieval/content_table.h"
#include "retrieval/document_table.h"
#include "retrieval/index_builder.h"
#include "retrieval/purge_table.h"
#include "retrieval/sqlite.h"
#include "retrieval/store_scope.h"
#include "retrieval/upkeep.h"

namespace lastro::retrieval {

class StoreWriter {
 public:
  // `commit`: the number of the latest commit in `db`. `catalog` and `builder` must outlive it.
  StoreWriter(std::unique_ptr<Database> db, int64_t commit, VectorCatalog* catalog, IndexBuilder* builder,
              const UpkeepOptions& options);
  ~StoreWriter();

  absl::Status CreateCollection(const Collection& collection);
  absl::Status DeleteCollection(const std::string& name);

  // What PutDocument needs, checked and prepared before the writer is locked.
  struct Put {
    Document document;        // complete but for its collection's facts
    std::string fingerprint;  // of the model that made the vectors
    absl::Span<const Chunk> chunks;
    std::vector<std::vector<float>> vectors;  // of unit length, one per chunk
    std::vector<PackedContent> contents;      // the original and, for kExtractedText, the extracted text
  };
  // PERMISSION_DENIED when a document that the caller does not see has the same uri.
  absl::StatusOr<Document> PutDocument(Put put, const StoreScope& scope);
  // Of those that the caller sees.
  absl::StatusOr<int64_t> DeleteDocuments(const std::string& collection, absl::Span<const std::string> document_ids,
                                          const StoreScope& scope);
  // PERMISSION_DENIED when there is a job of this id that the caller does not see.
  absl::Status PutJob(const Job& job, const StoreScope& scope);
  // What ReembeddingStore says of them; see store_reembedding.cc.
  absl::Status BeginReembedding(const std::string& collection, const VectorSet& model);
  absl::StatusOr<int64_t> PutVectors(const std::string& collection, const std::string& fingerprint,
                                     absl::Span<const TextVector> vectors);
  absl::Status SwitchVectors(const std::string& collection, const std::string& fingerprint);
  absl::Status DropVectors(const std::string& collection, const std::string& fingerprint);
  absl::Status CheckIntegrity();
  absl::StatusOr<PurgeReceipt> Purge();
  absl::Status FinishUpkeep();
  int64_t commit() const { return commit_.load(std::memory_order_acquire); }

 private:
  // Advances the commit number and commits.
  absl::Status Commit(Transaction& transaction) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Commits what leaves the commit number as it is.
  absl::Status CommitUpkeep(Transaction& transaction) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckCollection(const CollectionRow& collection, const Put& put) const;
  // The vectors that the collection's other set knows for the texts of `put`; empty ones for the rest.
  absl::StatusOr<std::vector<std::vector<float>>> OtherVectorsOf(const CollectionRow& collection, const Put& put)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Chunks of the collection were deleted.
  void NoteDeleted(const CollectionRow& collection, int64_t chunks);
  // What a commit leaves to be tidied.
  struct Remains {
    std::vector<std::string> contents;  // that may belong to no document any more
    int64_t chunks = 0;                 // that were removed
  };
  // What a collection's full-text index needs.
  struct CollectionUpkeep {
    int64_t commits = 0;     // since there was nothing to merge
    bool is_set_up = false;  // see SetUpFullText
  };
  // Removes a document with its chunks.
  absl::Status Erase(const CollectionRow& collection, const DocumentRow& document, Remains* remains)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status EraseByUri(const CollectionRow& collection, const std::string& uri, const StoreScope& scope,
                          Remains* remains) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The log goes into the database and is cut; UNAVAILABLE when a reader is in the way.
  absl::Status EmptyLog() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<int64_t> MergeFullText() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);  // the number of indexes
  absl::Status EraseEverythingIn(const CollectionRow& collection) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Steps of the upkeep.
  absl::StatusOr<int64_t> MoveLog();
  absl::Status OpenLogConnection();
  absl::Status BeginLogAnew();
  absl::StatusOr<int64_t> MergeSomeFullText();
  absl::StatusOr<int64_t> MergeSome(int64_t collection, CollectionUpkeep* upkeep) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<int64_t> GiveSomePagesBack();

  absl::Mutex mutex_;
  const std::unique_ptr<Database> db_ ABSL_PT_GUARDED_BY(mutex_);
  std::atomic<int64_t> commit_;
  VectorCatalog* const catalog_;
  IndexBuilder* const builder_;

  const UpkeepOptions options_;
  std::atomic<int64_t> log_bytes_ = 0;      // how long the log is
  std::atomic<int64_t> begin_anew_at_ = 0;  // length from which it is begun anew; steps set it
  absl::flat_hash_map<int64_t, CollectionUpkeep> collections_ ABSL_GUARDED_BY(mutex_);
  bool giving_back_ ABSL_GUARDED_BY(mutex_) = false;  // pages, until half of what may be free is left
  // Of steps alone, which run one at a time.
  std::unique_ptr<Database> log_db_;   // puts the log into the database beside commits; null: not opened yet
  std::function<void(int64_t)> pace_;  // its writes
  int64_t moved_ = 0;                  // bytes of the log that it knows to be in the database
  std::unique_ptr<Upkeep> upkeep_;     // last: its steps use the others
};

// FAILED_PRECONDITION unless the vectors of the document `uri` are of the collection's model.
absl::Status CheckFingerprint(const Collection& collection, const std::string& uri, const std::string& fingerprint);

}  // namespace lastro::retrieval
