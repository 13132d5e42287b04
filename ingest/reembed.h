// Reembedder: computes the vectors of another embedding model for the chunks of a collection, beside those that it is
// searched by (retrieval/reembedding.h). What has a vector is not computed again, so that it may be stopped at any
// point and run again. Not thread-safe.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/call_context.h"
#include "ingest/pipeline.h"
#include "retrieval/chunk_store.h"
#include "retrieval/text_embedder.h"

namespace lastro::ingest {

class Reembedder {
 public:
  // `embedder`: of the other model. `store` and `embedder` must outlive it.
  Reembedder(retrieval::ChunkStore* store, retrieval::TextEmbedder* embedder) : store_(*store), embedder_(*embedder) {}

  // Goes on with the move of job.collection to the model `fingerprint`, which was begun: fills in its vectors and makes
  // their index. The job is kept as by Pipeline::IngestFolder. FAILED_PRECONDITION when its vectors were dropped, or a
  // chunk is too long for the model.
  absl::StatusOr<retrieval::Job> Run(const std::string& fingerprint, retrieval::Job job, const CallContext& context,
                                     const ProgressSink& progress = nullptr);

  // Makes `fingerprint` the collection's model in one commit; first fills in what has come since. ABORTED when
  // documents come faster than they are embedded.
  absl::StatusOr<retrieval::Reembedding> Switch(const std::string& collection, const std::string& fingerprint,
                                                const CallContext& context);

 private:
  class Filling;

  retrieval::ChunkStore& store_;
  retrieval::TextEmbedder& embedder_;
};

}  // namespace lastro::ingest
