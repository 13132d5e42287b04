// ModelProvider: the models of this process, loaded at their first use or before. Thread-safe; models live as long as
// the provider.
#pragma once

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "engine/embedding_model.h"
#include "engine/language_model.h"
#include "engine/runtime.h"
#include "services/local/prompt_format.h"
#include "services/local/response_formats.h"

namespace lastro::services {

// A model that writes text, how its prompts are written, and what its texts may be made to be.
struct LoadedDecoder {
  std::unique_ptr<engine::LanguageModel> model;
  std::unique_ptr<PromptFormat> format;
  std::unique_ptr<ResponseFormats> response_formats;
};

class ModelProvider {
 public:
  // Folders may be empty: then the model is not available here (FAILED_PRECONDITION).
  ModelProvider(std::string decoder_folder, std::string embedder_folder, engine::RuntimeOptions options)
      : decoder_folder_(std::move(decoder_folder)), embedder_folder_(std::move(embedder_folder)), options_(options) {}

  // Loads the model when it is not there yet. A failed load is tried again at the next call.
  absl::StatusOr<const LoadedDecoder*> Decoder();
  absl::StatusOr<const engine::EmbeddingModel*> Embedder();

  bool has_decoder() const { return !decoder_folder_.empty(); }
  bool has_embedder() const { return !embedder_folder_.empty(); }
  absl::StatusOr<std::string> DeviceDescription();

 private:
  absl::StatusOr<const engine::Runtime*> RuntimeLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string decoder_folder_;
  const std::string embedder_folder_;
  const engine::RuntimeOptions options_;

  absl::Mutex mutex_;
  std::unique_ptr<engine::Runtime> runtime_ ABSL_GUARDED_BY(mutex_);  // outlives the models
  LoadedDecoder decoder_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<engine::EmbeddingModel> embedder_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace lastro::services
