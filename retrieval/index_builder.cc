#include "retrieval/index_builder.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file_system.h"
#include "base/status_macros.h"
#include "retrieval/document_table.h"
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

// The chunks with ids after `after` up to `last_chunk`, from the truth.
absl::StatusOr<VectorRows> StoredRows(Database& db, const VectorCatalog::Entry& entry, int64_t after,
                                      int64_t last_chunk) {
  VectorRows rows(entry.set.set.dimension);
  LASTRO_RETURN_IF_ERROR(ForEachVector(
      db, entry.collection, entry.set, {after, last_chunk},
      [&](int64_t chunk, int64_t document, const float* vector) { rows.Append(chunk, document, vector); }));
  return rows;
}

bool IsSearched(const VectorCatalog::Entry& entry) { return entry.covers == VectorCatalog::kEverything; }

int64_t IndexedChunks(const VectorCatalog::Entry& entry) {
  return entry.index == nullptr ? 0 : static_cast<int64_t>(entry.index->size());
}

absl::StatusOr<int64_t> CountChunksAfter(Database& db, int64_t collection, int64_t after) {
  return db.QueryInt(absl::StrCat(
      "SELECT count(*) FROM chunks INDEXED BY chunks_by_collection WHERE collection=", collection, " AND id>", after));
}

// Up to which chunk an index of a set that is not searched can be made: the last one there is, or, while some have no
// vector, the last that is known to have one. NOT_FOUND: the set was dropped.
absl::StatusOr<int64_t> LastIndexable(Database& db, const VectorCatalog::Entry& entry) {
  LASTRO_ASSIGN_OR_RETURN(int64_t lacking, db.QueryInt(absl::StrCat("SELECT c.chunks-s.vectors FROM collections c "
                                                                    "JOIN vector_sets s ON s.collection=c.id "
                                                                    "WHERE s.id=",
                                                                    entry.set.id)));
  if (lacking != 0) return entry.covers;
  return db.QueryInt(absl::StrCat(
      "SELECT coalesce(max(id), 0) FROM chunks INDEXED BY chunks_by_collection WHERE collection=", entry.collection));
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
  for (const VectorSetRow* set : collection.Sets()) LASTRO_RETURN_IF_ERROR(LoadSet(db, collection, *set));
  return absl::OkStatus();
}

absl::Status IndexBuilder::LoadSet(Database& db, const CollectionRow& collection, const VectorSetRow& set) {
  const std::string folder = IndexFolder(options_.folder, set.id);
  VectorCatalog::Entry entry;
  entry.collection = collection.row;
  entry.set = set;
  entry.log = std::make_shared<VectorLog>(set.set.dimension);
  for (int64_t generation : ListGenerations(folder)) {
    auto index =
        ReadIndexFile(folder, generation, set.set.dimension, IndexFingerprint(set.set.fingerprint, options_.store));
    absl::StatusOr<int64_t> live = 0;
    if (entry.index == nullptr && index.ok()) live = CheckAgainstTruth(db, collection.row, **index);
    if (entry.index == nullptr && index.ok() && live.ok()) {
      entry.index = *std::move(index);
      NoteDeleted(set.id, static_cast<int64_t>(entry.index->size()) - *live);
    } else if (entry.index != nullptr || absl::IsDataLoss(index.ok() ? live.status() : index.status())) {
      (void)FileSystem::Current().Remove(IndexFileName(folder, generation));  // what stays is looked at again
    }
  }
  const int64_t after = entry.index == nullptr ? 0 : entry.index->position().last_chunk;
  if (set.id != collection.searched.id) {
    entry.covers = after;
    catalog_->Add(std::move(entry));
    return absl::OkStatus();
  }
  const bool has_rows = entry.index != nullptr && !entry.index->ids().runs().empty();
  LASTRO_RETURN_IF_ERROR(ForEachVector(
      db, collection.row, set, {.after = after, .document = has_rows ? entry.index->ids().runs().back().document : 0},
      [&](int64_t id, int64_t document, const float* vector) { entry.log->Append(id, document, vector); }));
  catalog_->Add(std::move(entry));
  Nudge(set.id);
  return absl::OkStatus();
}

absl::Status IndexBuilder::Prepare(int64_t set) {
  VectorCatalog::View view = catalog_->Grab();
  const VectorCatalog::Entry* entry = view.Find(set);
  if (entry == nullptr || IsSearched(*entry)) return absl::OkStatus();
  {
    LASTRO_ASSIGN_OR_RETURN(ReadSnapshot snapshot, pool_->Snapshot());
    LASTRO_ASSIGN_OR_RETURN(int64_t lacking, CountChunksAfter(snapshot.db(), entry->collection, entry->covers));
    if (lacking <= LongTail(*entry)) return absl::OkStatus();
    absl::StatusOr<int64_t> last = LastIndexable(snapshot.db(), *entry);
    if (absl::IsNotFound(last.status())) return absl::FailedPreconditionError("vector index: its vectors were dropped");
    LASTRO_RETURN_IF_ERROR(last.status());
    if (*last == entry->covers) return absl::FailedPreconditionError("vector index: chunks still lack vectors");
  }
  return BuildAll({set}, /*purge=*/false);
}

