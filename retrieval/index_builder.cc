#include "retrieval/index_builder.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file_system.h"
#include "base/status_macros.h"
#include "retrieval/chunk_table.h"
#include "retrieval/index_file.h"
#include "retrieval/schema.h"

namespace lastro::retrieval {
namespace {

// Fewer deleted chunks than this stay in an index of so many.
int64_t FewDeleted(size_t indexed) { return static_cast<int64_t>(indexed / 16) + 1; }

absl::StatusOr<DocumentSet> LiveDocuments(Database& db, int64_t collection) {
  LASTRO_ASSIGN_OR_RETURN(FilteredDocuments documents, SelectDocumentRows(db, collection, Filter()));
  return std::move(documents.rows);
}

// The chunks with ids up to `last_chunk`, from the truth.
absl::StatusOr<VectorRows> StoredRows(Database& db, int64_t collection, int dimension, int64_t last_chunk) {
  VectorRows rows(dimension);
  LASTRO_RETURN_IF_ERROR(
      ForEachVectorAfter(db, collection, dimension, 0, [&](int64_t chunk, int64_t document, const float* vector) {
        if (chunk <= last_chunk) rows.Append(chunk, document, vector);
      }));
  return rows;
}

// The rows `kept` of an index that has vectors, and then `added`.
VectorRows Joined(const VectorIndex& index, const std::vector<RowRange>& kept, const VectorRows& added) {
  VectorRows rows(index.dimension());
  rows.vectors = KeptRows(*index.rows().vectors(), kept, added.vectors.size());
  rows.vectors.Append(added.vectors, 0, added.vectors.size());
  for (const RowRange& range : kept) rows.ids.Append(index.ids(), range);
  rows.ids.Append(added.ids, {0, static_cast<uint32_t>(added.ids.size())});
  return rows;
}

}  // namespace

std::string IndexFingerprint(const std::string& embedding_fingerprint, int64_t store) {
  return absl::StrCat(embedding_fingerprint, " of store ", store);
}

absl::StatusOr<int64_t> CheckAgainstTruth(Database& db, int64_t collection, const VectorIndex& index) {
  LASTRO_ASSIGN_OR_RETURN(int64_t commit, ReadCommit(db));
  if (index.position().commit > commit) return absl::DataLossError("vector index: newer than the store");
  LASTRO_ASSIGN_OR_RETURN(Statement query, db.Prepare("SELECT id, document FROM chunks INDEXED BY chunks_by_collection "
                                                      "WHERE collection=?1 AND id<=?2 ORDER BY id"));
  query.Bind(1, collection).Bind(2, index.position().last_chunk);
  const RowIds& ids = index.ids();
  size_t run = 0;
  for (int64_t count = 0;; ++count) {
    LASTRO_ASSIGN_OR_RETURN(bool more, query.Step());
    if (!more) return count;
    const int64_t chunk = query.Int(0);
    while (run + 1 < ids.runs().size() && ids.runs()[run + 1].chunk <= chunk) ++run;
    const RowRange rows = run < ids.runs().size() ? ids.RowsOf(run) : RowRange{};
    const int64_t first = rows.begin < rows.end ? ids.runs()[run].chunk : chunk + 1;
    if (chunk < first || chunk - first >= rows.end - rows.begin || ids.runs()[run].document != query.Int(1)) {
      return absl::DataLossError("vector index: lacks chunks of the store");
    }
  }
}

IndexBuilder::IndexBuilder(const IndexBuilderOptions& options, ConnectionPool* pool, VectorCatalog* catalog)
    : options_(options), pool_(pool), catalog_(catalog), thread_([this] { Run(); }) {}

IndexBuilder::~IndexBuilder() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

absl::Status IndexBuilder::Load(Database& db, const CollectionRow& collection) {
  const std::string folder = IndexFolder(options_.folder, collection.row);
  VectorCatalog::Entry entry;
  entry.dimension = collection.collection.dimension;
  entry.fingerprint = collection.collection.embedding_fingerprint;
  entry.log = std::make_shared<VectorLog>(entry.dimension);
  for (int64_t generation : ListGenerations(folder)) {
    auto index =
        ReadIndexFile(folder, generation, entry.dimension, IndexFingerprint(entry.fingerprint, options_.store));
    absl::StatusOr<int64_t> live = 0;
    if (entry.index == nullptr && index.ok()) live = CheckAgainstTruth(db, collection.row, **index);
    if (entry.index == nullptr && index.ok() && live.ok()) {
      entry.index = *std::move(index);
      NoteDeleted(collection.row, static_cast<int64_t>(entry.index->size()) - *live);
    } else if (entry.index != nullptr || absl::IsDataLoss(index.ok() ? live.status() : index.status())) {
      (void)FileSystem::Current().Remove(IndexFileName(folder, generation));  // what stays is looked at again
    }
  }
  int64_t after = entry.index == nullptr ? 0 : entry.index->position().last_chunk;
  LASTRO_RETURN_IF_ERROR(ForEachVectorAfter(
      db, collection.row, entry.dimension, after,
      [&](int64_t id, int64_t document, const float* vector) { entry.log->Append(id, document, vector); }));
  catalog_->Add(collection.row, std::move(entry));
  Nudge(collection.row);
  return absl::OkStatus();
}

void IndexBuilder::Enqueue(int64_t collection) {
  if (queued_.insert(collection).second) queue_.push_back(collection);
}

void IndexBuilder::Nudge(int64_t collection) {
  VectorCatalog::View view = catalog_->Grab();
  const VectorCatalog::Entry* entry = view.Find(collection);
  if (entry == nullptr) return;
  int64_t indexed = entry->index == nullptr ? 0 : static_cast<int64_t>(entry->index->size());
  bool long_tail = static_cast<int64_t>(TailSize(*entry)) > std::max(options_.index_after_chunks, indexed / 8);
  absl::MutexLock lock(&mutex_);
  if (building_ != collection && (long_tail || ManyDeleted(collection, *entry))) Enqueue(collection);
}

void IndexBuilder::NoteDeleted(int64_t collection, int64_t chunks) {
  absl::MutexLock lock(&mutex_);
  deleted_[collection] += chunks;
}

bool IndexBuilder::ManyDeleted(int64_t collection, const VectorCatalog::Entry& entry) const {
  auto deleted = deleted_.find(collection);
  return entry.index != nullptr && deleted != deleted_.end() &&
         deleted->second >= std::max(options_.index_after_chunks, FewDeleted(entry.index->size()));
}

void IndexBuilder::Forget(int64_t collection) {
  catalog_->Remove(collection);
  absl::MutexLock lock(&files_mutex_);
  (void)RemoveTree(IndexFolder(options_.folder, collection));  // what stays is removed at the next start
}

absl::Status IndexBuilder::Flush() {
  VectorCatalog::View view = catalog_->Grab();
  std::vector<int64_t> behind;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [collection, entry] : *view.entries) {
      if (TailSize(entry) > 0 || ManyDeleted(collection, entry)) behind.push_back(collection);
    }
    behind.insert(behind.end(), queue_.begin(), queue_.end());
    if (building_ != 0) behind.push_back(building_);
  }
  return BuildAll(behind, /*purge=*/false);
}

