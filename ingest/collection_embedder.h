// CollectionEmbedder: the embedder of the model that a collection has, also when it gets another one meanwhile
// (retrieval/reembedding.h). Not thread-safe; the embedders it gives live as long as it does.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/call_context.h"
#include "retrieval/chunk_store.h"
#include "retrieval/text_embedder.h"

namespace lastro::ingest {

class CollectionEmbedder {
 public:
  // `first`: of the model that a new collection gets. `store` and `first` must outlive it.
  CollectionEmbedder(std::string collection, retrieval::ChunkStore* store, retrieval::TextEmbedder* first)
      : collection_(std::move(collection)), store_(*store), first_(*first), current_(first) {}

  // Looks which model the collection has now; the first one where there is no such collection. Whether it is another
  // than before. Errors of the store.
  absl::StatusOr<bool> Follow(const CallContext& context);
  // Follows, and makes the collection when it does not exist. FAILED_PRECONDITION when its model is not to be had.
  absl::Status Ensure(const CallContext& context);

  retrieval::TextEmbedder* current() const { return current_; }

 private:
  absl::Status Create(const retrieval::EmbedderInfo& info);

  const std::string collection_;
  retrieval::ChunkStore& store_;
  retrieval::TextEmbedder& first_;
  retrieval::TextEmbedder* current_;
  std::string fingerprint_;  // of the collection, as last seen; empty: there was none
  std::vector<std::unique_ptr<retrieval::TextEmbedder>> others_;
};

}  // namespace lastro::ingest
