#include "base/status_macros.h"
#include "lastro/v1/retrieval.grpc.pb.h"
#include "services/remote/remote_apis.h"

namespace lastro::services {
namespace {

class RemoteRetrieval final : public RetrievalApi {
 public:
  explicit RemoteRetrieval(std::shared_ptr<RemoteChannel> channel)
      : channel_(std::move(channel)), stub_(v1::RetrievalService::NewStub(channel_->channel())) {}

  absl::StatusOr<v1::SearchResponse> Search(const v1::SearchRequest& request, const CallContext& context) override {
    return CallUnary<v1::SearchResponse>(channel_.get(), context,
                                         [&](grpc::ClientContext* client, grpc::CompletionQueue* queue) {
                                           return stub_->AsyncSearch(client, request, queue);
                                         });
  }
  absl::StatusOr<v1::Document> GetDocument(const v1::GetDocumentRequest& request, const CallContext& context) override {
    return CallUnary<v1::Document>(channel_.get(), context,
                                   [&](grpc::ClientContext* client, grpc::CompletionQueue* queue) {
                                     return stub_->AsyncGetDocument(client, request, queue);
                                   });
  }
  absl::StatusOr<v1::ListDocumentsResponse> ListDocuments(const v1::ListDocumentsRequest& request,
                                                          const CallContext& context) override {
    return CallUnary<v1::ListDocumentsResponse>(channel_.get(), context,
                                                [&](grpc::ClientContext* client, grpc::CompletionQueue* queue) {
                                                  return stub_->AsyncListDocuments(client, request, queue);
                                                });
  }
  absl::StatusOr<v1::ListChunksResponse> ListChunks(const v1::ListChunksRequest& request,
                                                    const CallContext& context) override {
    return CallUnary<v1::ListChunksResponse>(channel_.get(), context,
                                             [&](grpc::ClientContext* client, grpc::CompletionQueue* queue) {
                                               return stub_->AsyncListChunks(client, request, queue);
                                             });
  }
  absl::StatusOr<v1::GetSourceResponse> GetSource(const v1::GetSourceRequest& request,
                                                  const CallContext& context) override {
    return CallUnary<v1::GetSourceResponse>(channel_.get(), context,
                                            [&](grpc::ClientContext* client, grpc::CompletionQueue* queue) {
                                              return stub_->AsyncGetSource(client, request, queue);
                                            });
  }
  absl::StatusOr<v1::DeleteDocumentsResponse> DeleteDocuments(const v1::DeleteDocumentsRequest& request,
                                                              const CallContext& context) override {
    return CallUnary<v1::DeleteDocumentsResponse>(channel_.get(), context,
                                                  [&](grpc::ClientContext* client, grpc::CompletionQueue* queue) {
                                                    return stub_->AsyncDeleteDocuments(client, request, queue);
                                                  });
  }
  absl::StatusOr<v1::Collection> GetCollection(const v1::GetCollectionRequest& request,
                                               const CallContext& context) override {
    return CallUnary<v1::Collection>(channel_.get(), context,
                                     [&](grpc::ClientContext* client, grpc::CompletionQueue* queue) {
                                       return stub_->AsyncGetCollection(client, request, queue);
                                     });
  }
  absl::StatusOr<v1::ListCollectionsResponse> ListCollections(const v1::ListCollectionsRequest& request,
                                                              const CallContext& context) override {
    return CallUnary<v1::ListCollectionsResponse>(channel_.get(), context,
                                                  [&](grpc::ClientContext* client, grpc::CompletionQueue* queue) {
                                                    return stub_->AsyncListCollections(client, request, queue);
                                                  });
  }
  absl::StatusOr<v1::DeleteCollectionResponse> DeleteCollection(const v1::DeleteCollectionRequest& request,
                                                                const CallContext& context) override {
    return CallUnary<v1::DeleteCollectionResponse>(channel_.get(), context,
                                                   [&](grpc::ClientContext* client, grpc::CompletionQueue* queue) {
                                                     return stub_->AsyncDeleteCollection(client, request, queue);
                                                   });
  }

 private:
  const std::shared_ptr<RemoteChannel> channel_;
  const std::unique_ptr<v1::RetrievalService::Stub> stub_;
};

}  // namespace

std::unique_ptr<RetrievalApi> MakeRemoteRetrieval(std::shared_ptr<RemoteChannel> channel) {
  return std::make_unique<RemoteRetrieval>(std::move(channel));
}

}  // namespace lastro::services
