// gRPC clients of the components (see services/api.h), and of the store for an ingestion that runs in another process.
// Thread-safe. Beyond the errors of the component: UNAVAILABLE, naming role and address.
#pragma once

#include <memory>

#include "retrieval/chunk_store.h"
#include "services/api.h"
#include "services/remote/remote_channel.h"

namespace lastro::services {

std::unique_ptr<AskApi> MakeRemoteAsk(std::shared_ptr<RemoteChannel> channel);
std::unique_ptr<EmbeddingApi> MakeRemoteEmbedding(std::shared_ptr<RemoteChannel> channel);
std::unique_ptr<GenerationApi> MakeRemoteGeneration(std::shared_ptr<RemoteChannel> channel);
std::unique_ptr<IngestApi> MakeRemoteIngest(std::shared_ptr<RemoteChannel> channel);
std::unique_ptr<InspectApi> MakeRemoteInspect(std::shared_ptr<RemoteChannel> channel);
std::unique_ptr<ModelApi> MakeRemoteModels(std::shared_ptr<RemoteChannel> channel);
std::unique_ptr<RetrievalApi> MakeRemoteRetrieval(std::shared_ptr<RemoteChannel> channel);

// Over the StoreService and the RetrievalService of one server.
std::unique_ptr<retrieval::ChunkStore> MakeRemoteStore(std::shared_ptr<RemoteChannel> channel);

}  // namespace lastro::services
