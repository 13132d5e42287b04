// EmbeddingModel: a sentence encoder loaded from a GGUF file or a Hugging Face folder (config.json, model.safetensors,
// tokenizer.json, modules.json, 1_Pooling/config.json): the vectors of sentence-transformers. Decoders that were trained
// to embed (last-token pooling) are encoders too. Const after Load; Embed may be called from several threads (calls
// share the compute pool).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/call_context.h"
#include "engine/runtime.h"
#include "engine/tokenizer.h"

namespace lastro::engine {

struct EmbeddingInfo {
  std::string name;          // the path's last component
  std::string fingerprint;   // SHA-256 over weights, tokenizer, pooling, normalisation, prefixes and dimension
  std::string architecture;  // "bert"
  int dimension = 0;
  int max_tokens = 0;       // special tokens included
  bool normalized = false;  // vectors have unit length
  // What the model was trained to see before a query and before a passage ("query: "); "" where nothing. The caller puts
  // them before the texts.
  std::string query_prefix;
  std::string document_prefix;
  int64_t parameters = 0;
};

class EmbeddingModel {
 public:
  // `runtime` must outlive the model. Errors: NOT_FOUND (a file is missing, named), INVALID_ARGUMENT (malformed file),
  // UNIMPLEMENTED (a family or module this version does not support).
  static absl::StatusOr<std::unique_ptr<EmbeddingModel>> Load(const std::string& folder, const Runtime& runtime);
  virtual ~EmbeddingModel() = default;

  virtual const EmbeddingInfo& info() const = 0;
  virtual const Tokenizer& tokenizer() const = 0;

  // Row-major [texts.size(), info().dimension], fp32, in the order of `texts`. A text longer than max_tokens fails with
  // INVALID_ARGUMENT that gives its index and both counts, unless `truncate`, which cuts its end.
  // Also CANCELLED and DEADLINE_EXCEEDED, seen between texts and batches. `tokens`, unless null, gets how many tokens
  // each text has, special ones included, before any cut.
  virtual absl::StatusOr<std::vector<float>> Embed(absl::Span<const std::string> texts, bool truncate,
                                                   const CallContext& context,
                                                   std::vector<size_t>* tokens = nullptr) const = 0;
};

}  // namespace lastro::engine
