#include "services/remote/unavailable.h"

#include <utility>

#include "base/check.h"

namespace lastro::services {
namespace {

class UnavailableEmbedding final : public EmbeddingApi {
 public:
  explicit UnavailableEmbedding(absl::Status status) : status_(std::move(status)) {}

  absl::StatusOr<v1::EmbedResponse> Embed(const v1::EmbedRequest&, const CallContext&) override { return status_; }
  absl::StatusOr<v1::TokenizeTextsResponse> Tokenize(const v1::TokenizeTextsRequest&, const CallContext&) override {
    return status_;
  }
  absl::StatusOr<v1::ClusterResponse> Cluster(const v1::ClusterRequest&, const CallContext&) override {
    return status_;
  }

 private:
  const absl::Status status_;
};

class UnavailableGeneration final : public GenerationApi {
 public:
  explicit UnavailableGeneration(absl::Status status) : status_(std::move(status)) {}

  absl::StatusOr<v1::GenerateResponse> Generate(const v1::GenerateRequest&, const CallContext&,
                                                const Sink<v1::GeneratedToken>&) override {
    return status_;
  }
  absl::StatusOr<v1::ScoreResponse> Score(const v1::ScoreRequest&, const CallContext&) override { return status_; }
  absl::StatusOr<v1::CountTokensResponse> CountTokens(const v1::CountTokensRequest&, const CallContext&) override {
    return status_;
  }
  absl::StatusOr<v1::RerankResponse> Rerank(const v1::RerankRequest&, const CallContext&) override { return status_; }
  absl::StatusOr<v1::ReadResponse> Read(const v1::ReadRequest&, const CallContext&) override { return status_; }

 private:
  const absl::Status status_;
};

class UnavailableRetrieval final : public RetrievalApi {
 public:
  explicit UnavailableRetrieval(absl::Status status) : status_(std::move(status)) {}

  absl::StatusOr<v1::SearchResponse> Search(const v1::SearchRequest&, const CallContext&) override { return status_; }
  absl::StatusOr<v1::Document> GetDocument(const v1::GetDocumentRequest&, const CallContext&) override {
    return status_;
  }
  absl::StatusOr<v1::ListDocumentsResponse> ListDocuments(const v1::ListDocumentsRequest&,
                                                          const CallContext&) override {
    return status_;
  }
  absl::StatusOr<v1::ListChunksResponse> ListChunks(const v1::ListChunksRequest&, const CallContext&) override {
    return status_;
  }
  absl::StatusOr<v1::GetSourceResponse> GetSource(const v1::GetSourceRequest&, const CallContext&) override {
    return status_;
  }
  absl::StatusOr<v1::DeleteDocumentsResponse> DeleteDocuments(const v1::DeleteDocumentsRequest&,
                                                              const CallContext&) override {
    return status_;
  }
  absl::StatusOr<v1::Collection> GetCollection(const v1::GetCollectionRequest&, const CallContext&) override {
    return status_;
  }
  absl::StatusOr<v1::ListCollectionsResponse> ListCollections(const v1::ListCollectionsRequest&,
                                                              const CallContext&) override {
    return status_;
  }
  absl::StatusOr<v1::DeleteCollectionResponse> DeleteCollection(const v1::DeleteCollectionRequest&,
                                                                const CallContext&) override {
    return status_;
  }

 private:
  const absl::Status status_;
};

class UnavailableIngest final : public IngestApi {
 public:
  explicit UnavailableIngest(absl::Status status) : status_(std::move(status)) {}

