#include "retrieval/store_writer.h"

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/file_system.h"
#include "base/status_macros.h"
#include "retrieval/chunk_table.h"
#include "retrieval/folder.h"
#include "retrieval/integrity.h"
#include "retrieval/job_table.h"
#include "retrieval/schema.h"
#include "retrieval/store_identity.h"
#include "retrieval/timestamps.h"

namespace lastro::retrieval {

namespace fs = std::filesystem;

StoreWriter::~StoreWriter() {
  upkeep_->Stop();
  absl::MutexLock lock(&mutex_);
  // Tidies the log away; what is in it is durable already, so a failure is harmless.
  (void)db_->Execute("PRAGMA wal_checkpoint(TRUNCATE)");
}

absl::Status StoreWriter::Commit(Transaction& transaction) {
  LASTRO_ASSIGN_OR_RETURN(int64_t commit, AdvanceCommit(*db_));
  LASTRO_RETURN_IF_ERROR(CommitAndNote(*db_, transaction));
  commit_.store(commit, std::memory_order_release);
  return absl::OkStatus();
}

absl::Status StoreWriter::CommitUpkeep(Transaction& transaction) {
  LASTRO_RETURN_IF_ERROR(AdvanceUpkeep(*db_));
  return CommitAndNote(*db_, transaction);
}

absl::Status StoreWriter::CreateCollection(const Collection& collection) {
  absl::MutexLock lock(&mutex_);
  LASTRO_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*db_, Transaction::Kind::kWrite));
  Collection stored = collection;
  stored.created_at = absl::Now();
  LASTRO_ASSIGN_OR_RETURN(CollectionRow row, InsertCollection(*db_, stored, commit() + 1));
  LASTRO_RETURN_IF_ERROR(CreateFtsTable(*db_, row.row));
  LASTRO_RETURN_IF_ERROR(Commit(transaction));
  VectorCatalog::Entry entry;
  entry.collection = row.row;
  entry.set = row.searched;
  entry.log = std::make_shared<VectorLog>(collection.dimension);
  catalog_->Add(std::move(entry));
  return absl::OkStatus();
}

absl::Status StoreWriter::EraseEverythingIn(const CollectionRow& collection) {
  LASTRO_RETURN_IF_ERROR(DropFtsTable(*db_, collection.row));
  for (const VectorSetRow* set : collection.Sets()) LASTRO_RETURN_IF_ERROR(EraseVectorSet(*db_, set->id));
  for (const char* sql : {"DELETE FROM chunks WHERE collection=?1", "DELETE FROM fields WHERE collection=?1",
                          "DELETE FROM documents WHERE collection=?1", "DELETE FROM collections WHERE id=?1"}) {
    LASTRO_ASSIGN_OR_RETURN(Statement statement, db_->Prepare(sql));
    LASTRO_RETURN_IF_ERROR(statement.Bind(1, collection.row).Run());
  }
  return DropAllUnreferencedContents(*db_);
}

absl::Status StoreWriter::DeleteCollection(const std::string& name) {
  absl::MutexLock lock(&mutex_);
  LASTRO_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*db_, Transaction::Kind::kWrite));
  LASTRO_ASSIGN_OR_RETURN(CollectionRow collection, FindCollection(*db_, name));
  LASTRO_RETURN_IF_ERROR(EraseEverythingIn(collection));
  LASTRO_RETURN_IF_ERROR(Commit(transaction));
  collections_.erase(collection.row);
  for (const VectorSetRow* set : collection.Sets()) builder_->Forget(set->id);
  return absl::OkStatus();
}

absl::Status StoreWriter::Erase(const CollectionRow& collection, const DocumentRow& document, Remains* remains) {
  for (const VectorSetRow* set : collection.Sets()) {
    LASTRO_RETURN_IF_ERROR(EraseVectorsOf(*db_, set->id, document.row));
  }
  LASTRO_RETURN_IF_ERROR(EraseChunksOf(*db_, collection.row, document.row));
  LASTRO_RETURN_IF_ERROR(EraseDocument(*db_, document.row));
  remains->contents.push_back(document.document.content_sha256);
  remains->contents.push_back(document.document.source_sha256);
  remains->chunks += document.document.chunk_count;
  LASTRO_RETURN_IF_ERROR(CountRemovedDocument(*db_, collection.row));
  return AddToCounts(*db_, collection.row, -1, -document.document.chunk_count);
}

