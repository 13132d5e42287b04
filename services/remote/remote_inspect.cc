#include "base/status_macros.h"
#include "lastro/v1/inspect.grpc.pb.h"
#include "lastro/v1/model.grpc.pb.h"
#include "services/remote/remote_apis.h"

namespace lastro::services {
namespace {

class RemoteInspect final : public InspectApi {
 public:
  explicit RemoteInspect(std::shared_ptr<RemoteChannel> channel)
      : channel_(std::move(channel)), stub_(v1::InspectService::NewStub(channel_->channel())) {}

  absl::StatusOr<v1::TokenizeTextResponse> TokenizeText(const v1::TokenizeTextRequest& request,
                                                        const CallContext& context) override {
    return CallUnary<v1::TokenizeTextResponse>(channel_.get(), context,
                                               [&](grpc::ClientContext* client, grpc::CompletionQueue* queue) {
                                                 return stub_->AsyncTokenizeText(client, request, queue);
                                               });
  }
  absl::StatusOr<v1::InspectPromptResponse> InspectPrompt(const v1::InspectPromptRequest& request,
                                                          const CallContext& context) override {
    return CallUnary<v1::InspectPromptResponse>(channel_.get(), context,
                                                [&](grpc::ClientContext* client, grpc::CompletionQueue* queue) {
                                                  return stub_->AsyncInspectPrompt(client, request, queue);
                                                });
  }

 private:
  const std::shared_ptr<RemoteChannel> channel_;
  const std::unique_ptr<v1::InspectService::Stub> stub_;
};

class RemoteModels final : public ModelApi {
 public:
  explicit RemoteModels(std::shared_ptr<RemoteChannel> channel)
      : channel_(std::move(channel)), stub_(v1::ModelService::NewStub(channel_->channel())) {}

  absl::StatusOr<v1::ListModelsResponse> ListModels(const v1::ListModelsRequest& request,
                                                    const CallContext& context) override {
    return CallUnary<v1::ListModelsResponse>(channel_.get(), context,
                                             [&](grpc::ClientContext* client, grpc::CompletionQueue* queue) {
                                               return stub_->AsyncListModels(client, request, queue);
                                             });
  }

 private:
  const std::shared_ptr<RemoteChannel> channel_;
  const std::unique_ptr<v1::ModelService::Stub> stub_;
};

}  // namespace

std::unique_ptr<InspectApi> MakeRemoteInspect(std::shared_ptr<RemoteChannel> channel) {
  return std::make_unique<RemoteInspect>(std::move(channel));
}

std::unique_ptr<ModelApi> MakeRemoteModels(std::shared_ptr<RemoteChannel> channel) {
  return std::make_unique<RemoteModels>(std::move(channel));
}

}  // namespace lastro::services
