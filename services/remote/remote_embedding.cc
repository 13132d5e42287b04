#include "base/status_macros.h"
#include "lastro/v1/embedding.grpc.pb.h"
#include "services/remote/remote_apis.h"

namespace lastro::services {
namespace {

// Batches of an ingestion may wait long for a busy server, and clusterings compute long.
constexpr absl::Duration kTimeout = absl::Minutes(10);

class RemoteEmbedding final : public EmbeddingApi {
 public:
  explicit RemoteEmbedding(std::shared_ptr<RemoteChannel> channel)
      : channel_(std::move(channel)), stub_(v1::EmbeddingService::NewStub(channel_->channel())) {}

  absl::StatusOr<v1::EmbedResponse> Embed(const v1::EmbedRequest& request, const CallContext& context) override {
    return CallUnary<v1::EmbedResponse>(
        channel_.get(), context,
        [&](grpc::ClientContext* client, grpc::CompletionQueue* queue) {
          return stub_->AsyncEmbed(client, request, queue);
        },
        kTimeout);
  }
  absl::StatusOr<v1::TokenizeTextsResponse> Tokenize(const v1::TokenizeTextsRequest& request,
                                                     const CallContext& context) override {
    return CallUnary<v1::TokenizeTextsResponse>(
        channel_.get(), context,
        [&](grpc::ClientContext* client, grpc::CompletionQueue* queue) {
          return stub_->AsyncTokenize(client, request, queue);
        },
        kTimeout);
  }
  absl::StatusOr<v1::ClusterResponse> Cluster(const v1::ClusterRequest& request, const CallContext& context) override {
    return CallUnary<v1::ClusterResponse>(
        channel_.get(), context,
        [&](grpc::ClientContext* client, grpc::CompletionQueue* queue) {
          return stub_->AsyncCluster(client, request, queue);
        },
        kTimeout);
  }

 private:
  const std::shared_ptr<RemoteChannel> channel_;
  const std::unique_ptr<v1::EmbeddingService::Stub> stub_;
};

}  // namespace

std::unique_ptr<EmbeddingApi> MakeRemoteEmbedding(std::shared_ptr<RemoteChannel> channel) {
  return std::make_unique<RemoteEmbedding>(std::move(channel));
}

}  // namespace lastro::services
