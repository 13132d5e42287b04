// DecoderModel: a causal language model loaded from a Hugging Face folder or a GGUF file. Weights are const after Load
// and memory-mapped where they can be; the state of a request (its KV cache) is a DecoderSession. A model may be used
// from many threads; a session from one at a time.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "engine/language_model.h"
#include "engine/runtime.h"

namespace lastro::engine {

class DecoderModel : public LanguageModel {
 public:
  // `runtime` must outlive the model. Errors as EmbeddingModel::Load.
  static absl::StatusOr<std::unique_ptr<DecoderModel>> Load(const std::string& folder, const Runtime& runtime);

  const DecoderModel* AsDecoder() const override { return this; }

  // An empty session for up to `capacity_tokens` (at most info().max_tokens), which takes KV memory as it grows.
  // INVALID_ARGUMENT when out of range; RESOURCE_EXHAUSTED when the KV memory could not hold it even alone.
  // `adapter`, of this model and outliving the session, may be null.
  virtual absl::StatusOr<std::unique_ptr<DecoderSession>> NewSession(int capacity_tokens,
                                                                     const LoraAdapter* adapter) const = 0;
  absl::StatusOr<std::unique_ptr<DecoderSession>> NewSession(int capacity_tokens) const {
    return NewSession(capacity_tokens, nullptr);
  }
};

}  // namespace lastro::engine