absl::Status IndexBuilder::Complete(Database& db, const CollectionRow& collection) {
  VectorCatalog::View view = catalog_->Grab();
  const VectorCatalog::Entry* entry = view.Find(collection.other->id);
  if (entry == nullptr) return absl::InternalError("vector index: the catalog does not know the other vectors");
  LASTRO_ASSIGN_OR_RETURN(int64_t lacking, CountChunksAfter(db, collection.row, entry->covers));
  if (lacking > LongTail(*entry)) {
    return absl::AbortedError(
        absl::StrCat("the index of the other vectors lacks ", lacking, " chunks; let the re-embedding catch up first"));
  }
  VectorLog tail(entry->set.set.dimension);
  int64_t last = entry->covers;
  LASTRO_RETURN_IF_ERROR(ForEachVector(db, collection.row, entry->set, {entry->covers},
                                       [&](int64_t id, int64_t document, const float* vector) {
                                         tail.Append(id, document, vector);
                                         last = id;
                                       }));
  catalog_->Complete(entry->set.id, tail.Snapshot(), last);
  return absl::OkStatus();
}

void IndexBuilder::Enqueue(int64_t set) {
  if (queued_.insert(set).second) queue_.push_back(set);
}

int64_t IndexBuilder::LongTail(const VectorCatalog::Entry& entry) const {
  return std::max(options_.index_after_chunks, IndexedChunks(entry) / 8);
}

void IndexBuilder::Nudge(int64_t set) {
  VectorCatalog::View view = catalog_->Grab();
  const VectorCatalog::Entry* entry = view.Find(set);
  if (entry == nullptr || !IsSearched(*entry)) return;
  bool long_tail = static_cast<int64_t>(TailSize(*entry)) > LongTail(*entry);
  absl::MutexLock lock(&mutex_);
  if (building_ != set && (long_tail || ManyDeleted(*entry))) Enqueue(set);
}

void IndexBuilder::NoteDeleted(int64_t set, int64_t chunks) {
  absl::MutexLock lock(&mutex_);
  deleted_[set] += chunks;
}

bool IndexBuilder::ManyDeleted(const VectorCatalog::Entry& entry) const {
  auto deleted = deleted_.find(entry.set.id);
  return entry.index != nullptr && deleted != deleted_.end() &&
         deleted->second >= std::max(options_.index_after_chunks, FewDeleted(entry.index->size()));
}

void IndexBuilder::Forget(int64_t set) {
  catalog_->Remove(set);
  absl::MutexLock lock(&files_mutex_);
  (void)RemoveTree(IndexFolder(options_.folder, set));  // what stays is removed at the next start
}

absl::Status IndexBuilder::Flush() {
  VectorCatalog::View view = catalog_->Grab();
  std::vector<int64_t> behind;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [set, entry] : *view.entries) {
      if (TailSize(entry) > 0 || ManyDeleted(entry)) behind.push_back(set);
    }
    behind.insert(behind.end(), queue_.begin(), queue_.end());
    if (building_ != 0) behind.push_back(building_);
  }
  return BuildAll(behind, /*purge=*/false);
}

absl::StatusOr<int64_t> IndexBuilder::Purge() {
  VectorCatalog::View before = catalog_->Grab();
  std::vector<int64_t> indexed;
  for (const auto& [set, entry] : *before.entries) {
    if (entry.index != nullptr) indexed.push_back(set);
  }
  LASTRO_RETURN_IF_ERROR(BuildAll(indexed, /*purge=*/true));
  VectorCatalog::View after = catalog_->Grab();
  return std::count_if(indexed.begin(), indexed.end(), [&](int64_t set) {
    const VectorCatalog::Entry* entry = after.Find(set);
    return entry != nullptr && entry->index != before.Find(set)->index;
  });
}

absl::Status IndexBuilder::BuildAll(const std::vector<int64_t>& sets, bool purge) {
  absl::MutexLock lock(&mutex_);
  for (int64_t set : sets) {
    if (purge) purges_.insert(set);
    Enqueue(set);
  }
  auto done = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return std::none_of(sets.begin(), sets.end(),
                        [&](int64_t set) { return queued_.contains(set) || building_ == set; });
  };
  mutex_.Await(absl::Condition(&done));
  for (int64_t set : sets) {
    auto error = errors_.find(set);
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
    int64_t set = building_;
    bool purge = purges_.erase(set) > 0;
    mutex_.Unlock();
    absl::Status status = Build(set, purge);
    mutex_.Lock();
    if (status.ok()) {
      errors_.erase(set);
    } else {
      errors_[set] = status;
    }
    building_ = 0;
  }
}

