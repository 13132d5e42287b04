#include "retrieval/index_builder.h"

#include <omp.h>

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

absl::StatusOr<DocumentSet> LiveDocuments(Database& db, int64_t collection) {
  LASTRO_ASSIGN_OR_RETURN(FilteredDocuments documents, SelectDocumentRows(db, collection, Filter()));
  return std::move(documents.rows);
}

template <typename Source>
void AppendLive(const Source& source, size_t size, int dimension, const DocumentSet& live, VectorRows* rows) {
  for (size_t row = 0; row < size; ++row) {
    auto [chunk, document, vector] = source(row);
    if (!live.contains(document)) continue;
    rows->chunks.push_back(chunk);
    rows->documents.push_back(document);
    rows->vectors.insert(rows->vectors.end(), vector, vector + dimension);
  }
}

void AppendLiveOf(const VectorIndex& index, const DocumentSet& live, VectorRows* rows) {
  auto source = [&](size_t row) { return std::tuple(index.chunks()[row], index.documents()[row], index.vector(row)); };
  AppendLive(source, index.size(), index.dimension(), live, rows);
}

void AppendLiveOf(const VectorLog::View& log, int dimension, const DocumentSet& live, VectorRows* rows) {
  auto source = [&](size_t row) { return std::tuple(log.chunk(row), log.document(row), log.vector(row)); };
  AppendLive(source, log.size(), dimension, live, rows);
}

size_t CountDead(const VectorIndex& index, const DocumentSet& live) {
  return static_cast<size_t>(std::count_if(index.documents().begin(), index.documents().end(),
                                           [&](int64_t document) { return !live.contains(document); }));
}

}  // namespace

std::string IndexFingerprint(const std::string& embedding_fingerprint, int64_t store) {
  return absl::StrCat(embedding_fingerprint, " of store ", store);
}

absl::Status CheckAgainstTruth(Database& db, int64_t collection, const VectorIndex& index) {
  LASTRO_ASSIGN_OR_RETURN(int64_t commit, ReadCommit(db));
  if (index.position().commit > commit) return absl::DataLossError("vector index: newer than the store");
  LASTRO_ASSIGN_OR_RETURN(Statement query, db.Prepare("SELECT id, document FROM chunks INDEXED BY chunks_by_collection "
                                                      "WHERE collection=?1 AND id<=?2 ORDER BY id"));
  query.Bind(1, collection).Bind(2, index.position().last_chunk);
  size_t row = 0;
  while (true) {
    LASTRO_ASSIGN_OR_RETURN(bool more, query.Step());
    if (!more) return absl::OkStatus();
    while (row < index.size() && index.chunks()[row] < query.Int(0)) ++row;
    if (row == index.size() || index.chunks()[row] != query.Int(0) || index.documents()[row] != query.Int(1)) {
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
    if (entry.index == nullptr && index.ok() && CheckAgainstTruth(db, collection.row, **index).ok()) {
      entry.index = *std::move(index);
    } else {
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
  if (static_cast<int64_t>(TailSize(*entry)) <= std::max(options_.index_after_chunks, indexed / 8)) return;
  absl::MutexLock lock(&mutex_);
  if (building_ != collection) Enqueue(collection);
}

void IndexBuilder::NoteRemoved(int64_t collection, int64_t chunks) {
  VectorCatalog::View view = catalog_->Grab();
  const VectorCatalog::Entry* entry = view.Find(collection);
  if (entry == nullptr || entry->index == nullptr) return;
  int64_t indexed = static_cast<int64_t>(entry->index->size());
  absl::MutexLock lock(&mutex_);
  if ((removed_[collection] += chunks) <= std::max(options_.index_after_chunks, indexed / 4)) return;
  if (building_ == collection) return;  // the next removal asks again
  purges_.insert(collection);
  Enqueue(collection);
}

void IndexBuilder::Forget(int64_t collection) {
  catalog_->Remove(collection);
  absl::MutexLock lock(&files_mutex_);
  (void)RemoveTree(IndexFolder(options_.folder, collection));  // what stays is removed at the next start
}

absl::Status IndexBuilder::Flush() {
  VectorCatalog::View view = catalog_->Grab();
  std::vector<int64_t> behind;
  for (const auto& [collection, entry] : *view.entries) {
    if (TailSize(entry) > 0) behind.push_back(collection);
  }
  {
    absl::MutexLock lock(&mutex_);
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
  // FAISS builds graphs with OpenMP: leave cores to those who search. The setting is this thread's own.
  omp_set_num_threads(std::max(1, omp_get_num_procs() / 2));
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
    removed_.erase(collection);
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
  VectorLog::View tail = entry.log->Snapshot().UpTo(view.last_chunk);
  VectorIndex::Position position;
  DocumentSet live;
  {
    LASTRO_ASSIGN_OR_RETURN(ReadSnapshot snapshot, pool_->Snapshot());
    LASTRO_ASSIGN_OR_RETURN(live, LiveDocuments(snapshot.db(), collection));
    position.commit = snapshot.commit();
  }
  position.generation = entry.index == nullptr ? 1 : entry.index->position().generation + 1;
  position.last_chunk = view.last_chunk;
  VectorRows rows;
  size_t dead = entry.index == nullptr ? 0 : CountDead(*entry.index, live);
  if (purge && dead == 0 && tail.size() == 0) return entry.index;
  bool extend = entry.index != nullptr && entry.index->kind() == VectorIndex::Kind::kHnsw &&
                (purge ? dead == 0 : dead * 4 < entry.index->size());
  if (!extend && entry.index != nullptr) AppendLiveOf(*entry.index, live, &rows);
  AppendLiveOf(tail, entry.dimension, live, &rows);
  if (extend) return VectorIndex::Extend(*entry.index, position, std::move(rows));
  bool graph = static_cast<int64_t>(rows.chunks.size()) > options_.exact_up_to_chunks;
  return VectorIndex::Build(entry.dimension, graph ? VectorIndex::Kind::kHnsw : VectorIndex::Kind::kFlat, position,
                            std::move(rows));
}

absl::Status IndexBuilder::Build(int64_t collection, bool purge) {
  VectorCatalog::View view = catalog_->Grab();
  const VectorCatalog::Entry* entry = view.Find(collection);
  if (entry == nullptr || (TailSize(*entry) == 0 && !purge)) return absl::OkStatus();
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
