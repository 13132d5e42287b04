// ModelProvider: the models of this process, loaded at their first use or before; with several devices a replica of
// each on every one, and a call gets those of the device that has the fewest calls. Thread-safe; models live as long as
// the provider.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "engine/embedding_model.h"
#include "engine/language_model.h"
#include "engine/lora.h"
#include "engine/reader.h"
#include "engine/runtime.h"
#include "engine/sequence_classifier.h"
#include "services/local/prompt_format.h"
#include "services/local/response_formats.h"

namespace lastro::services {

// A model that writes text, how its prompts are written, and what its texts may be made to be.
struct LoadedDecoder {
  std::unique_ptr<engine::LanguageModel> model;
  std::unique_ptr<PromptFormat> format;
  std::unique_ptr<ResponseFormats> response_formats;
  std::map<std::string, std::unique_ptr<const engine::LoraAdapter>> adapters;  // by name
  std::string device;                                                          // Backend::DeviceClass()

  // Null for the empty name. NOT_FOUND lists the names there are.
  absl::StatusOr<const engine::LoraAdapter*> Adapter(const std::string& name) const;
};

// Where models lie. Empty: not available here.
struct ModelFolders {
  std::string decoder;
  std::vector<std::string> embedders;  // the first is the one that new collections get
  std::string reranker;
  std::string reader;
  std::map<std::string, std::string> adapters;  // LoRA adapters of the decoder, by name
};

// A model in use: its device counts as busy with one more call while this lives.
template <typename Model>
using Lease = std::shared_ptr<const Model>;

class ModelProvider {
 public:
  // A model whose folder is empty is not available here (FAILED_PRECONDITION). `devices`: options of each, not empty.
  ModelProvider(ModelFolders folders, std::vector<engine::RuntimeOptions> devices);
  ~ModelProvider();
  ModelProvider(ModelFolders folders, const engine::RuntimeOptions& device)
      : ModelProvider(std::move(folders), std::vector<engine::RuntimeOptions>{device}) {}

  // Loads every model on every device, but for those that are there.
  absl::Status LoadAll();

  // Loads the model when it is not there yet. A failed load is tried again at the next call.
  absl::StatusOr<Lease<LoadedDecoder>> Decoder();
  // `model`: as EmbedRequest.model, with its errors. Models are loaded in their order until it is found.
  absl::StatusOr<Lease<engine::EmbeddingModel>> Embedder(const std::string& model = "");
  // All of them, loaded, in their order; of the first device.
  absl::StatusOr<std::vector<const engine::EmbeddingModel*>> Embedders();
  absl::StatusOr<Lease<engine::SequenceClassifier>> Reranker();
  // UNIMPLEMENTED only where none is configured.
  absl::StatusOr<Lease<engine::Reader>> Reader();

  bool has_decoder() const { return !folders_.decoder.empty(); }
  bool has_embedder() const { return !folders_.embedders.empty(); }
  bool has_reranker() const { return !folders_.reranker.empty(); }
  bool has_reader() const { return !folders_.reader.empty(); }
  // Of all devices; and what results depend on, the same of all of them.
  absl::StatusOr<std::string> DeviceDescription();
  absl::StatusOr<std::string> DeviceClass();

 private:
  // The models of one device. Guarded by mutex_.
  class Replica;

  Replica& LeastUsed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const ModelFolders folders_;
  absl::Mutex mutex_;
  std::vector<std::unique_ptr<Replica>> replicas_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace lastro::services
