#include "lastro/v1/embedding.grpc.pb.h"
#include "services/grpc/grpc_services.h"

namespace lastro::services {
namespace {

class EmbeddingGrpcService final : public v1::EmbeddingService::Service {
 public:
  EmbeddingGrpcService(EmbeddingApi* embedding, CallRunner* calls) : embedding_(*embedding), calls_(*calls) {}

  grpc::Status Embed(grpc::ServerContext* server, const v1::EmbedRequest* request,
                     v1::EmbedResponse* response) override {
    return calls_.Unary(server, Expensive("EmbeddingService/Embed"), response,
                        [&](const CallContext& context) { return embedding_.Embed(*request, context); });
  }
  grpc::Status Tokenize(grpc::ServerContext* server, const v1::TokenizeTextsRequest* request,
                        v1::TokenizeTextsResponse* response) override {
    return calls_.Unary(server, Expensive("EmbeddingService/Tokenize"), response,
                        [&](const CallContext& context) { return embedding_.Tokenize(*request, context); });
  }
  grpc::Status Cluster(grpc::ServerContext* server, const v1::ClusterRequest* request,
                       v1::ClusterResponse* response) override {
    return calls_.Unary(server, Expensive("EmbeddingService/Cluster"), response,
                        [&](const CallContext& context) { return embedding_.Cluster(*request, context); });
  }

  grpc::Status Classify(grpc::ServerContext*, const v1::ClassifyRequest*, v1::ClassifyResponse*) override {
    return NotImplemented("EmbeddingService/Classify");
  }
  grpc::Status Recommend(grpc::ServerContext*, const v1::RecommendRequest*, v1::RecommendResponse*) override {
    return NotImplemented("EmbeddingService/Recommend");
  }
  grpc::Status FindAnomalies(grpc::ServerContext*, const v1::FindAnomaliesRequest*,
                             v1::FindAnomaliesResponse*) override {
    return NotImplemented("EmbeddingService/FindAnomalies");
  }
  grpc::Status MeasureDiversity(grpc::ServerContext*, const v1::MeasureDiversityRequest*,
                                v1::MeasureDiversityResponse*) override {
    return NotImplemented("EmbeddingService/MeasureDiversity");
  }
  grpc::Status Deduplicate(grpc::ServerContext*, const v1::DeduplicateRequest*, v1::DeduplicateResponse*) override {
    return NotImplemented("EmbeddingService/Deduplicate");
  }

 private:
  CallSpec Expensive(const char* method) {
    return {.method = method, .gate = &calls_.gates().embedding, .computes = true};
  }

  EmbeddingApi& embedding_;
  CallRunner& calls_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeEmbeddingService(EmbeddingApi* embedding, CallRunner* calls) {
  return std::make_unique<EmbeddingGrpcService>(embedding, calls);
}

}  // namespace lastro::services