absl::StatusOr<int64_t> IndexBuilder::Purge() {
  VectorCatalog::View before = catalog_->Grab();
  std::vector<int64_t> indexed;
  for (const auto& [collection, entry] : *before.entries) {
    if (entry.index != nullptr) indexed.push_back(collection);
  }
  LASTRO_RETURN_IF_ERROR(BuildAll(indexed, /*purge=*/true));
  VectorCatalog::View after = catalog_->Grab();
  return std::count_if(indexed.begin(), indexed.end(), [&](int64_t collection) {
    const VectorCatalog::Entry* entry = after.Find(collection);
    return entry != nullptr && entry->index != before.Find(collection)->index;
  });
}

absl::Status IndexBuilder::BuildAll(const std::vector<int64_t>& collections, bool purge) {
  absl::MutexLock lock(&mutex_);
  for (int64_t collection : collections) {
    if (purge) purges_.insert(collection);
    Enqueue(collection);
  }
  auto done = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return std::none_of(collections.begin(), collections.end(),
                        [&](int64_t collection) { return queued_.contains(collection) || building_ == collection; });
  };
  mutex_.Await(absl::Condition(&done));
  for (int64_t collection : collections) {
    auto error = errors_.find(collection);
    if (error != errors_.end()) return error->second;
  }
  return absl::OkStatus();
}

