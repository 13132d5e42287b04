// The local implementations of the components (see services/api.h): on models loaded here and a store opened here.
// Whatever is passed in must outlive the result.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "retrieval/chunk_store.h"
#include "services/api.h"
#include "services/local/model_provider.h"

namespace lastro::services {

// `retrieval` gives the chunks that Cluster is asked for.
std::unique_ptr<EmbeddingApi> MakeLocalEmbedding(ModelProvider* models, RetrievalApi* retrieval);
std::unique_ptr<GenerationApi> MakeLocalGeneration(ModelProvider* models);
// `embedding` embeds the queries. `generation` reranks, by itself only when `rerank_by_default`.
std::unique_ptr<RetrievalApi> MakeLocalRetrieval(retrieval::ChunkStore* store, EmbeddingApi* embedding,
                                                 GenerationApi* generation, bool rerank_by_default);
std::unique_ptr<InspectApi> MakeLocalInspect(ModelProvider* models);
// Lists the models that are configured here; loads them.
std::unique_ptr<ModelApi> MakeLocalModels(ModelProvider* models);

struct IngestConfig {
  bool allow_folders = true;        // else IngestFolder is PERMISSION_DENIED
  std::string allowed_folder_root;  // folders must lie below it, unless empty
  int chunk_tokens = 200;
  uint64_t max_file_bytes = 64u << 20;
  bool resume_jobs = true;  // at the start, go on with jobs that a stop or crash interrupted
};

// Runs folder jobs one after the other on a thread of its own, and re-embeddings on another. Its destructor stops the
// running jobs, which stay unfinished in the store, so that the next start goes on with them.
std::unique_ptr<IngestApi> MakeLocalIngest(retrieval::ChunkStore* store, EmbeddingApi* embedding,
                                           const IngestConfig& config);

}  // namespace lastro::services