absl::Status StoreWriter::EraseByUri(const CollectionRow& collection, const std::string& uri, const StoreScope& scope,
                                     Remains* remains) {
  absl::StatusOr<DocumentRow> old = FindDocumentByUri(*db_, collection, uri);
  if (absl::IsNotFound(old.status())) return absl::OkStatus();
  LASTRO_RETURN_IF_ERROR(old.status());
  if (!scope.Sees(old->document.labels)) {
    return absl::PermissionDeniedError(
        absl::StrCat("document ", uri, ": the collection has a document of this name with other access labels"));
  }
  return Erase(collection, *old, remains);
}

absl::Status CheckFingerprint(const Collection& collection, const std::string& uri, const std::string& fingerprint) {
  if (fingerprint == collection.embedding_fingerprint) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("document ", uri, ": its vectors have the fingerprint \"",
                                                    fingerprint, "\", collection \"", collection.name, "\" has \"",
                                                    collection.embedding_fingerprint, "\""));
}

absl::Status StoreWriter::CheckCollection(const CollectionRow& collection, const Put& put) const {
  const Collection& known = collection.collection;
  LASTRO_RETURN_IF_ERROR(CheckFingerprint(known, put.document.uri, put.fingerprint));
  for (const std::vector<float>& vector : put.vectors) {
    if (vector.size() != static_cast<size_t>(known.dimension)) {
      return absl::FailedPreconditionError(absl::StrCat("document ", put.document.uri, ": a vector of dimension ",
                                                        vector.size(), ", the collection has ", known.dimension));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::vector<float>>> StoreWriter::OtherVectorsOf(const CollectionRow& collection,
                                                                            const Put& put) {
  if (!collection.other.has_value()) return std::vector<std::vector<float>>();
  std::vector<std::string> keys;
  for (const Chunk& chunk : put.chunks) keys.push_back(TextKey(chunk));
  return SelectVectors(*db_, collection.row, *collection.other, Filter(), keys);
}

void StoreWriter::NoteDeleted(const CollectionRow& collection, int64_t chunks) {
  for (const VectorSetRow* set : collection.Sets()) builder_->NoteDeleted(set->id, chunks);
  builder_->Nudge(collection.searched.id);
}

absl::StatusOr<Document> StoreWriter::PutDocument(Put put, const StoreScope& scope) {
  absl::MutexLock lock(&mutex_);
  LASTRO_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*db_, Transaction::Kind::kWrite));
  LASTRO_ASSIGN_OR_RETURN(CollectionRow collection, FindCollection(*db_, put.document.collection));
  LASTRO_RETURN_IF_ERROR(CheckCollection(collection, put));
  LASTRO_ASSIGN_OR_RETURN(auto others, OtherVectorsOf(collection, put));  // also of the version that goes
  Remains remains;
  LASTRO_RETURN_IF_ERROR(EraseByUri(collection, put.document.uri, scope, &remains));
  for (const PackedContent& content : put.contents) LASTRO_RETURN_IF_ERROR(StoreContent(*db_, content));
  put.document.ingested_at = FromStoredTime(ToStoredTime(absl::Now()));
  LASTRO_ASSIGN_OR_RETURN(int64_t row, InsertDocument(*db_, collection.row, put.document));
  LASTRO_ASSIGN_OR_RETURN(std::vector<int64_t> ids,
                          InsertChunks(*db_, collection.row, row, put.document.title, put.chunks));
  LASTRO_RETURN_IF_ERROR(InsertVectors(*db_, collection.searched.id, ids, put.vectors));
  if (!others.empty()) LASTRO_RETURN_IF_ERROR(InsertVectors(*db_, collection.other->id, ids, others));
  LASTRO_RETURN_IF_ERROR(AddToCounts(*db_, collection.row, 1, put.document.chunk_count));
  LASTRO_RETURN_IF_ERROR(DropUnreferencedContents(*db_, remains.contents));
  LASTRO_RETURN_IF_ERROR(Commit(transaction));
  ++collections_[collection.row].commits;
  catalog_->Publish(collection.searched.id, row, ids, put.vectors);
  NoteDeleted(collection, remains.chunks);
  return std::move(put.document);
}

absl::StatusOr<int64_t> StoreWriter::DeleteDocuments(const std::string& collection,
                                                     absl::Span<const std::string> document_ids,
                                                     const StoreScope& scope) {
  absl::MutexLock lock(&mutex_);
  LASTRO_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*db_, Transaction::Kind::kWrite));
  LASTRO_ASSIGN_OR_RETURN(CollectionRow row, FindCollection(*db_, collection));
  Remains remains;
  int64_t deleted = 0;
  for (const std::string& id : document_ids) {
    absl::StatusOr<DocumentRow> document = FindDocumentById(*db_, row, id);
    if (absl::IsNotFound(document.status())) continue;
    LASTRO_RETURN_IF_ERROR(document.status());
    if (!scope.Sees(document->document.labels)) continue;
    LASTRO_RETURN_IF_ERROR(Erase(row, *document, &remains));
    ++deleted;
  }
  if (deleted == 0) return 0;
  LASTRO_RETURN_IF_ERROR(DropUnreferencedContents(*db_, remains.contents));
  LASTRO_RETURN_IF_ERROR(Commit(transaction));
  ++collections_[row.row].commits;
  NoteDeleted(row, remains.chunks);
  return deleted;
}

