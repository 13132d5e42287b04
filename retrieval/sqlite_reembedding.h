// SqliteReembedding: what SqliteStore does as a ReembeddingStore (reembedding.h), for one caller. Thread-safe.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "retrieval/collection_table.h"
#include "retrieval/connection_pool.h"
#include "retrieval/index_builder.h"
#include "retrieval/reembedding.h"
#include "retrieval/store_scope.h"
#include "retrieval/store_writer.h"

namespace lastro::retrieval {

class SqliteReembedding {
 public:
  // All must outlive it.
  SqliteReembedding(ConnectionPool* pool, IndexBuilder* builder, StoreWriter* writer, const StoreScope* scope)
      : pool_(*pool), builder_(*builder), writer_(*writer), scope_(*scope) {}

  absl::StatusOr<Reembedding> Get(const std::string& collection) const;
  absl::StatusOr<Reembedding> Begin(const std::string& collection, const VectorSet& model);
  absl::StatusOr<UnembeddedChunks> FindUnembedded(const std::string& collection, const std::string& fingerprint,
                                                  int64_t after, int count) const;
  absl::StatusOr<int64_t> PutVectors(const std::string& collection, const std::string& fingerprint,
                                     absl::Span<const TextVector> vectors);
  absl::Status Prepare(const std::string& collection, const std::string& fingerprint);
  absl::StatusOr<Reembedding> Switch(const std::string& collection, const std::string& fingerprint);
  absl::StatusOr<Reembedding> Drop(const std::string& collection, const std::string& fingerprint);

 private:
  // What the store calls the caller's collection, once it is clear that the caller may change its model.
  absl::StatusOr<std::string> NameFor(const std::string& collection) const;
  absl::StatusOr<CollectionRow> Find(const ReadSnapshot& snapshot, const std::string& collection) const;

  ConnectionPool& pool_;
  IndexBuilder& builder_;
  StoreWriter& writer_;
  const StoreScope& scope_;
};

// FAILED_PRECONDITION: the collection has no vectors of this model.
absl::Status NoVectorsOf(const std::string& collection, const std::string& fingerprint);

}  // namespace lastro::retrieval
