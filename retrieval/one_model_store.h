// OneModelStore: a ChunkStore whose collections keep the vectors of one embedding model each. To move to another, a
// collection is made anew. Thread-safe as the store is.
#pragma once

#include <string>

#include "absl/strings/str_cat.h"
#include "retrieval/chunk_store.h"

namespace lastro::retrieval {

// FAILED_PRECONDITION: everything but asking what there is.
class OneModelStore : public ChunkStore {
 public:
  absl::StatusOr<Reembedding> GetReembedding(const std::string& name) final {
    absl::StatusOr<Collection> collection = GetCollection(name);
    if (!collection.ok()) return collection.status();
    Reembedding reembedding;
    reembedding.collection = name;
    reembedding.chunks = collection->chunks;
    reembedding.searched = {collection->embedding_model, collection->embedding_fingerprint, collection->dimension,
                            collection->chunks, collection->embedded_since};
    return reembedding;
  }
  absl::StatusOr<Reembedding> BeginReembedding(const std::string& name, const VectorSet&) final { return Refuse(name); }
  absl::StatusOr<UnembeddedChunks> FindUnembedded(const std::string& name, const std::string&, int64_t, int) final {
    return Refuse(name);
  }
  absl::StatusOr<int64_t> PutVectors(const std::string& name, const std::string&, absl::Span<const TextVector>) final {
    return Refuse(name);
  }
  absl::Status PrepareVectors(const std::string& name, const std::string&) final { return Refuse(name); }
  absl::StatusOr<Reembedding> SwitchVectors(const std::string& name, const std::string&) final { return Refuse(name); }
  absl::StatusOr<Reembedding> DropVectors(const std::string& name, const std::string&) final { return Refuse(name); }

 private:
  static absl::Status Refuse(const std::string& name) {
    return absl::FailedPreconditionError(
        absl::StrCat("collection ", name, ": this store keeps the vectors of one embedding model a collection; ingest ",
                     "the documents into a new collection made with the other model"));
  }
};

}  // namespace lastro::retrieval
