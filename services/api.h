// The components of Lastro as the rest of the program sees them, wherever they run: one abstract class a service, whose
// messages are the protos' own. Each has a local implementation (services/local, services/answer) and a gRPC client
// (services/remote); the gRPC server (services/grpc) and the CLI sit on these classes and cannot tell which they have.
//
// All implementations are thread-safe. Errors are those that the proto's comment of the RPC lists.
#pragma once

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/call_context.h"
#include "lastro/v1/ask.pb.h"
#include "lastro/v1/embedding.pb.h"
#include "lastro/v1/generation.pb.h"
#include "lastro/v1/ingest.pb.h"
#include "lastro/v1/inspect.pb.h"
#include "lastro/v1/model.pb.h"
#include "lastro/v1/retrieval.pb.h"

namespace lastro::services {

// Receives the messages of a stream in order; a non-OK status ends the call with that status.
template <typename Message>
using Sink = std::function<absl::Status(const Message&)>;

class EmbeddingApi {
 public:
  virtual ~EmbeddingApi() = default;
  virtual absl::StatusOr<v1::EmbedResponse> Embed(const v1::EmbedRequest& request, const CallContext& context) = 0;
  virtual absl::StatusOr<v1::TokenizeTextsResponse> Tokenize(const v1::TokenizeTextsRequest& request,
                                                             const CallContext& context) = 0;
  virtual absl::StatusOr<v1::ClusterResponse> Cluster(const v1::ClusterRequest& request,
                                                      const CallContext& context) = 0;
};

class GenerationApi {
 public:
  virtual ~GenerationApi() = default;
  // `sink`, when given, receives each token as it is made; the result is returned either way.
  virtual absl::StatusOr<v1::GenerateResponse> Generate(const v1::GenerateRequest& request, const CallContext& context,
                                                        const Sink<v1::GeneratedToken>& sink = nullptr) = 0;
  virtual absl::StatusOr<v1::ScoreResponse> Score(const v1::ScoreRequest& request, const CallContext& context) = 0;
  virtual absl::StatusOr<v1::CountTokensResponse> CountTokens(const v1::CountTokensRequest& request,
                                                              const CallContext& context) = 0;
  virtual absl::StatusOr<v1::RerankResponse> Rerank(const v1::RerankRequest& request, const CallContext& context) = 0;
  virtual absl::StatusOr<v1::ReadResponse> Read(const v1::ReadRequest& request, const CallContext& context) = 0;
};

class RetrievalApi {
 public:
  virtual ~RetrievalApi() = default;
  virtual absl::StatusOr<v1::SearchResponse> Search(const v1::SearchRequest& request, const CallContext& context) = 0;
  virtual absl::StatusOr<v1::Document> GetDocument(const v1::GetDocumentRequest& request,
                                                   const CallContext& context) = 0;
  virtual absl::StatusOr<v1::ListDocumentsResponse> ListDocuments(const v1::ListDocumentsRequest& request,
                                                                  const CallContext& context) = 0;
  virtual absl::StatusOr<v1::ListChunksResponse> ListChunks(const v1::ListChunksRequest& request,
                                                            const CallContext& context) = 0;
  virtual absl::StatusOr<v1::GetSourceResponse> GetSource(const v1::GetSourceRequest& request,
                                                          const CallContext& context) = 0;
  virtual absl::StatusOr<v1::DeleteDocumentsResponse> DeleteDocuments(const v1::DeleteDocumentsRequest& request,
                                                                      const CallContext& context) = 0;
  virtual absl::StatusOr<v1::Collection> GetCollection(const v1::GetCollectionRequest& request,
                                                       const CallContext& context) = 0;
  virtual absl::StatusOr<v1::ListCollectionsResponse> ListCollections(const v1::ListCollectionsRequest& request,
                                                                      const CallContext& context) = 0;
  virtual absl::StatusOr<v1::DeleteCollectionResponse> DeleteCollection(const v1::DeleteCollectionRequest& request,
                                                                        const CallContext& context) = 0;
};

class IngestApi {
 public:
  virtual ~IngestApi() = default;
  virtual absl::StatusOr<v1::Job> IngestFolder(const v1::IngestFolderRequest& request, bool sync,
                                               const CallContext& context) = 0;
  // The whole content at once; the gRPC server and client cut and join the pieces.
  virtual absl::StatusOr<v1::UploadResponse> Upload(const v1::UploadRequest::Header& header, const std::string& content,
                                                    const CallContext& context) = 0;
  virtual absl::StatusOr<v1::Job> Reembed(const v1::ReembedRequest& request, const CallContext& context) = 0;
  virtual absl::StatusOr<v1::Reembedding> GetReembedding(const v1::GetReembeddingRequest& request,
                                                         const CallContext& context) = 0;
  virtual absl::StatusOr<v1::Reembedding> SwitchEmbedding(const v1::SwitchEmbeddingRequest& request,
                                                          const CallContext& context) = 0;
  virtual absl::StatusOr<v1::Reembedding> FinishReembedding(const v1::FinishReembeddingRequest& request,
                                                            const CallContext& context) = 0;
  virtual absl::StatusOr<v1::Job> GetJob(const v1::GetJobRequest& request, const CallContext& context) = 0;
  virtual absl::StatusOr<v1::ListJobsResponse> ListJobs(const v1::ListJobsRequest& request,
                                                        const CallContext& context) = 0;
  // Returns when the job has ended, with OK whatever its end was.
  virtual absl::Status WatchJob(const v1::GetJobRequest& request, const CallContext& context,
                                const Sink<v1::Job>& sink) = 0;
  virtual absl::StatusOr<v1::Job> CancelJob(const v1::GetJobRequest& request, const CallContext& context) = 0;
};

class AskApi {
 public:
  virtual ~AskApi() = default;
  // `sink`, when given, receives the progress (all but the final answer event, which is the return value).
  virtual absl::StatusOr<v1::Answer> Ask(const v1::AskRequest& request, const CallContext& context,
                                         const Sink<v1::AskStreamResponse>& sink = nullptr) = 0;
};

class InspectApi {
 public:
  virtual ~InspectApi() = default;
  virtual absl::StatusOr<v1::TokenizeTextResponse> TokenizeText(const v1::TokenizeTextRequest& request,
                                                                const CallContext& context) = 0;
  virtual absl::StatusOr<v1::InspectPromptResponse> InspectPrompt(const v1::InspectPromptRequest& request,
                                                                  const CallContext& context) = 0;
};

class ModelApi {
 public:
  virtual ~ModelApi() = default;
  virtual absl::StatusOr<v1::ListModelsResponse> ListModels(const v1::ListModelsRequest& request,
                                                            const CallContext& context) = 0;
};

}  // namespace lastro::services