absl::Status StoreWriter::PutJob(const Job& job, const StoreScope& scope) {
  absl::MutexLock lock(&mutex_);
  absl::StatusOr<Job> old = FindJob(*db_, job.id);
  if (!old.ok() && !absl::IsNotFound(old.status())) return old.status();
  if (old.ok() && !(scope.KnownName(old->collection).has_value() && scope.SeesJob(*old))) {
    return absl::PermissionDeniedError(absl::StrCat("job ", job.id, " is somebody else's"));
  }
  LASTRO_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*db_, Transaction::Kind::kWrite));
  LASTRO_RETURN_IF_ERROR(StoreJob(*db_, job));
  return CommitUpkeep(transaction);
}

absl::Status StoreWriter::CheckIntegrity() {
  Upkeep::Pause pause(upkeep_.get());  // pages and their checksums are compared as they are on the disk
  absl::MutexLock lock(&mutex_);
  return CheckStoreIntegrity(*db_);
}

absl::Status StoreWriter::EmptyLog() {
  LASTRO_ASSIGN_OR_RETURN(int64_t busy, db_->QueryInt("PRAGMA wal_checkpoint(TRUNCATE)"));
  if (busy == 0) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("store ", db_->path(), ": a search still reads what is to go from the log", "; try again"));
}

absl::StatusOr<int64_t> StoreWriter::MergeFullText() {
  LASTRO_ASSIGN_OR_RETURN(std::vector<CollectionRow> collections, AllCollections(*db_));
  for (const CollectionRow& collection : collections) {
    LASTRO_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*db_, Transaction::Kind::kWrite));
    std::string table = FtsTable(collection.row);
    LASTRO_RETURN_IF_ERROR(db_->Execute(absl::StrCat("INSERT INTO ", table, "(", table, ") VALUES('optimize')")));
    LASTRO_RETURN_IF_ERROR(CommitUpkeep(transaction));
  }
  return static_cast<int64_t>(collections.size());
}

absl::StatusOr<PurgeReceipt> StoreWriter::Purge() {
  Upkeep::Pause pause(upkeep_.get());  // SQLite does not wait for another who works on the log
  absl::MutexLock lock(&mutex_);
  PurgeReceipt receipt;
  LASTRO_ASSIGN_OR_RETURN(receipt.from_commit, db_->QueryInt("SELECT coalesce(max(to_commit), 0) FROM purges"));
  receipt.to_commit = commit();
  const std::string folder = fs::path(db_->path()).parent_path().string();
  receipt.bytes_before = FolderBytes(folder);
  LASTRO_RETURN_IF_ERROR(RemoveTree(RestoredPath(folder)));
  LASTRO_RETURN_IF_ERROR(RemoveTree(SetAsideLogPath(folder)));
  LASTRO_ASSIGN_OR_RETURN(receipt.vector_indexes, builder_->Purge());
  LASTRO_ASSIGN_OR_RETURN(receipt.full_text_indexes, MergeFullText());
  LASTRO_ASSIGN_OR_RETURN(int64_t gives_back, db_->QueryInt("PRAGMA auto_vacuum"));
  if (gives_back == 0) LASTRO_RETURN_IF_ERROR(db_->Execute("PRAGMA auto_vacuum=INCREMENTAL"));
  LASTRO_RETURN_IF_ERROR(db_->Execute("VACUUM"));
  LASTRO_RETURN_IF_ERROR(EmptyLog());
  receipt.bytes_after = FolderBytes(folder);
  receipt.at = FromStoredTime(ToStoredTime(absl::Now()));
  LASTRO_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*db_, Transaction::Kind::kWrite));
  LASTRO_RETURN_IF_ERROR(InsertPurge(*db_, &receipt));
  LASTRO_RETURN_IF_ERROR(Commit(transaction));
  return receipt;
}

}  // namespace lastro::retrieval
