// ModelProvider: the models of this process, loaded at their first use or before. Thread-safe; models live as long as
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
  std::string device;                                                          // Runtime::Description()

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

class ModelProvider {
 public:
  // A model whose folder is empty is not available here (FAILED_PRECONDITION).
  ModelProvider(ModelFolders folders, engine::RuntimeOptions options)
      : folders_(std::move(folders)), options_(options), embedders_(folders_.embedders.size()) {}

  // Loads the model when it is not there yet. A failed load is tried again at the next call.
  absl::StatusOr<const LoadedDecoder*> Decoder();
  // `model`: as EmbedRequest.model, with its errors. Models are loaded in their order until it is found.
  absl::StatusOr<const engine::EmbeddingModel*> Embedder(const std::string& model = "");
  // All of them, loaded, in their order.
  absl::StatusOr<std::vector<const engine::EmbeddingModel*>> Embedders();
  absl::StatusOr<const engine::SequenceClassifier*> Reranker();
  // UNIMPLEMENTED only where none is configured.
  absl::StatusOr<const engine::Reader*> Reader();

  bool has_decoder() const { return !folders_.decoder.empty(); }
  bool has_embedder() const { return !folders_.embedders.empty(); }
  bool has_reranker() const { return !folders_.reranker.empty(); }
  bool has_reader() const { return !folders_.reader.empty(); }
  absl::StatusOr<std::string> DeviceDescription();

 private:
  absl::StatusOr<const engine::Runtime*> RuntimeLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  absl::StatusOr<const engine::EmbeddingModel*> EmbedderLocked(size_t index) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status LoadDecoderLocked(LoadedDecoder* decoder) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status LoadReaderLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const ModelFolders folders_;
  const engine::RuntimeOptions options_;

  absl::Mutex mutex_;
  std::unique_ptr<engine::Runtime> runtime_ ABSL_GUARDED_BY(mutex_);  // outlives the models
  std::unique_ptr<LoadedDecoder> decoder_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<engine::EmbeddingModel>> embedders_ ABSL_GUARDED_BY(mutex_);  // one a folder
  std::unique_ptr<engine::SequenceClassifier> reranker_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<engine::Reader> reader_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace lastro::services