  absl::StatusOr<v1::Job> IngestFolder(const v1::IngestFolderRequest&, bool, const CallContext&) override {
    return status_;
  }
  absl::StatusOr<v1::UploadResponse> Upload(const v1::UploadRequest::Header&, const std::string&,
                                            const CallContext&) override {
    return status_;
  }
  absl::StatusOr<v1::Job> Reembed(const v1::ReembedRequest&, const CallContext&) override { return status_; }
  absl::StatusOr<v1::Reembedding> GetReembedding(const v1::GetReembeddingRequest&, const CallContext&) override {
    return status_;
  }
  absl::StatusOr<v1::Reembedding> SwitchEmbedding(const v1::SwitchEmbeddingRequest&, const CallContext&) override {
    return status_;
  }
  absl::StatusOr<v1::Reembedding> FinishReembedding(const v1::FinishReembeddingRequest&, const CallContext&) override {
    return status_;
  }
  absl::StatusOr<v1::Job> GetJob(const v1::GetJobRequest&, const CallContext&) override { return status_; }
  absl::StatusOr<v1::ListJobsResponse> ListJobs(const v1::ListJobsRequest&, const CallContext&) override {
    return status_;
  }
  absl::Status WatchJob(const v1::GetJobRequest&, const CallContext&, const Sink<v1::Job>&) override { return status_; }
  absl::StatusOr<v1::Job> CancelJob(const v1::GetJobRequest&, const CallContext&) override { return status_; }

 private:
  const absl::Status status_;
};

class UnavailableAsk final : public AskApi {
 public:
  explicit UnavailableAsk(absl::Status status) : status_(std::move(status)) {}

  absl::StatusOr<v1::Answer> Ask(const v1::AskRequest&, const CallContext&,
                                 const Sink<v1::AskStreamResponse>&) override {
    return status_;
  }

 private:
  const absl::Status status_;
};

class UnavailableInspect final : public InspectApi {
 public:
  explicit UnavailableInspect(absl::Status status) : status_(std::move(status)) {}

  absl::StatusOr<v1::TokenizeTextResponse> TokenizeText(const v1::TokenizeTextRequest&, const CallContext&) override {
    return status_;
  }
  absl::StatusOr<v1::InspectPromptResponse> InspectPrompt(const v1::InspectPromptRequest&,
                                                          const CallContext&) override {
    return status_;
  }

 private:
  const absl::Status status_;
};

class UnavailableModel final : public ModelApi {
 public:
  explicit UnavailableModel(absl::Status status) : status_(std::move(status)) {}

  absl::StatusOr<v1::ListModelsResponse> ListModels(const v1::ListModelsRequest&, const CallContext&) override {
    return status_;
  }

 private:
  const absl::Status status_;
};

}  // namespace

std::unique_ptr<EmbeddingApi> MakeUnavailableEmbedding(absl::Status status) {
  LASTRO_CHECK(!status.ok());
  return std::make_unique<UnavailableEmbedding>(std::move(status));
}

std::unique_ptr<GenerationApi> MakeUnavailableGeneration(absl::Status status) {
  LASTRO_CHECK(!status.ok());
  return std::make_unique<UnavailableGeneration>(std::move(status));
}

std::unique_ptr<RetrievalApi> MakeUnavailableRetrieval(absl::Status status) {
  LASTRO_CHECK(!status.ok());
  return std::make_unique<UnavailableRetrieval>(std::move(status));
}

std::unique_ptr<IngestApi> MakeUnavailableIngest(absl::Status status) {
  LASTRO_CHECK(!status.ok());
  return std::make_unique<UnavailableIngest>(std::move(status));
}

std::unique_ptr<AskApi> MakeUnavailableAsk(absl::Status status) {
  LASTRO_CHECK(!status.ok());
  return std::make_unique<UnavailableAsk>(std::move(status));
}

std::unique_ptr<InspectApi> MakeUnavailableInspect(absl::Status status) {
  LASTRO_CHECK(!status.ok());
  return std::make_unique<UnavailableInspect>(std::move(status));
}

std::unique_ptr<ModelApi> MakeUnavailableModel(absl::Status status) {
  LASTRO_CHECK(!status.ok());
  return std::make_unique<UnavailableModel>(std::move(status));
}

}  // namespace lastro::services
