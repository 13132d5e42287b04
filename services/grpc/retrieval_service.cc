#include "lastro/v1/retrieval.grpc.pb.h"
#include "services/grpc/grpc_services.h"

namespace lastro::services {
namespace {

class RetrievalGrpcService final : public v1::RetrievalService::Service {
 public:
  RetrievalGrpcService(RetrievalApi* retrieval, CallRunner* calls) : retrieval_(*retrieval), calls_(*calls) {}

  grpc::Status Search(grpc::ServerContext* server, const v1::SearchRequest* request,
                      v1::SearchResponse* response) override {
    const CallSpec spec{.method = "RetrievalService/Search", .gate = &calls_.gates().search, .computes = true};
    return calls_.Unary(server, spec, response,
                        [&](const CallContext& context) { return retrieval_.Search(*request, context); });
  }
  grpc::Status GetDocument(grpc::ServerContext* server, const v1::GetDocumentRequest* request,
                           v1::Document* response) override {
    return calls_.Unary(server, {.method = "RetrievalService/GetDocument"}, response,
                        [&](const CallContext& context) { return retrieval_.GetDocument(*request, context); });
  }
  grpc::Status ListDocuments(grpc::ServerContext* server, const v1::ListDocumentsRequest* request,
                             v1::ListDocumentsResponse* response) override {
    return calls_.Unary(server, {.method = "RetrievalService/ListDocuments"}, response,
                        [&](const CallContext& context) { return retrieval_.ListDocuments(*request, context); });
  }
  grpc::Status ListChunks(grpc::ServerContext* server, const v1::ListChunksRequest* request,
                          v1::ListChunksResponse* response) override {
    return calls_.Unary(server, {.method = "RetrievalService/ListChunks"}, response,
                        [&](const CallContext& context) { return retrieval_.ListChunks(*request, context); });
  }
  grpc::Status GetSource(grpc::ServerContext* server, const v1::GetSourceRequest* request,
                         v1::GetSourceResponse* response) override {
    return calls_.Unary(server, {.method = "RetrievalService/GetSource"}, response,
                        [&](const CallContext& context) { return retrieval_.GetSource(*request, context); });
  }
  grpc::Status DeleteDocuments(grpc::ServerContext* server, const v1::DeleteDocumentsRequest* request,
                               v1::DeleteDocumentsResponse* response) override {
    return calls_.Unary(server, {.method = "RetrievalService/DeleteDocuments"}, response,
                        [&](const CallContext& context) { return retrieval_.DeleteDocuments(*request, context); });
  }
  grpc::Status GetCollection(grpc::ServerContext* server, const v1::GetCollectionRequest* request,
                             v1::Collection* response) override {
    return calls_.Unary(server, {.method = "RetrievalService/GetCollection"}, response,
                        [&](const CallContext& context) { return retrieval_.GetCollection(*request, context); });
  }
  grpc::Status ListCollections(grpc::ServerContext* server, const v1::ListCollectionsRequest* request,
                               v1::ListCollectionsResponse* response) override {
    return calls_.Unary(server, {.method = "RetrievalService/ListCollections"}, response,
                        [&](const CallContext& context) { return retrieval_.ListCollections(*request, context); });
  }
  grpc::Status DeleteCollection(grpc::ServerContext* server, const v1::DeleteCollectionRequest* request,
                                v1::DeleteCollectionResponse* response) override {
    return calls_.Unary(server, {.method = "RetrievalService/DeleteCollection"}, response,
                        [&](const CallContext& context) { return retrieval_.DeleteCollection(*request, context); });
  }

 private:
  RetrievalApi& retrieval_;
  CallRunner& calls_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeRetrievalService(RetrievalApi* retrieval, CallRunner* calls) {
  return std::make_unique<RetrievalGrpcService>(retrieval, calls);
}

}  // namespace lastro::services
