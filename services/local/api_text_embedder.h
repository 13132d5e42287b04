// ApiTextEmbedder: the TextEmbedder that retrieval and ingestion know, over an EmbeddingApi, local or remote.
// Thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "retrieval/text_embedder.h"
#include "services/api.h"

namespace lastro::services {

class ApiTextEmbedder : public retrieval::TextEmbedder {
 public:
  // Embeds texts as `role` says, by `model` (as EmbedRequest.model). `api` must outlive this object.
  ApiTextEmbedder(EmbeddingApi* api, v1::TextRole role, std::string model = "")
      : api_(*api), role_(role), model_(std::move(model)) {}

  absl::StatusOr<retrieval::EmbedderInfo> Info(const CallContext& context) override;
  absl::StatusOr<std::vector<float>> Embed(absl::Span<const std::string> texts, const CallContext& context) override;
  absl::StatusOr<std::vector<std::vector<retrieval::TokenSpan>>> Tokenize(absl::Span<const std::string> texts,
                                                                          const CallContext& context) override;
  std::unique_ptr<retrieval::TextEmbedder> OfModel(const std::string& fingerprint) override {
    return std::make_unique<ApiTextEmbedder>(&api_, role_, fingerprint);
  }

 private:
  void Remember(const v1::EmbedResponse& response);

  EmbeddingApi& api_;
  const v1::TextRole role_;
  const std::string model_;
  absl::Mutex mutex_;
  std::optional<retrieval::EmbedderInfo> info_ ABSL_GUARDED_BY(mutex_);  // of the latest answer
};

}  // namespace lastro::services
