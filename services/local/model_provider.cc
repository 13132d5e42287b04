#include "services/local/model_provider.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/call_context.h"
#include "base/check.h"
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

// Not thread-safe. Models are loaded at their first use; a failed load is tried again at the next.
class ModelProvider::Replica {
 public:
  Replica(const ModelFolders& folders, const engine::RuntimeOptions& options)
      : folders_(folders), options_(options), embedders_(folders_.embedders.size()) {}

  int64_t calls() const { return calls_.use_count() - 1; }
  template <typename Model>
  Lease<Model> Lend(const Model* model) const {
    return Lease<Model>(calls_, model);
  }

  absl::StatusOr<const engine::Runtime*> Runtime();
  absl::StatusOr<const LoadedDecoder*> Decoder();
  absl::StatusOr<const engine::EmbeddingModel*> Embedder(size_t index);
  absl::StatusOr<const engine::EmbeddingModel*> EmbedderCalled(const std::string& model);
  absl::StatusOr<const engine::SequenceClassifier*> Reranker();
  absl::StatusOr<const engine::Reader*> Reader();
  absl::Status LoadAll();

 private:
  absl::Status LoadDecoder(LoadedDecoder* decoder);
  absl::Status LoadReader();

  const ModelFolders& folders_;
  const engine::RuntimeOptions options_;
  const std::shared_ptr<const int> calls_ = std::make_shared<const int>();  // one owner more for each call
  std::unique_ptr<engine::Runtime> runtime_;                                // outlives the models
  std::unique_ptr<LoadedDecoder> decoder_;
  std::vector<std::unique_ptr<engine::EmbeddingModel>> embedders_;  // one a folder
  std::unique_ptr<engine::SequenceClassifier> reranker_;
  std::unique_ptr<engine::Reader> reader_;
};

absl::StatusOr<const engine::Runtime*> ModelProvider::Replica::Runtime() {
  if (runtime_ == nullptr) {
    LASTRO_ASSIGN_OR_RETURN(runtime_, engine::Runtime::Create(options_));
  }
  return runtime_.get();
}

absl::Status ModelProvider::Replica::LoadDecoder(LoadedDecoder* decoder) {
  LASTRO_ASSIGN_OR_RETURN(const engine::Runtime* runtime, Runtime());
  LASTRO_ASSIGN_OR_RETURN(decoder->model, engine::LanguageModel::Load(folders_.decoder, *runtime));
  const engine::LanguageModel& model = *decoder->model;
  if (model.AsDecoder() != nullptr) LASTRO_RETURN_IF_ERROR(SelfTest(*model.AsDecoder(), folders_.decoder));
  LASTRO_ASSIGN_OR_RETURN(decoder->format, PromptFormat::Load(folders_.decoder, model.tokenizer(), model.info(),
                                                              engine::chat::ChatFormat::Load(model)));
  decoder->response_formats = std::make_unique<ResponseFormats>(model.tokenizer());
  decoder->device = runtime->DeviceClass();
  for (const auto& [name, folder] : folders_.adapters) {
    LASTRO_ASSIGN_OR_RETURN(decoder->adapters[name], model.LoadAdapter(folder));
  }
  return absl::OkStatus();
}

absl::StatusOr<const LoadedDecoder*> ModelProvider::Replica::Decoder() {
  if (decoder_ == nullptr) {
    auto decoder = std::make_unique<LoadedDecoder>();
    LASTRO_RETURN_IF_ERROR(LoadDecoder(decoder.get()));
    decoder_ = std::move(decoder);
  }
  return decoder_.get();
}

absl::StatusOr<const engine::SequenceClassifier*> ModelProvider::Replica::Reranker() {
  if (reranker_ == nullptr) {
    LASTRO_ASSIGN_OR_RETURN(const engine::Runtime* runtime, Runtime());
    LASTRO_ASSIGN_OR_RETURN(reranker_, engine::SequenceClassifier::Load(folders_.reranker, *runtime));
  }
  return reranker_.get();
}

absl::StatusOr<const engine::EmbeddingModel*> ModelProvider::Replica::Embedder(size_t index) {
  if (embedders_[index] == nullptr) {
    LASTRO_ASSIGN_OR_RETURN(const engine::Runtime* runtime, Runtime());
    LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<engine::EmbeddingModel> model,
                            engine::EmbeddingModel::Load(folders_.embedders[index], *runtime));
    LASTRO_RETURN_IF_ERROR(SelfTest(*model, folders_.embedders[index]));
    embedders_[index] = std::move(model);
  }
  return embedders_[index].get();
}

absl::Status ModelProvider::Replica::LoadReader() {
  LASTRO_ASSIGN_OR_RETURN(const engine::Runtime* runtime, Runtime());
  LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<engine::Reader> model, engine::Reader::Load(folders_.reader, *runtime));
  LASTRO_RETURN_IF_ERROR(SelfTest(*model, folders_.reader));
  reader_ = std::move(model);
  return absl::OkStatus();
}

absl::StatusOr<const engine::Reader*> ModelProvider::Replica::Reader() {
  if (reader_ == nullptr) {
    const absl::Status loaded = LoadReader();
    if (absl::IsUnimplemented(loaded)) return absl::FailedPreconditionError(loaded.message());
    LASTRO_RETURN_IF_ERROR(loaded);
  }
  return reader_.get();
}

