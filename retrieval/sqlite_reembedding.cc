#include "retrieval/sqlite_reembedding.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "retrieval/chunk_table.h"
#include "retrieval/validation.h"

namespace lastro::retrieval {
namespace {

constexpr size_t kMaxBytesPerCall = 4u << 20;

// The other set of the collection, when it is that of `fingerprint`.
absl::StatusOr<VectorSetRow> OtherSet(const CollectionRow& row, const std::string& collection,
                                      const std::string& fingerprint) {
  if (row.other.has_value() && row.other->set.fingerprint == fingerprint) return *row.other;
  return NoVectorsOf(collection, fingerprint);
}

}  // namespace

absl::Status NoVectorsOf(const std::string& collection, const std::string& fingerprint) {
  return absl::FailedPreconditionError(absl::StrCat("collection \"", collection,
                                                    "\" has no vectors of the model with fingerprint \"", fingerprint,
                                                    "\" beside those it is searched by"));
}

absl::StatusOr<std::string> SqliteReembedding::NameFor(const std::string& collection) const {
  LASTRO_RETURN_IF_ERROR(scope_.CheckSeesAll("another embedding model for a collection"));
  return scope_.StoredName(collection);
}

absl::StatusOr<CollectionRow> SqliteReembedding::Find(const ReadSnapshot& snapshot,
                                                      const std::string& collection) const {
  LASTRO_ASSIGN_OR_RETURN(std::string stored, NameFor(collection));
  return FindCollection(snapshot.db(), stored);
}

absl::StatusOr<Reembedding> SqliteReembedding::Get(const std::string& collection) const {
  LASTRO_ASSIGN_OR_RETURN(ReadSnapshot snapshot, pool_.Snapshot());
  LASTRO_ASSIGN_OR_RETURN(CollectionRow row, Find(snapshot, collection));
  Reembedding state;
  state.collection = collection;
  state.chunks = row.collection.chunks;
  state.searched = row.searched.set;
  if (row.other.has_value()) state.other = row.other->set;
  return state;
}

absl::StatusOr<Reembedding> SqliteReembedding::Begin(const std::string& collection, const VectorSet& model) {
  LASTRO_ASSIGN_OR_RETURN(std::string stored, NameFor(collection));
  Collection like;
  like.embedding_model = model.model;
  like.embedding_fingerprint = model.fingerprint;
  like.dimension = model.dimension;
  LASTRO_RETURN_IF_ERROR(ValidateCollection(like));
  LASTRO_RETURN_IF_ERROR(writer_.BeginReembedding(stored, model));
  return Get(collection);
}

absl::StatusOr<UnembeddedChunks> SqliteReembedding::FindUnembedded(const std::string& collection,
                                                                   const std::string& fingerprint, int64_t after,
                                                                   int count) const {
  if (count < 1) return absl::InvalidArgumentError(absl::StrCat("count is ", count, "; ask for at least one"));
  LASTRO_ASSIGN_OR_RETURN(ReadSnapshot snapshot, pool_.Snapshot());
  LASTRO_ASSIGN_OR_RETURN(CollectionRow row, Find(snapshot, collection));
  LASTRO_ASSIGN_OR_RETURN(VectorSetRow set, OtherSet(row, collection, fingerprint));
  LASTRO_ASSIGN_OR_RETURN(ChunksWithoutVector found, SelectChunksWithoutVector(snapshot.db(), row.row, set.id, after,
                                                                               count, kMaxBytesPerCall));
  return UnembeddedChunks{std::move(found.chunks), found.last};
}

absl::StatusOr<int64_t> SqliteReembedding::PutVectors(const std::string& collection, const std::string& fingerprint,
                                                      absl::Span<const TextVector> vectors) {
  LASTRO_ASSIGN_OR_RETURN(std::string stored, NameFor(collection));
  VectorSetRow set;
  {
    LASTRO_ASSIGN_OR_RETURN(ReadSnapshot snapshot, pool_.Snapshot());
    LASTRO_ASSIGN_OR_RETURN(CollectionRow row, Find(snapshot, collection));
    LASTRO_ASSIGN_OR_RETURN(set, OtherSet(row, collection, fingerprint));
  }
  std::vector<TextVector> checked;
  for (const TextVector& given : vectors) {
    LASTRO_ASSIGN_OR_RETURN(
        std::vector<float> vector,
        UnitVector(given.vector, set.set.dimension, absl::StrCat("the vector of text ", given.text_sha256)));
    checked.push_back({given.text_sha256, std::move(vector)});
  }
  return writer_.PutVectors(stored, fingerprint, checked);
}

absl::Status SqliteReembedding::Prepare(const std::string& collection, const std::string& fingerprint) {
  VectorSetRow set;
  {
    LASTRO_ASSIGN_OR_RETURN(ReadSnapshot snapshot, pool_.Snapshot());
    LASTRO_ASSIGN_OR_RETURN(CollectionRow row, Find(snapshot, collection));
    LASTRO_ASSIGN_OR_RETURN(set, OtherSet(row, collection, fingerprint));
  }
  return builder_.Prepare(set.id);
}

absl::StatusOr<Reembedding> SqliteReembedding::Switch(const std::string& collection, const std::string& fingerprint) {
  LASTRO_ASSIGN_OR_RETURN(std::string stored, NameFor(collection));
  LASTRO_RETURN_IF_ERROR(writer_.SwitchVectors(stored, fingerprint));
  return Get(collection);
}

absl::StatusOr<Reembedding> SqliteReembedding::Drop(const std::string& collection, const std::string& fingerprint) {
  LASTRO_ASSIGN_OR_RETURN(std::string stored, NameFor(collection));
  LASTRO_RETURN_IF_ERROR(writer_.DropVectors(stored, fingerprint));
  return Get(collection);
}

}  // namespace lastro::retrieval
