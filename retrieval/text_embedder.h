// TextEmbedder: what retrieval and ingestion know of an embedding model, wherever it runs. Implementations are
// thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/call_context.h"

namespace lastro::retrieval {

struct EmbedderInfo {
  std::string model;        // display name
  std::string fingerprint;  // vectors of different fingerprints are never compared
  int dimension = 0;
  int max_tokens = 0;       // special tokens included
  bool normalized = false;  // vectors have unit length
};

// The half-open byte range of a text that one token of the embedding model stands for.
struct TokenSpan {
  uint32_t begin = 0;
  uint32_t end = 0;
};

class TextEmbedder {
 public:
  virtual ~TextEmbedder() = default;

  virtual absl::StatusOr<EmbedderInfo> Info(const CallContext& context) = 0;

  // One unit-length vector per text, row-major [texts.size(), dimension]. INVALID_ARGUMENT when a text exceeds
  // max_tokens.
  virtual absl::StatusOr<std::vector<float>> Embed(absl::Span<const std::string> texts, const CallContext& context) = 0;

  // The tokens of each text without special tokens; for sizing chunks.
  virtual absl::StatusOr<std::vector<std::vector<TokenSpan>>> Tokenize(absl::Span<const std::string> texts,
                                                                       const CallContext& context) = 0;

  // The same for the model of this fingerprint, whose calls fail when it is not here. Null: there is one model only.
  virtual std::unique_ptr<TextEmbedder> OfModel(const std::string& /*fingerprint*/) { return nullptr; }
};

}  // namespace lastro::retrieval
