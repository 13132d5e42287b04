// KnownVectors: the vectors of texts that were embedded before, for the same caller: of questions, which search and
// answer both embed, and of the sentences that may answer. No text is kept: keys are hashes. Thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/call_context.h"
#include "base/lru_cache.h"
#include "engine/embedding_model.h"

namespace lastro::services {

class KnownVectors {
 public:
  explicit KnownVectors(size_t max_bytes) : known_(max_bytes) {}

  // As model.Embed, with its errors; `tokens` is not null. Many texts at once, and those of a call in the background,
  // are as good as never embedded again: they are neither looked for nor kept.
  absl::StatusOr<std::vector<float>> Embed(const engine::EmbeddingModel& model, absl::Span<const std::string> texts,
                                           bool truncate, const CallContext& context, std::vector<size_t>* tokens);

 private:
  struct Embedded {
    std::vector<float> vector;
    size_t tokens = 0;
  };

  static absl::StatusOr<std::vector<Embedded>> EmbedAll(const engine::EmbeddingModel& model,
                                                        absl::Span<const std::string> texts, bool truncate,
                                                        const CallContext& context);

  LruCache<Embedded> known_;
};

}  // namespace lastro::services
