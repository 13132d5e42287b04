// ApiTextEmbedder: the TextEmbedder that retrieval and ingestion know, over an EmbeddingApi, local or remote. Thread-safe.
#pragma once

#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "retrieval/text_embedder.h"
#include "services/api.h"

namespace lastro::services {

class ApiTextEmbedder : public retrieval::TextEmbedder {
 public:
  // Embeds texts as `role` says. `api` must outlive this object.
  ApiTextEmbedder(EmbeddingApi* api, v1::TextRole role) : api_(*api), role_(role) {}

  absl::StatusOr<retrieval::EmbedderInfo> Info(const CallContext& context) override;
  absl::StatusOr<std::vector<float>> Embed(absl::Span<const std::string> texts, const CallContext& context) override;
  absl::StatusOr<std::vector<std::vector<retrieval::TokenSpan>>> Tokenize(absl::Span<const std::string> texts,
                                                                          const CallContext& context) override;

 private:
  void Remember(const v1::EmbedResponse& response);

  EmbeddingApi& api_;
  const v1::TextRole role_;
  absl::Mutex mutex_;
  std::optional<retrieval::EmbedderInfo> info_ ABSL_GUARDED_BY(mutex_);  // of the latest answer
};

}  // namespace lastro::services
