#include <optional>

#include "base/status_macros.h"
#include "lastro/v1/generation.grpc.pb.h"
#include "services/remote/remote_apis.h"

namespace lastro::services {
namespace {

class RemoteGeneration final : public GenerationApi {
 public:
  explicit RemoteGeneration(std::shared_ptr<RemoteChannel> channel)
      : channel_(std::move(channel)), stub_(v1::GenerationService::NewStub(channel_->channel())) {}

  absl::StatusOr<v1::GenerateResponse> Generate(const v1::GenerateRequest& request, const CallContext& context,
                                                const Sink<v1::GeneratedToken>& sink) override {
    if (sink) return GenerateStream(request, context, sink);
    return CallUnary<v1::GenerateResponse>(channel_.get(), context,
                                           [&](grpc::ClientContext* client, grpc::CompletionQueue* queue) {
                                             return stub_->AsyncGenerate(client, request, queue);
                                           });
  }
  absl::StatusOr<v1::ScoreResponse> Score(const v1::ScoreRequest& request, const CallContext& context) override {
    return CallUnary<v1::ScoreResponse>(channel_.get(), context,
                                        [&](grpc::ClientContext* client, grpc::CompletionQueue* queue) {
                                          return stub_->AsyncScore(client, request, queue);
                                        });
  }
  absl::StatusOr<v1::CountTokensResponse> CountTokens(const v1::CountTokensRequest& request,
                                                      const CallContext& context) override {
    return CallUnary<v1::CountTokensResponse>(channel_.get(), context,
                                              [&](grpc::ClientContext* client, grpc::CompletionQueue* queue) {
                                                return stub_->AsyncCountTokens(client, request, queue);
                                              });
  }
  absl::StatusOr<v1::RerankResponse> Rerank(const v1::RerankRequest& request, const CallContext& context) override {
    return CallUnary<v1::RerankResponse>(channel_.get(), context,
                                         [&](grpc::ClientContext* client, grpc::CompletionQueue* queue) {
                                           return stub_->AsyncRerank(client, request, queue);
                                         });
  }
  absl::StatusOr<v1::ReadResponse> Read(const v1::ReadRequest& request, const CallContext& context) override {
    return CallUnary<v1::ReadResponse>(channel_.get(), context,
                                       [&](grpc::ClientContext* client, grpc::CompletionQueue* queue) {
                                         return stub_->AsyncRead(client, request, queue);
                                       });
  }

 private:
  absl::StatusOr<v1::GenerateResponse> GenerateStream(const v1::GenerateRequest& request, const CallContext& context,
                                                      const Sink<v1::GeneratedToken>& sink) {
    std::optional<v1::GenerateResponse> result;
    auto start = [&](grpc::ClientContext* client, grpc::CompletionQueue* queue, void* tag) {
      return stub_->AsyncGenerateStream(client, request, queue, tag);
    };
    LASTRO_RETURN_IF_ERROR(CallServerStream<v1::GenerateStreamResponse>(channel_.get(), context, start,
                                                                        [&](const v1::GenerateStreamResponse& event) {
                                                                          if (event.has_token())
                                                                            return sink(event.token());
                                                                          if (event.has_result())
                                                                            result = event.result();
                                                                          return absl::OkStatus();
                                                                        }));
    if (!result.has_value()) return absl::InternalError("the generation stream ended without a result");
    return *std::move(result);
  }

  const std::shared_ptr<RemoteChannel> channel_;
  const std::unique_ptr<v1::GenerationService::Stub> stub_;
};

}  // namespace

std::unique_ptr<GenerationApi> MakeRemoteGeneration(std::shared_ptr<RemoteChannel> channel) {
  return std::make_unique<RemoteGeneration>(std::move(channel));
}

}  // namespace lastro::services
