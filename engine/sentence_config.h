// SentenceConfig: what the sentence-transformers files of a folder say beside the encoder itself: pooling,
// normalisation, the longest text and prefixes. Pure function, thread-safe.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "engine/backend.h"
#include "engine/model_files.h"

namespace lastro::engine {

struct SentenceConfig {
  Pooling pooling = Pooling::kMean;
  bool normalize = false;
  int64_t max_tokens = 0;  // special tokens included
  // What the model was trained to see before a query and before a passage; "" where nothing.
  std::string query_prefix, document_prefix;
};

// `max_positions` is the encoder's own limit. Without modules.json: mean pooling and no normalisation, as
// sentence-transformers does. UNIMPLEMENTED names a module or pooling mode that this version does not support.
absl::StatusOr<SentenceConfig> ReadSentenceConfig(const ModelFiles& files, int64_t max_positions);

}  // namespace lastro::engine
