#include "base/status_macros.h"
#include "services/local/local_services.h"

namespace lastro::services {
namespace {

class LocalModels : public ModelApi {
 public:
  explicit LocalModels(ModelProvider* models) : models_(*models) {}

  absl::StatusOr<v1::ListModelsResponse> ListModels(const v1::ListModelsRequest&, const CallContext&) override {
    v1::ListModelsResponse response;
    LASTRO_ASSIGN_OR_RETURN(std::string device, models_.DeviceDescription());
    if (models_.has_decoder()) {
      LASTRO_ASSIGN_OR_RETURN(const Lease<LoadedDecoder> decoder, models_.Decoder());
      const engine::DecoderInfo& info = decoder->model->info();
      v1::Model* model = response.add_models();
      Fill(v1::MODEL_ROLE_DECODER, info.name, info.architecture, info.fingerprint, info.parameters, info.max_tokens,
           device, model);
      model->set_vocab_size(info.vocab_size);
      for (const auto& [name, adapter] : decoder->adapters) {
        Fill(v1::MODEL_ROLE_ADAPTER, name, info.architecture, adapter->fingerprint(), adapter->parameters(),
             info.max_tokens, device, response.add_models());
      }
    }
    if (models_.has_reranker()) {
      LASTRO_ASSIGN_OR_RETURN(const Lease<engine::SequenceClassifier> reranker, models_.Reranker());
      const engine::ClassifierInfo& info = reranker->info();
      v1::Model* model = response.add_models();
      Fill(v1::MODEL_ROLE_RERANKER, info.name, info.architecture, info.fingerprint, info.parameters, info.max_tokens,
           device, model);
      model->set_vocab_size(reranker->tokenizer().vocab_size());
    }
    if (models_.has_reader()) {
      LASTRO_ASSIGN_OR_RETURN(const Lease<engine::Reader> reader, models_.Reader());
      const engine::ReaderInfo& info = reader->info();
      v1::Model* model = response.add_models();
      Fill(v1::MODEL_ROLE_READER, info.name, info.architecture, info.fingerprint, info.parameters, info.window_tokens,
           device, model);
      model->set_vocab_size(reader->tokenizer().vocab_size());
    }
    LASTRO_ASSIGN_OR_RETURN(const std::vector<const engine::EmbeddingModel*> embedders, models_.Embedders());
    for (const engine::EmbeddingModel* embedder : embedders) {
      const engine::EmbeddingInfo& info = embedder->info();
      v1::Model* model = response.add_models();
      Fill(v1::MODEL_ROLE_EMBEDDER, info.name, info.architecture, info.fingerprint, info.parameters, info.max_tokens,
           device, model);
      model->set_dimension(info.dimension);
      model->set_vocab_size(embedder->tokenizer().vocab_size());
    }
    return response;
  }

 private:
  static void Fill(v1::ModelRole role, const std::string& name, const std::string& architecture,
                   const std::string& fingerprint, int64_t parameters, int max_tokens, const std::string& device,
                   v1::Model* model) {
    model->set_role(role);
    model->set_name(name);
    model->set_architecture(architecture);
    model->set_fingerprint(fingerprint);
    model->set_parameters(parameters);
    model->set_max_tokens(max_tokens);
    model->set_device(device);
  }

  ModelProvider& models_;
};

}  // namespace

std::unique_ptr<ModelApi> MakeLocalModels(ModelProvider* models) { return std::make_unique<LocalModels>(models); }

}  // namespace lastro::services