absl::StatusOr<const engine::EmbeddingModel*> ModelProvider::Replica::EmbedderCalled(const std::string& model) {
  if (model.empty()) return Embedder(0);
  for (size_t i = 0; i < embedders_.size(); ++i) {
    if (folders_.embedders[i] == model) return Embedder(i);
  }
  std::vector<const engine::EmbeddingModel*> meant;
  std::vector<std::string> known;
  for (size_t i = 0; i < embedders_.size(); ++i) {
    LASTRO_ASSIGN_OR_RETURN(const engine::EmbeddingModel* embedder, Embedder(i));
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

absl::Status ModelProvider::Replica::LoadAll() {
  if (!folders_.decoder.empty()) LASTRO_RETURN_IF_ERROR(Decoder().status());
  if (!folders_.reranker.empty()) LASTRO_RETURN_IF_ERROR(Reranker().status());
  if (!folders_.reader.empty()) LASTRO_RETURN_IF_ERROR(Reader().status());
  for (size_t i = 0; i < embedders_.size(); ++i) LASTRO_RETURN_IF_ERROR(Embedder(i).status());
  return absl::OkStatus();
}

ModelProvider::ModelProvider(ModelFolders folders, std::vector<engine::RuntimeOptions> devices)
    : folders_(std::move(folders)) {
  LASTRO_CHECK(!devices.empty());
  for (const engine::RuntimeOptions& device : devices) {
    replicas_.push_back(std::make_unique<Replica>(folders_, device));
  }
}

ModelProvider::~ModelProvider() = default;

ModelProvider::Replica& ModelProvider::LeastUsed() {
  return **std::min_element(replicas_.begin(), replicas_.end(),
                            [](const auto& a, const auto& b) { return a->calls() < b->calls(); });
}

absl::Status ModelProvider::LoadAll() {
  absl::MutexLock lock(&mutex_);
  for (const auto& replica : replicas_) LASTRO_RETURN_IF_ERROR(replica->LoadAll());
  return absl::OkStatus();
}

absl::StatusOr<Lease<LoadedDecoder>> ModelProvider::Decoder() {
  if (!has_decoder()) return absl::FailedPreconditionError("no decoder is configured here; start with --decoder DIR");
  absl::MutexLock lock(&mutex_);
  Replica& replica = LeastUsed();
  LASTRO_ASSIGN_OR_RETURN(const LoadedDecoder* decoder, replica.Decoder());
  return replica.Lend(decoder);
}

absl::StatusOr<Lease<engine::SequenceClassifier>> ModelProvider::Reranker() {
  if (!has_reranker()) {
    return absl::FailedPreconditionError("no reranker is configured here; start with --reranker DIR");
  }
  absl::MutexLock lock(&mutex_);
  Replica& replica = LeastUsed();
  LASTRO_ASSIGN_OR_RETURN(const engine::SequenceClassifier* reranker, replica.Reranker());
  return replica.Lend(reranker);
}

absl::StatusOr<Lease<engine::Reader>> ModelProvider::Reader() {
  if (!has_reader()) return absl::UnimplementedError("there is no reader here; start with --reader DIR");
  absl::MutexLock lock(&mutex_);
  Replica& replica = LeastUsed();
  LASTRO_ASSIGN_OR_RETURN(const engine::Reader* reader, replica.Reader());
  return replica.Lend(reader);
}

absl::StatusOr<Lease<engine::EmbeddingModel>> ModelProvider::Embedder(const std::string& model) {
  if (!has_embedder()) {
    return absl::FailedPreconditionError("no embedding model is configured here; start with --embedder DIR");
  }
  absl::MutexLock lock(&mutex_);
  Replica& replica = LeastUsed();
  LASTRO_ASSIGN_OR_RETURN(const engine::EmbeddingModel* embedder, replica.EmbedderCalled(model));
  return replica.Lend(embedder);
}

absl::StatusOr<std::vector<const engine::EmbeddingModel*>> ModelProvider::Embedders() {
  absl::MutexLock lock(&mutex_);
  std::vector<const engine::EmbeddingModel*> all;
  for (size_t i = 0; i < folders_.embedders.size(); ++i) {
    LASTRO_ASSIGN_OR_RETURN(const engine::EmbeddingModel* embedder, replicas_[0]->Embedder(i));
    all.push_back(embedder);
  }
  return all;
}

absl::StatusOr<std::string> ModelProvider::DeviceDescription() {
  absl::MutexLock lock(&mutex_);
  std::vector<std::string> devices;
  for (const auto& replica : replicas_) {
    LASTRO_ASSIGN_OR_RETURN(const engine::Runtime* runtime, replica->Runtime());
    devices.push_back(runtime->Description());
  }
  return absl::StrJoin(devices, "; ");
}

absl::StatusOr<std::string> ModelProvider::DeviceClass() {
  absl::MutexLock lock(&mutex_);
  LASTRO_ASSIGN_OR_RETURN(const engine::Runtime* runtime, replicas_[0]->Runtime());
  return runtime->DeviceClass();
}

}  // namespace lastro::services
