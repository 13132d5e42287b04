#include <optional>

#include "base/status_macros.h"
#include "lastro/v1/ask.grpc.pb.h"
#include "services/remote/remote_apis.h"

namespace lastro::services {
namespace {

class RemoteAsk final : public AskApi {
 public:
  explicit RemoteAsk(std::shared_ptr<RemoteChannel> channel)
      : channel_(std::move(channel)), stub_(v1::AskService::NewStub(channel_->channel())) {}

  absl::StatusOr<v1::Answer> Ask(const v1::AskRequest& request, const CallContext& context,
                                 const Sink<v1::AskStreamResponse>& sink) override {
    if (sink) return AskStream(request, context, sink);
    auto start = [&](grpc::ClientContext* client, grpc::CompletionQueue* queue) {
      return stub_->AsyncAsk(client, request, queue);
    };
    LASTRO_ASSIGN_OR_RETURN(v1::AskResponse response, CallUnary<v1::AskResponse>(channel_.get(), context, start));
    return std::move(*response.mutable_answer());
  }

 private:
  absl::StatusOr<v1::Answer> AskStream(const v1::AskRequest& request, const CallContext& context,
                                       const Sink<v1::AskStreamResponse>& sink) {
    std::optional<v1::Answer> answer;
    auto start = [&](grpc::ClientContext* client, grpc::CompletionQueue* queue, void* tag) {
      return stub_->AsyncAskStream(client, request, queue, tag);
    };
    LASTRO_RETURN_IF_ERROR(CallServerStream<v1::AskStreamResponse>(channel_.get(), context, start,
                                                                   [&](const v1::AskStreamResponse& event) {
                                                                     if (!event.has_answer()) return sink(event);
                                                                     answer = event.answer();
                                                                     return absl::OkStatus();
                                                                   }));
    if (!answer.has_value()) return absl::InternalError("the answer stream ended without an answer");
    return *std::move(answer);
  }

  const std::shared_ptr<RemoteChannel> channel_;
  const std::unique_ptr<v1::AskService::Stub> stub_;
};

}  // namespace

std::unique_ptr<AskApi> MakeRemoteAsk(std::shared_ptr<RemoteChannel> channel) {
  return std::make_unique<RemoteAsk>(std::move(channel));
}

}  // namespace lastro::services
