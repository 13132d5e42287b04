// The gRPC services on top of the components: thin adapters, one a service, that know the wire (streams, pieces, gates)
// and nothing else. Arguments must outlive the service. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>

#include "grpcpp/impl/service_type.h"
#include "retrieval/chunk_store.h"
#include "services/api.h"
#include "services/grpc/call_runner.h"

namespace lastro::services {

std::unique_ptr<grpc::Service> MakeAskService(AskApi* ask, CallRunner* calls);
std::unique_ptr<grpc::Service> MakeEmbeddingService(EmbeddingApi* embedding, CallRunner* calls);
std::unique_ptr<grpc::Service> MakeGenerationService(GenerationApi* generation, CallRunner* calls);
std::unique_ptr<grpc::Service> MakeInspectService(InspectApi* inspect, CallRunner* calls);
std::unique_ptr<grpc::Service> MakeModelService(ModelApi* models, CallRunner* calls);
std::unique_ptr<grpc::Service> MakeRetrievalService(RetrievalApi* retrieval, CallRunner* calls);
// An upload over `max_upload_bytes` is refused with RESOURCE_EXHAUSTED while it comes in.
std::unique_ptr<grpc::Service> MakeIngestService(IngestApi* ingest, uint64_t max_upload_bytes, CallRunner* calls);
// `store` null: every call fails with UNIMPLEMENTED, for the store is another process's.
std::unique_ptr<grpc::Service> MakeStoreService(retrieval::ChunkStore* store, CallRunner* calls);

}  // namespace lastro::services
