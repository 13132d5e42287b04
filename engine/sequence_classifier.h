// SequenceClassifier: an encoder with a classification head, loaded from a model folder: labels of texts, and scores of
// pairs (a cross-encoder, such as a reranker that reads query and passage together). Const after Load; Score may be
// called from several threads.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/call_context.h"
#include "engine/runtime.h"
#include "engine/tokenizer.h"

namespace lastro::engine {

struct ClassifierInfo {
  std::string name;          // the folder's last component
  std::string fingerprint;   // SHA-256 over weights, configuration and tokenizer
  std::string architecture;  // "bert"
  int labels = 0;            // 1 for a reranker
  int max_tokens = 0;        // of a text or of both texts of a pair, special tokens included
  int64_t parameters = 0;
};

struct TextPair {
  std::string first;                  // the query
  std::optional<std::string> second;  // the passage; without it `first` stands alone
};

struct ClassifierScores {
  // Row-major [pairs, ClassifierInfo::labels], as the reference gives them before any sigmoid or softmax.
  std::vector<float> logits;
  std::vector<int> truncated;  // indexes of the pairs that were cut
  int64_t tokens = 0;          // of all pairs, special tokens included
};

class SequenceClassifier {
 public:
  // `runtime` must outlive the model. Errors as EmbeddingModel::Load; INVALID_ARGUMENT when the weights have no
  // classification head.
  static absl::StatusOr<std::unique_ptr<SequenceClassifier>> Load(const std::string& folder, const Runtime& runtime);
  virtual ~SequenceClassifier() = default;

  virtual const ClassifierInfo& info() const = 0;
  virtual const Tokenizer& tokenizer() const = 0;

  // A pair longer than max_tokens fails with INVALID_ARGUMENT that gives its index and both counts, unless `truncate`,
  // which cuts the end of the second text, or of a first that stands alone; a query that leaves no room is an error
  // always. Also CANCELLED and DEADLINE_EXCEEDED, seen between layers and batches.
  virtual absl::StatusOr<ClassifierScores> Score(absl::Span<const TextPair> pairs, bool truncate,
                                                 const CallContext& context) const = 0;
};

}  // namespace lastro::engine
