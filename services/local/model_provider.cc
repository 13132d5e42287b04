#include "services/local/model_provider.h"

#include "base/call_context.h"
#include "base/status_macros.h"
#include "engine/chat/chat_format.h"
#include "engine/decoder_model.h"
#include "engine/self_test.h"

namespace lastro::services {
namespace {

// A model that does not give the results stored beside it must not serve.
template <class Model>
absl::Status SelfTest(const Model& model, const std::string& path) {
  return engine::RunSelfTest(model, engine::SelfTestPath(path), CallContext()).status();
}

}  // namespace

absl::StatusOr<const engine::Runtime*> ModelProvider::RuntimeLocked() {
  if (runtime_ == nullptr) {
    LASTRO_ASSIGN_OR_RETURN(runtime_, engine::Runtime::Create(options_));
  }
  return runtime_.get();
}

absl::StatusOr<const LoadedDecoder*> ModelProvider::Decoder() {
  if (!has_decoder()) return absl::FailedPreconditionError("no decoder is configured here; start with --decoder DIR");
  absl::MutexLock lock(&mutex_);
  if (decoder_.model == nullptr) {
    LASTRO_ASSIGN_OR_RETURN(const engine::Runtime* runtime, RuntimeLocked());
    LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<engine::LanguageModel> model,
                            engine::LanguageModel::Load(decoder_folder_, *runtime));
    if (model->AsDecoder() != nullptr) LASTRO_RETURN_IF_ERROR(SelfTest(*model->AsDecoder(), decoder_folder_));
    LASTRO_ASSIGN_OR_RETURN(decoder_.format, PromptFormat::Load(decoder_folder_, model->tokenizer(), model->info(),
                                                                engine::chat::ChatFormat::Load(*model)));
    decoder_.response_formats = std::make_unique<ResponseFormats>(model->tokenizer());
    decoder_.model = std::move(model);
  }
  return &decoder_;
}

absl::StatusOr<const engine::EmbeddingModel*> ModelProvider::Embedder() {
  if (!has_embedder()) {
    return absl::FailedPreconditionError("no embedding model is configured here; start with --embedder DIR");
  }
  absl::MutexLock lock(&mutex_);
  if (embedder_ == nullptr) {
    LASTRO_ASSIGN_OR_RETURN(const engine::Runtime* runtime, RuntimeLocked());
    LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<engine::EmbeddingModel> model,
                            engine::EmbeddingModel::Load(embedder_folder_, *runtime));
    LASTRO_RETURN_IF_ERROR(SelfTest(*model, embedder_folder_));
    embedder_ = std::move(model);
  }
  return embedder_.get();
}

absl::StatusOr<std::string> ModelProvider::DeviceDescription() {
  absl::MutexLock lock(&mutex_);
  LASTRO_ASSIGN_OR_RETURN(const engine::Runtime* runtime, RuntimeLocked());
  return runtime->Description();
}

}  // namespace lastro::services
