#include "base/status_macros.h"
#include "lastro/v1/generation.grpc.pb.h"
#include "services/grpc/grpc_services.h"

namespace lastro::services {
namespace {

class GenerationGrpcService final : public v1::GenerationService::Service {
 public:
  GenerationGrpcService(GenerationApi* generation, CallRunner* calls) : generation_(*generation), calls_(*calls) {}

  grpc::Status Generate(grpc::ServerContext* server, const v1::GenerateRequest* request,
                        v1::GenerateResponse* response) override {
    return calls_.Unary(server, Expensive("GenerationService/Generate"), response,
                        [&](const CallContext& context) { return generation_.Generate(*request, context); });
  }

  grpc::Status GenerateStream(grpc::ServerContext* server, const v1::GenerateRequest* request,
                              grpc::ServerWriter<v1::GenerateStreamResponse>* writer) override {
    return calls_.Run(*server, Expensive("GenerationService/GenerateStream"), [&](Call& call) -> absl::Status {
      auto sink = [&](const v1::GeneratedToken& token) {
        v1::GenerateStreamResponse event;
        *event.mutable_token() = token;
        return call.Write(writer, event);
      };
      v1::GenerateStreamResponse last;
      LASTRO_ASSIGN_OR_RETURN(*last.mutable_result(), generation_.Generate(*request, call.context(), sink));
      return call.Write(writer, last);
    });
  }

  grpc::Status Score(grpc::ServerContext* server, const v1::ScoreRequest* request,
                     v1::ScoreResponse* response) override {
    return calls_.Unary(server, Expensive("GenerationService/Score"), response,
                        [&](const CallContext& context) { return generation_.Score(*request, context); });
  }
  grpc::Status CountTokens(grpc::ServerContext* server, const v1::CountTokensRequest* request,
                           v1::CountTokensResponse* response) override {
    return calls_.Unary(server, Expensive("GenerationService/CountTokens"), response,
                        [&](const CallContext& context) { return generation_.CountTokens(*request, context); });
  }
  grpc::Status Rerank(grpc::ServerContext* server, const v1::RerankRequest* request,
                      v1::RerankResponse* response) override {
    return calls_.Unary(server, Expensive("GenerationService/Rerank"), response,
                        [&](const CallContext& context) { return generation_.Rerank(*request, context); });
  }
  grpc::Status Read(grpc::ServerContext* server, const v1::ReadRequest* request, v1::ReadResponse* response) override {
    return calls_.Unary(server, Expensive("GenerationService/Read"), response,
                        [&](const CallContext& context) { return generation_.Read(*request, context); });
  }

 private:
  CallSpec Expensive(const char* method) {
    return {.method = method, .gate = &calls_.gates().generation, .computes = true};
  }

  GenerationApi& generation_;
  CallRunner& calls_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeGenerationService(GenerationApi* generation, CallRunner* calls) {
  return std::make_unique<GenerationGrpcService>(generation, calls);
}

}  // namespace lastro::services
