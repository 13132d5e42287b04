#include "base/status_macros.h"
#include "lastro/v1/ask.grpc.pb.h"
#include "services/grpc/grpc_services.h"

namespace lastro::services {
namespace {

class AskGrpcService final : public v1::AskService::Service {
 public:
  AskGrpcService(AskApi* ask, CallRunner* calls) : ask_(*ask), calls_(*calls) {}

  grpc::Status Ask(grpc::ServerContext* server, const v1::AskRequest* request, v1::AskResponse* response) override {
    return calls_.Run(*server, Spec("AskService/Ask"), [&](Call& call) -> absl::Status {
      LASTRO_ASSIGN_OR_RETURN(*response->mutable_answer(), ask_.Ask(*request, call.context()));
      return absl::OkStatus();
    });
  }

  grpc::Status AskStream(grpc::ServerContext* server, const v1::AskRequest* request,
                         grpc::ServerWriter<v1::AskStreamResponse>* writer) override {
    return calls_.Run(*server, Spec("AskService/AskStream"), [&](Call& call) -> absl::Status {
      auto sink = [&](const v1::AskStreamResponse& event) { return call.Write(writer, event); };
      v1::AskStreamResponse last;
      LASTRO_ASSIGN_OR_RETURN(*last.mutable_answer(), ask_.Ask(*request, call.context(), sink));
      return call.Write(writer, last);
    });
  }

 private:
  CallSpec Spec(const char* method) { return {.method = method, .gate = &calls_.gates().ask, .computes = true}; }

  AskApi& ask_;
  CallRunner& calls_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeAskService(AskApi* ask, CallRunner* calls) {
  return std::make_unique<AskGrpcService>(ask, calls);
}

}  // namespace lastro::services
