// SentenceConfig: what the sentence-transformers files of a folder say beside the encoder itself: pooling,
// normalisation and the longest text. Pure function, thread-safe.
#pragma once

#include "absl/status/statusor.h"
#include "engine/backend.h"
#include "engine/model_files.h"

namespace lastro::engine {

struct SentenceConfig {
  Pooling pooling = Pooling::kMean;
  bool normalize = false;
  int64_t max_tokens = 0;  // special tokens included
};

// `max_positions` is the encoder's own limit. Without modules.json: mean pooling and no normalisation, as
// sentence-transformers does. UNIMPLEMENTED names a module or pooling mode that this version does not support.
absl::StatusOr<SentenceConfig> ReadSentenceConfig(const ModelFiles& files, int64_t max_positions);

}  // namespace lastro::engine
