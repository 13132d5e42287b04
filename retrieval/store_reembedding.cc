// The commits of StoreWriter that bring a collection to another embedding model.
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "retrieval/sqlite_reembedding.h"
#include "retrieval/store_writer.h"

namespace lastro::retrieval {
namespace {

// FAILED_PRECONDITION unless `fingerprint` is the model of the collection's other set.
absl::Status CheckOther(const CollectionRow& collection, const std::string& fingerprint) {
  if (collection.other.has_value() && collection.other->set.fingerprint == fingerprint) return absl::OkStatus();
  return NoVectorsOf(collection.collection.name, fingerprint);
}

// OK when it is to begin, ALREADY_EXISTS when it has begun.
absl::Status CheckMayBegin(const CollectionRow& collection, const VectorSet& model) {
  const std::string& name = collection.collection.name;
  if (model.fingerprint == collection.searched.set.fingerprint) {
    return absl::FailedPreconditionError(
        absl::StrCat("collection \"", name, "\" is searched by the model ", model.model, " already"));
  }
  if (!collection.other.has_value()) return absl::OkStatus();
  const VectorSet& other = collection.other->set;
  if (other.fingerprint != model.fingerprint) {
    return absl::FailedPreconditionError(absl::StrCat("collection \"", name, "\" has vectors of ", other.model,
                                                      " beside those it is searched by; drop these first "
                                                      "(lastro reembed --finish)"));
  }
  if (other.dimension != model.dimension) {
    return absl::FailedPreconditionError(absl::StrCat("collection \"", name, "\": the vectors of ", other.model,
                                                      " have dimension ", other.dimension, ", not ", model.dimension));
  }
  return absl::AlreadyExistsError("");
}

}  // namespace

absl::Status StoreWriter::BeginReembedding(const std::string& name, const VectorSet& model) {
  absl::MutexLock lock(&mutex_);
  LASTRO_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*db_, Transaction::Kind::kWrite));
  LASTRO_ASSIGN_OR_RETURN(CollectionRow collection, FindCollection(*db_, name));
  absl::Status status = CheckMayBegin(collection, model);
  if (absl::IsAlreadyExists(status)) return absl::OkStatus();
  LASTRO_RETURN_IF_ERROR(status);
  VectorCatalog::Entry entry;
  entry.set.set = model;
  entry.set.set.vectors = entry.set.set.since = 0;
  LASTRO_ASSIGN_OR_RETURN(entry.set.id, InsertVectorSet(*db_, collection.row, entry.set.set));
  LASTRO_RETURN_IF_ERROR(Commit(transaction));
  entry.collection = collection.row;
  entry.covers = 0;
  entry.log = std::make_shared<VectorLog>(model.dimension);
  catalog_->Add(std::move(entry));
  return absl::OkStatus();
}

absl::StatusOr<int64_t> StoreWriter::PutVectors(const std::string& name, const std::string& fingerprint,
                                                absl::Span<const TextVector> vectors) {
  absl::MutexLock lock(&mutex_);
  LASTRO_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*db_, Transaction::Kind::kWrite));
  LASTRO_ASSIGN_OR_RETURN(CollectionRow collection, FindCollection(*db_, name));
  LASTRO_RETURN_IF_ERROR(CheckOther(collection, fingerprint));
  int64_t chunks = 0;
  for (const TextVector& given : vectors) {
    if (given.vector.size() != static_cast<size_t>(collection.other->set.dimension)) {  // another set since the check
      return absl::InvalidArgumentError(absl::StrCat("a vector of dimension ", given.vector.size()));
    }
    LASTRO_ASSIGN_OR_RETURN(
        int64_t count, InsertVectorOfText(*db_, collection.row, collection.other->id, given.text_sha256, given.vector));
    chunks += count;
  }
  LASTRO_RETURN_IF_ERROR(CommitUpkeep(transaction));
  return chunks;
}

absl::Status StoreWriter::SwitchVectors(const std::string& name, const std::string& fingerprint) {
  absl::MutexLock lock(&mutex_);
  LASTRO_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*db_, Transaction::Kind::kWrite));
  LASTRO_ASSIGN_OR_RETURN(CollectionRow collection, FindCollection(*db_, name));
  if (collection.searched.set.fingerprint == fingerprint) return absl::OkStatus();
  LASTRO_RETURN_IF_ERROR(CheckOther(collection, fingerprint));
  const int64_t lacking = collection.collection.chunks - collection.other->set.vectors;
  if (lacking != 0) {
    return absl::AbortedError(absl::StrCat("collection \"", name, "\": ", lacking, " of ", collection.collection.chunks,
                                           " chunks have no vector of ", collection.other->set.model,
                                           " yet; let the re-embedding catch up first"));
  }
  LASTRO_RETURN_IF_ERROR(builder_->Complete(*db_, collection));
  LASTRO_RETURN_IF_ERROR(SearchOtherSet(*db_, collection, commit() + 1));
  LASTRO_RETURN_IF_ERROR(Commit(transaction));
  catalog_->Turn(collection.searched.id, collection.other->id);
  builder_->Nudge(collection.other->id);
  return absl::OkStatus();
}

absl::Status StoreWriter::DropVectors(const std::string& name, const std::string& fingerprint) {
  absl::MutexLock lock(&mutex_);
  LASTRO_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*db_, Transaction::Kind::kWrite));
  LASTRO_ASSIGN_OR_RETURN(CollectionRow collection, FindCollection(*db_, name));
  if (collection.searched.set.fingerprint == fingerprint) {
    return absl::FailedPreconditionError(
        absl::StrCat("collection \"", name, "\" is searched by these vectors; switch to others first"));
  }
  LASTRO_RETURN_IF_ERROR(CheckOther(collection, fingerprint));
  LASTRO_RETURN_IF_ERROR(EraseVectorSet(*db_, collection.other->id));
  LASTRO_RETURN_IF_ERROR(Commit(transaction));
  builder_->Forget(collection.other->id);
  return absl::OkStatus();
}

}  // namespace lastro::retrieval
