// Seq2SeqModel: an encoder and a decoder that attends to the encoder's output (T5, BART), loaded from a model folder.
// Const after Load and thread-safe; what a request generates is a DecoderSession, used from one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/call_context.h"
#include "engine/language_model.h"
#include "engine/runtime.h"

namespace lastro::engine {

// max_tokens is a target's, max_source_tokens a source's.
struct Seq2SeqInfo : DecoderInfo {
  int32_t start_id = 0;        // the first token of every target
  int32_t forced_bos_id = -1;  // the second, where the model fixes it; -1: free
  int32_t forced_eos_id = -1;  // the last, where a target reaches its longest; -1: free
};

class Seq2SeqModel : public LanguageModel {
 public:
  // `runtime` must outlive the model. Errors as EmbeddingModel::Load.
  static absl::StatusOr<std::unique_ptr<Seq2SeqModel>> Load(const std::string& folder, const Runtime& runtime);

  const Seq2SeqInfo& info() const override = 0;

  // Encodes `source` (1 to max_source_tokens ids, special tokens included) and returns an empty session for a target of
  // up to `capacity_tokens`, the start token included: extend it by info().start_id first. INVALID_ARGUMENT when a
  // count is out of range or an id unknown; RESOURCE_EXHAUSTED; CANCELLED and DEADLINE_EXCEEDED between layers.
  virtual absl::StatusOr<std::unique_ptr<DecoderSession>> NewSession(absl::Span<const int32_t> source,
                                                                     int capacity_tokens,
                                                                     const CallContext& context) const = 0;
};

}  // namespace lastro::engine
