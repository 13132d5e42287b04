#include "lastro/v1/inspect.grpc.pb.h"
#include "lastro/v1/model.grpc.pb.h"
#include "services/grpc/grpc_services.h"

namespace lastro::services {
namespace {

class InspectGrpcService final : public v1::InspectService::Service {
 public:
  InspectGrpcService(InspectApi* inspect, CallRunner* calls) : inspect_(*inspect), calls_(*calls) {}

  grpc::Status TokenizeText(grpc::ServerContext* server, const v1::TokenizeTextRequest* request,
                            v1::TokenizeTextResponse* response) override {
    return calls_.Unary(server, Expensive("InspectService/TokenizeText"), response,
                        [&](const CallContext& context) { return inspect_.TokenizeText(*request, context); });
  }
  grpc::Status InspectPrompt(grpc::ServerContext* server, const v1::InspectPromptRequest* request,
                             v1::InspectPromptResponse* response) override {
    return calls_.Unary(server, Expensive("InspectService/InspectPrompt"), response,
                        [&](const CallContext& context) { return inspect_.InspectPrompt(*request, context); });
  }
  grpc::Status InspectAttention(grpc::ServerContext*, const v1::InspectAttentionRequest*,
                                v1::InspectAttentionResponse*) override {
    return NotImplemented("InspectService/InspectAttention");
  }

 private:
  CallSpec Expensive(const char* method) {
    return {.method = method, .gate = &calls_.gates().inspection, .computes = true};
  }

  InspectApi& inspect_;
  CallRunner& calls_;
};

class ModelGrpcService final : public v1::ModelService::Service {
 public:
  ModelGrpcService(ModelApi* models, CallRunner* calls) : models_(*models), calls_(*calls) {}

  grpc::Status ListModels(grpc::ServerContext* server, const v1::ListModelsRequest* request,
                          v1::ListModelsResponse* response) override {
    return calls_.Unary(server, {.method = "ModelService/ListModels"}, response,
                        [&](const CallContext& context) { return models_.ListModels(*request, context); });
  }

 private:
  ModelApi& models_;
  CallRunner& calls_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeInspectService(InspectApi* inspect, CallRunner* calls) {
  return std::make_unique<InspectGrpcService>(inspect, calls);
}

std::unique_ptr<grpc::Service> MakeModelService(ModelApi* models, CallRunner* calls) {
  return std::make_unique<ModelGrpcService>(models, calls);
}

}  // namespace lastro::services