void IndexBuilder::Run() {
  absl::MutexLock lock(&mutex_);
  auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopping_ || !queue_.empty(); };
  while (true) {
    mutex_.Await(absl::Condition(&ready));
    if (stopping_) return;
    building_ = queue_.front();
    queue_.pop_front();
    queued_.erase(building_);
    int64_t collection = building_;
    bool purge = purges_.erase(collection) > 0;
    mutex_.Unlock();
    absl::Status status = Build(collection, purge);
    mutex_.Lock();
    if (status.ok()) {
      errors_.erase(collection);
    } else {
      errors_[collection] = status;
    }
    building_ = 0;
  }
}

absl::StatusOr<std::shared_ptr<const VectorIndex>> IndexBuilder::MakeIndex(int64_t collection,
                                                                           const VectorCatalog::View& view,
                                                                           const VectorCatalog::Entry& entry,
                                                                           bool purge) {
  VectorIndex::Position position;
  position.generation = entry.index == nullptr ? 1 : entry.index->position().generation + 1;
  position.last_chunk = view.last_chunk;
  VectorRows added(entry.dimension);
  std::vector<RowRange> kept;
  bool update = false;
  IndexKind kind = IndexKind::kExact;
  {  // no snapshot is held while an index is made, which may take minutes
    LASTRO_ASSIGN_OR_RETURN(ReadSnapshot snapshot, pool_->Snapshot());
    LASTRO_ASSIGN_OR_RETURN(DocumentSet live, LiveDocuments(snapshot.db(), collection));
    position.commit = snapshot.commit();
    added = entry.log->Snapshot().UpTo(view.last_chunk).RowsOf(live);
    if (entry.index != nullptr) kept = entry.index->ids().RowsOfDocuments(live);
    const size_t deleted = entry.index == nullptr ? 0 : entry.index->size() - CountRows(kept);
    if (purge && deleted == 0 && added.ids.size() == 0) return entry.index;
    const size_t rows = CountRows(kept) + added.ids.size();
    kind = options_.kind.For(static_cast<int64_t>(rows));
    update = entry.index != nullptr && entry.index->kind() == kind && rows <= 4 * entry.index->rows().made_for();
    if (!update && entry.index != nullptr && entry.index->rows().vectors() == nullptr) {
      LASTRO_ASSIGN_OR_RETURN(added, StoredRows(snapshot.db(), collection, entry.dimension, position.last_chunk));
      kept.clear();
    }
  }
  const int threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  if (update) {
    const size_t size = entry.index->size();
    const auto deleted = static_cast<int64_t>(size - CountRows(kept));
    if (!purge && deleted < FewDeleted(size)) kept = {{0, static_cast<uint32_t>(size)}};
    return entry.index->Updated(position, kept, added, threads);
  }
  if (!kept.empty()) added = Joined(*entry.index, kept, added);
  return VectorIndex::Build(kind, position, std::move(added), threads);
}

absl::Status IndexBuilder::Build(int64_t collection, bool purge) {
  VectorCatalog::View view = catalog_->Grab();
  const VectorCatalog::Entry* entry = view.Find(collection);
  if (entry == nullptr) return absl::OkStatus();
  {
    absl::MutexLock lock(&mutex_);
    if (TailSize(*entry) == 0 && !purge && !ManyDeleted(collection, *entry)) return absl::OkStatus();
    deleted_.erase(collection);
  }
  LASTRO_ASSIGN_OR_RETURN(std::shared_ptr<const VectorIndex> index, MakeIndex(collection, view, *entry, purge));
  absl::MutexLock lock(&files_mutex_);
  if (index == nullptr || catalog_->Grab().Find(collection) == nullptr) return absl::OkStatus();  // none, or deleted
  if (index == entry->index) return RemoveOtherGenerations(collection, index->position().generation);
  LASTRO_RETURN_IF_ERROR(WriteIndexFile(IndexFolder(options_.folder, collection), *index,
                                        IndexFingerprint(entry->fingerprint, options_.store)));
  catalog_->Install(collection, index);
  absl::Status removed = RemoveOtherGenerations(collection, index->position().generation);
  return purge ? removed : absl::OkStatus();  // else what stays is removed later
}

absl::Status IndexBuilder::RemoveOtherGenerations(int64_t collection, int64_t keep) {
  std::string folder = IndexFolder(options_.folder, collection);
  absl::Status status;
  for (int64_t generation : ListGenerations(folder)) {
    if (generation != keep) status.Update(FileSystem::Current().Remove(IndexFileName(folder, generation)));
  }
  return status;
}

}  // namespace lastro::retrieval