absl::StatusOr<std::shared_ptr<const VectorIndex>> IndexBuilder::MakeIndex(const VectorCatalog::View& view,
                                                                           const VectorCatalog::Entry& entry,
                                                                           bool purge) {
  const bool searched = IsSearched(entry);
  VectorIndex::Position position;
  position.generation = entry.index == nullptr ? 1 : entry.index->position().generation + 1;
  position.last_chunk = view.last_chunk;
  VectorRows added(entry.set.set.dimension);
  std::vector<RowRange> kept;
  bool update = false;
  IndexKind kind = IndexKind::kExact;
  {  // no snapshot is held while an index is made, which may take minutes
    LASTRO_ASSIGN_OR_RETURN(ReadSnapshot snapshot, pool_->Snapshot());
    LASTRO_ASSIGN_OR_RETURN(DocumentSet live, LiveDocuments(snapshot.db(), entry.collection));
    position.commit = snapshot.commit();
    if (searched) {
      added = entry.log->Snapshot().UpTo(view.last_chunk).RowsOf(live);
    } else {
      const int64_t after = entry.index == nullptr ? 0 : entry.index->position().last_chunk;
      absl::StatusOr<int64_t> last = LastIndexable(snapshot.db(), entry);
      if (absl::IsNotFound(last.status())) return std::shared_ptr<const VectorIndex>();  // nothing to index any more
      LASTRO_ASSIGN_OR_RETURN(position.last_chunk, std::move(last));
      LASTRO_ASSIGN_OR_RETURN(added, StoredRows(snapshot.db(), entry, after, position.last_chunk));
    }
    if (entry.index != nullptr) kept = entry.index->ids().RowsOfDocuments(live);
    const size_t deleted = entry.index == nullptr ? 0 : entry.index->size() - CountRows(kept);
    const bool nothing_to_do = purge ? deleted == 0
                                     : !searched && static_cast<int64_t>(deleted) <
                                                        FewDeleted(entry.index == nullptr ? 0 : entry.index->size());
    if (nothing_to_do && added.ids.size() == 0) return entry.index;
    const size_t rows = CountRows(kept) + added.ids.size();
    kind = KindOf(entry, rows);
    update = entry.index != nullptr && entry.index->kind() == kind && rows <= 4 * entry.index->rows().made_for();
    if (!update && entry.index != nullptr && entry.index->rows().vectors() == nullptr) {
      LASTRO_ASSIGN_OR_RETURN(added, StoredRows(snapshot.db(), entry, 0, position.last_chunk));
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

IndexKind IndexBuilder::KindOf(const VectorCatalog::Entry& entry, size_t rows) const {
  const bool on_device = !options_.kind.always.has_value() && options_.device != nullptr &&
                         options_.device->HasRoom(rows, entry.set.set.dimension,
                                                  entry.index != nullptr ? entry.index->on_device().get() : nullptr);
  return on_device ? IndexKind::kExact : options_.kind.For(static_cast<int64_t>(rows));
}

absl::Status IndexBuilder::Build(int64_t set, bool purge) {
  VectorCatalog::View view = catalog_->Grab();
  const VectorCatalog::Entry* entry = view.Find(set);
  if (entry == nullptr) return absl::OkStatus();
  {
    absl::MutexLock lock(&mutex_);
    if (IsSearched(*entry) && TailSize(*entry) == 0 && !purge && !ManyDeleted(*entry)) return absl::OkStatus();
    deleted_.erase(set);
  }
  LASTRO_ASSIGN_OR_RETURN(std::shared_ptr<const VectorIndex> index, MakeIndex(view, *entry, purge));
  absl::MutexLock lock(&files_mutex_);
  if (index == nullptr || catalog_->Grab().Find(set) == nullptr) return absl::OkStatus();  // none, or deleted
  if (index == entry->index) return RemoveOtherGenerations(set, index->position().generation);
  LASTRO_RETURN_IF_ERROR(WriteIndexFile(IndexFolder(options_.folder, set), *index,
                                        IndexFingerprint(entry->set.set.fingerprint, options_.store)));
  catalog_->Install(set, index);
  absl::Status removed = RemoveOtherGenerations(set, index->position().generation);
  return purge ? removed : absl::OkStatus();  // else what stays is removed later
}

absl::Status IndexBuilder::RemoveOtherGenerations(int64_t set, int64_t keep) {
  std::string folder = IndexFolder(options_.folder, set);
  absl::Status status;
  for (int64_t generation : ListGenerations(folder)) {
    if (generation != keep) status.Update(FileSystem::Current().Remove(IndexFileName(folder, generation)));
  }
  return status;
}

}  // namespace lastro::retrieval
