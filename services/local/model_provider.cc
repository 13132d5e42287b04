#include "services/local/model_provider.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/call_context.h"
#include "base/status_macros.h"
#include "engine/chat/chat_format.h"
#include "engine/decoder_model.h"
#include "engine/self_test.h"

namespace lastro::services {
namespace {

constexpr size_t kFingerprintDigits = 8;  // so many name a model

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

absl::StatusOr<const engine::LoraAdapter*> LoadedDecoder::Adapter(const std::string& name) const {
  if (name.empty()) return nullptr;
  auto found = adapters.find(name);
  if (found != adapters.end()) return found->second.get();
  auto append_name = [](std::string* out, const auto& entry) { out->append(entry.first); };
  return absl::NotFoundError(
      absl::StrCat("there is no adapter \"", name, "\" here; ",
                   adapters.empty() ? "the server was started without any (--lora NAME=DIR)"
                                    : absl::StrCat("there are: ", absl::StrJoin(adapters, ", ", append_name))));
}

absl::Status ModelProvider::LoadDecoderLocked(LoadedDecoder* decoder) {
  LASTRO_ASSIGN_OR_RETURN(const engine::Runtime* runtime, RuntimeLocked());
  LASTRO_ASSIGN_OR_RETURN(decoder->model, engine::LanguageModel::Load(folders_.decoder, *runtime));
  const engine::LanguageModel& model = *decoder->model;
  if (model.AsDecoder() != nullptr) LASTRO_RETURN_IF_ERROR(SelfTest(*model.AsDecoder(), folders_.decoder));
  LASTRO_ASSIGN_OR_RETURN(decoder->format, PromptFormat::Load(folders_.decoder, model.tokenizer(), model.info(),
                                                              engine::chat::ChatFormat::Load(model)));
  decoder->response_formats = std::make_unique<ResponseFormats>(model.tokenizer());
  decoder->device = runtime->Description();
  for (const auto& [name, folder] : folders_.adapters) {
    LASTRO_ASSIGN_OR_RETURN(decoder->adapters[name], model.LoadAdapter(folder));
  }
  return absl::OkStatus();
}

absl::StatusOr<const LoadedDecoder*> ModelProvider::Decoder() {
  if (!has_decoder()) return absl::FailedPreconditionError("no decoder is configured here; start with --decoder DIR");
  absl::MutexLock lock(&mutex_);
  if (decoder_ == nullptr) {
    auto decoder = std::make_unique<LoadedDecoder>();
    LASTRO_RETURN_IF_ERROR(LoadDecoderLocked(decoder.get()));
    decoder_ = std::move(decoder);
  }
  return decoder_.get();
}

absl::StatusOr<const engine::SequenceClassifier*> ModelProvider::Reranker() {
  if (!has_reranker()) {
    return absl::FailedPreconditionError("no reranker is configured here; start with --reranker DIR");
  }
  absl::MutexLock lock(&mutex_);
  if (reranker_ == nullptr) {
    LASTRO_ASSIGN_OR_RETURN(const engine::Runtime* runtime, RuntimeLocked());
    LASTRO_ASSIGN_OR_RETURN(reranker_, engine::SequenceClassifier::Load(folders_.reranker, *runtime));
  }
  return reranker_.get();
}

absl::StatusOr<const engine::EmbeddingModel*> ModelProvider::EmbedderLocked(size_t index) {
  if (embedders_[index] == nullptr) {
    LASTRO_ASSIGN_OR_RETURN(const engine::Runtime* runtime, RuntimeLocked());
    LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<engine::EmbeddingModel> model,
                            engine::EmbeddingModel::Load(folders_.embedders[index], *runtime));
    LASTRO_RETURN_IF_ERROR(SelfTest(*model, folders_.embedders[index]));
    embedders_[index] = std::move(model);
  }
  return embedders_[index].get();
}

absl::Status ModelProvider::LoadReaderLocked() {
  LASTRO_ASSIGN_OR_RETURN(const engine::Runtime* runtime, RuntimeLocked());
  LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<engine::Reader> model, engine::Reader::Load(folders_.reader, *runtime));
  LASTRO_RETURN_IF_ERROR(SelfTest(*model, folders_.reader));
  reader_ = std::move(model);
  return absl::OkStatus();
}

absl::StatusOr<const engine::Reader*> ModelProvider::Reader() {
  if (!has_reader()) return absl::UnimplementedError("there is no reader here; start with --reader DIR");
  absl::MutexLock lock(&mutex_);
  if (reader_ == nullptr) {
    const absl::Status loaded = LoadReaderLocked();
    if (absl::IsUnimplemented(loaded)) return absl::FailedPreconditionError(loaded.message());
    LASTRO_RETURN_IF_ERROR(loaded);
  }
  return reader_.get();
}

absl::StatusOr<const engine::EmbeddingModel*> ModelProvider::Embedder(const std::string& model) {
  if (!has_embedder()) {
    return absl::FailedPreconditionError("no embedding model is configured here; start with --embedder DIR");
  }
  absl::MutexLock lock(&mutex_);
  if (model.empty()) return EmbedderLocked(0);
  for (size_t i = 0; i < embedders_.size(); ++i) {
    if (folders_.embedders[i] == model) return EmbedderLocked(i);
  }
  std::vector<const engine::EmbeddingModel*> meant;
  std::vector<std::string> known;
  for (size_t i = 0; i < embedders_.size(); ++i) {
    LASTRO_ASSIGN_OR_RETURN(const engine::EmbeddingModel* embedder, EmbedderLocked(i));
    const engine::EmbeddingInfo& info = embedder->info();
    if (info.fingerprint == model) return embedder;
    const bool begins = model.size() >= kFingerprintDigits && absl::StartsWith(info.fingerprint, model);
    if (begins || info.name == model) meant.push_back(embedder);
    known.push_back(absl::StrCat(info.name, " (", info.fingerprint.substr(0, kFingerprintDigits), ")"));
  }
  if (meant.size() == 1) return meant.front();
  const std::string all = absl::StrJoin(known, ", ");
  if (meant.size() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("several embedding models are called \"", model, "\": ", all, "; give the fingerprint"));
  }
  return absl::FailedPreconditionError(absl::StrCat("the embedding model \"", model, "\" is not here, but ", all,
                                                    "; start with --embedder DIR, which may be given again"));
}

absl::StatusOr<std::vector<const engine::EmbeddingModel*>> ModelProvider::Embedders() {
  absl::MutexLock lock(&mutex_);
  std::vector<const engine::EmbeddingModel*> all;
  for (size_t i = 0; i < embedders_.size(); ++i) {
    LASTRO_ASSIGN_OR_RETURN(const engine::EmbeddingModel* embedder, EmbedderLocked(i));
    all.push_back(embedder);
  }
  return all;
}

absl::StatusOr<std::string> ModelProvider::DeviceDescription() {
  absl::MutexLock lock(&mutex_);
  LASTRO_ASSIGN_OR_RETURN(const engine::Runtime* runtime, RuntimeLocked());
  return runtime->Description();
}

}  // namespace lastro::services
