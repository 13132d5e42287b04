// LateRetrieval: a RetrievalApi whose target is set after it was handed out. The local embedding (which clusters
// chunks) and the local retrieval (which embeds queries) need each other. Thread-safe once the target is set.
#pragma once

#include "services/api.h"

namespace lastro::services {

class LateRetrieval final : public RetrievalApi {
 public:
  // REQUIRES: called once, before any call; `target` outlives the calls.
  void SetTarget(RetrievalApi* target) { target_ = target; }

  absl::StatusOr<v1::SearchResponse> Search(const v1::SearchRequest& request, const CallContext& context) override {
    return target_->Search(request, context);
  }
  absl::StatusOr<v1::Document> GetDocument(const v1::GetDocumentRequest& request, const CallContext& context) override {
    return target_->GetDocument(request, context);
  }
  absl::StatusOr<v1::ListDocumentsResponse> ListDocuments(const v1::ListDocumentsRequest& request,
                                                          const CallContext& context) override {
    return target_->ListDocuments(request, context);
  }
  absl::StatusOr<v1::ListChunksResponse> ListChunks(const v1::ListChunksRequest& request,
                                                    const CallContext& context) override {
    return target_->ListChunks(request, context);
  }
  absl::StatusOr<v1::GetSourceResponse> GetSource(const v1::GetSourceRequest& request,
                                                  const CallContext& context) override {
    return target_->GetSource(request, context);
  }
  absl::StatusOr<v1::DeleteDocumentsResponse> DeleteDocuments(const v1::DeleteDocumentsRequest& request,
                                                              const CallContext& context) override {
    return target_->DeleteDocuments(request, context);
  }
  absl::StatusOr<v1::Collection> GetCollection(const v1::GetCollectionRequest& request,
                                               const CallContext& context) override {
    return target_->GetCollection(request, context);
  }
  absl::StatusOr<v1::ListCollectionsResponse> ListCollections(const v1::ListCollectionsRequest& request,
                                                              const CallContext& context) override {
    return target_->ListCollections(request, context);
  }
  absl::StatusOr<v1::DeleteCollectionResponse> DeleteCollection(const v1::DeleteCollectionRequest& request,
                                                                const CallContext& context) override {
    return target_->DeleteCollection(request, context);
  }

 private:
  RetrievalApi* target_ = nullptr;
};

}  // namespace lastro::services
