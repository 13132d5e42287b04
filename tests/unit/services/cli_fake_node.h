// A Node for tests of the command line: it keeps the last request of each kind and answers with what the test put in.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "services/cli/cli.h"
#include "services/node.h"

namespace lastro::services::testing {

// What the fake components answer with, and what they were asked. One object for all, owned by the test.
struct FakeState {
  v1::Answer answer;
  std::vector<std::string> deltas;
  absl::Status ask_status;
  v1::AskRequest ask_request;
  v1::SearchResponse search_response;
  v1::SearchRequest search_request;
  std::vector<v1::Document> documents;
  std::map<std::string, std::string> sources;  // by document id
  std::vector<std::string> deleted;
  int page_size_cap = 2;
  v1::Job job;
  v1::IngestFolderRequest folder_request;
  bool sync = false;
  v1::ReembedRequest reembed_request;
  v1::Reembedding reembedding;
  int64_t commit = 0;
  std::vector<v1::UploadRequest::Header> uploads;
  absl::Status watch_status;
  int cancels = 0;
  v1::TokenizeTextResponse tokens;
  v1::TokenizeTextRequest tokenize_request;
  v1::InspectPromptResponse inspection;
  v1::InspectPromptRequest inspect_request;
  v1::ClusterRequest cluster_request;
  v1::ClusterResponse clusters;
  std::vector<int> embed_batches;
  std::vector<v1::GenerateRequest> generate_requests;
  std::vector<v1::GeneratedToken> generated_tokens;
  v1::GenerateResponse generated;
  v1::RerankRequest rerank_request;
};

class CliFakeEmbedding : public EmbeddingApi {
 public:
  explicit CliFakeEmbedding(FakeState* state) : state_(state) {}
  // Vector i of a batch is {length of text i, 0.5}.
  absl::StatusOr<v1::EmbedResponse> Embed(const v1::EmbedRequest& request, const CallContext&) override {
    state_->embed_batches.push_back(request.texts_size());
    v1::EmbedResponse response;
    response.set_model("fake");
    response.set_dimension(2);
    for (const std::string& text : request.texts()) {
      v1::Vector* vector = response.add_vectors();
      vector->add_values(static_cast<float>(text.size()));
      vector->add_values(0.5f);
    }
    return response;
  }
  absl::StatusOr<v1::TokenizeTextsResponse> Tokenize(const v1::TokenizeTextsRequest&, const CallContext&) override {
    return absl::UnimplementedError("not used by the command line");
  }
  absl::StatusOr<v1::ClusterResponse> Cluster(const v1::ClusterRequest& request, const CallContext&) override {
    state_->cluster_request = request;
    return state_->clusters;
  }

 private:
  FakeState* const state_;
};

// Says what the test put in, one delta a token.
class CliFakeGeneration : public GenerationApi {
 public:
  explicit CliFakeGeneration(FakeState* state) : state_(state) {}
  absl::StatusOr<v1::GenerateResponse> Generate(const v1::GenerateRequest& request, const CallContext&,
                                                const Sink<v1::GeneratedToken>& sink) override {
    state_->generate_requests.push_back(request);
    for (const v1::GeneratedToken& token : state_->generated_tokens) {
      if (!sink) continue;
      if (absl::Status status = sink(token); !status.ok()) return status;
    }
    return state_->generated;
  }
  absl::StatusOr<v1::ScoreResponse> Score(const v1::ScoreRequest&, const CallContext&) override {
    return absl::UnimplementedError("not used by the command line");
  }
  // The shortest text is the best.
  absl::StatusOr<v1::RerankResponse> Rerank(const v1::RerankRequest& request, const CallContext&) override {
    state_->rerank_request = request;
    v1::RerankResponse response;
    for (const std::string& text : request.texts()) response.add_scores(-static_cast<double>(text.size()));
    for (int i = 0; i < request.texts_size(); ++i) response.add_order(i);
    std::sort(response.mutable_order()->begin(), response.mutable_order()->end(),
              [&](int a, int b) { return response.scores(a) > response.scores(b); });
    return response;
  }
  absl::StatusOr<v1::ReadResponse> Read(const v1::ReadRequest&, const CallContext&) override {
    return absl::UnimplementedError("not used by the command line");
  }
  absl::StatusOr<v1::CountTokensResponse> CountTokens(const v1::CountTokensRequest&, const CallContext&) override {
    return absl::UnimplementedError("not used by the command line");
  }

 private:
  FakeState* const state_;
};

class CliFakeRetrieval : public RetrievalApi {
 public:
  explicit CliFakeRetrieval(FakeState* state) : state_(state) {}
  absl::StatusOr<v1::SearchResponse> Search(const v1::SearchRequest& request, const CallContext&) override {
    state_->search_request = request;
    return state_->search_response;
  }
  absl::StatusOr<v1::Document> GetDocument(const v1::GetDocumentRequest& request, const CallContext&) override {
    for (const v1::Document& document : state_->documents) {
      bool by_uri = !request.uri().empty() && document.uri() == request.uri();
      bool by_id = !request.document_id().empty() && document.id() == request.document_id();
      if (by_uri || by_id) return document;
    }
    return absl::NotFoundError("no document " + request.uri() + request.document_id());
  }
  absl::StatusOr<v1::ListDocumentsResponse> ListDocuments(const v1::ListDocumentsRequest& request,
                                                          const CallContext&) override {
    v1::ListDocumentsResponse response;
    size_t begin = request.page_token().empty() ? 0 : std::stoul(request.page_token());
    size_t end =
        std::min<size_t>(state_->documents.size(), begin + std::min(request.page_size(), state_->page_size_cap));
    for (size_t i = begin; i < end; ++i) *response.add_documents() = state_->documents[i];
    if (end < state_->documents.size()) response.set_next_page_token(std::to_string(end));
    return response;
  }
  absl::StatusOr<v1::ListChunksResponse> ListChunks(const v1::ListChunksRequest&, const CallContext&) override {
    return v1::ListChunksResponse();
  }
  // At most 5 bytes at once, so that readers have to ask again.
  absl::StatusOr<v1::GetSourceResponse> GetSource(const v1::GetSourceRequest& request, const CallContext&) override {
    auto source = state_->sources.find(request.document_id());
    if (source == state_->sources.end()) return absl::NotFoundError("no document");
    v1::GetSourceResponse response;
    size_t begin = std::min<size_t>(request.range().begin(), source->second.size());
    size_t length = std::min<size_t>(request.range().end() - begin, 5);
    response.set_content(source->second.substr(begin, length));
    response.set_total_bytes(static_cast<int64_t>(source->second.size()));
    response.set_source_sha256("sha-" + request.document_id());
    return response;
  }
  absl::StatusOr<v1::DeleteDocumentsResponse> DeleteDocuments(const v1::DeleteDocumentsRequest& request,
                                                              const CallContext&) override {
    state_->deleted.assign(request.document_ids().begin(), request.document_ids().end());
    v1::DeleteDocumentsResponse response;
    response.set_deleted(request.document_ids_size());
    return response;
  }
  absl::StatusOr<v1::Collection> GetCollection(const v1::GetCollectionRequest& request, const CallContext&) override {
    v1::Collection collection;
    collection.set_name(request.collection());
    return collection;
  }
  absl::StatusOr<v1::ListCollectionsResponse> ListCollections(const v1::ListCollectionsRequest&,
                                                              const CallContext&) override {
    return v1::ListCollectionsResponse();
  }
  absl::StatusOr<v1::DeleteCollectionResponse> DeleteCollection(const v1::DeleteCollectionRequest& request,
                                                                const CallContext&) override {
    state_->deleted = {request.collection()};
    return v1::DeleteCollectionResponse();
  }

 private:
  FakeState* const state_;
};

class FakeIngest : public IngestApi {
 public:
  explicit FakeIngest(FakeState* state) : state_(state) {}
  absl::StatusOr<v1::Job> IngestFolder(const v1::IngestFolderRequest& request, bool sync, const CallContext&) override {
    state_->folder_request = request;
    state_->sync = sync;
    return state_->job;
  }
  // Contents that begin with "bad" are refused.
  absl::StatusOr<v1::UploadResponse> Upload(const v1::UploadRequest::Header& header, const std::string& content,
                                            const CallContext&) override {
    if (content.rfind("bad", 0) == 0) return absl::InvalidArgumentError("unreadable");
    state_->uploads.push_back(header);
    v1::UploadResponse response;
    response.mutable_document()->set_uri(header.uri());
    response.mutable_document()->set_chunk_count(2);
    return response;
  }
  absl::StatusOr<v1::Job> Reembed(const v1::ReembedRequest& request, const CallContext&) override {
    state_->reembed_request = request;
    return state_->job;
  }
  absl::StatusOr<v1::Reembedding> GetReembedding(const v1::GetReembeddingRequest& request,
                                                 const CallContext&) override {
    state_->reembedding.set_collection(request.collection());
    return state_->reembedding;
  }
  // The two models change places.
  absl::StatusOr<v1::Reembedding> SwitchEmbedding(const v1::SwitchEmbeddingRequest& request,
                                                  const CallContext&) override {
    if (request.fingerprint() != state_->reembedding.other().fingerprint()) {
      return absl::FailedPreconditionError("no vectors of this model");
    }
    state_->reembedding.mutable_searched()->Swap(state_->reembedding.mutable_other());
    state_->reembedding.mutable_searched()->set_since_commit(++state_->commit);
    return state_->reembedding;
  }
  absl::StatusOr<v1::Reembedding> FinishReembedding(const v1::FinishReembeddingRequest&, const CallContext&) override {
    state_->reembedding.clear_other();
    return state_->reembedding;
  }
  absl::StatusOr<v1::Job> GetJob(const v1::GetJobRequest&, const CallContext&) override { return state_->job; }
  absl::StatusOr<v1::ListJobsResponse> ListJobs(const v1::ListJobsRequest&, const CallContext&) override {
    v1::ListJobsResponse response;
    *response.add_jobs() = state_->job;
    return response;
  }
  absl::Status WatchJob(const v1::GetJobRequest&, const CallContext&, const Sink<v1::Job>& sink) override {
    if (!state_->watch_status.ok()) return std::exchange(state_->watch_status, absl::OkStatus());
    return sink(state_->job);
  }
  absl::StatusOr<v1::Job> CancelJob(const v1::GetJobRequest&, const CallContext&) override {
    ++state_->cancels;
    return state_->job;
  }

 private:
  FakeState* const state_;
};

class FakeAsk : public AskApi {
 public:
  explicit FakeAsk(FakeState* state) : state_(state) {}
  absl::StatusOr<v1::Answer> Ask(const v1::AskRequest& request, const CallContext& context,
                                 const Sink<v1::AskStreamResponse>& sink) override {
    state_->ask_request = request;
    if (absl::Status status = context.Check(); !status.ok()) return status;
    if (!state_->ask_status.ok()) return state_->ask_status;
    for (const std::string& delta : state_->deltas) {
      v1::AskStreamResponse event;
      event.set_text_delta(delta);
      if (!sink) continue;
      if (absl::Status status = sink(event); !status.ok()) return status;
    }
    return state_->answer;
  }

 private:
  FakeState* const state_;
};

class FakeInspect : public InspectApi {
 public:
  explicit FakeInspect(FakeState* state) : state_(state) {}
  absl::StatusOr<v1::TokenizeTextResponse> TokenizeText(const v1::TokenizeTextRequest& request,
                                                        const CallContext&) override {
    state_->tokenize_request = request;
    return state_->tokens;
  }
  absl::StatusOr<v1::InspectPromptResponse> InspectPrompt(const v1::InspectPromptRequest& request,
                                                          const CallContext&) override {
    state_->inspect_request = request;
    return state_->inspection;
  }

 private:
  FakeState* const state_;
};

class FakeModels : public ModelApi {
 public:
  absl::StatusOr<v1::ListModelsResponse> ListModels(const v1::ListModelsRequest&, const CallContext&) override {
    v1::ListModelsResponse response;
    response.add_models()->set_name("fake-model");
    return response;
  }
};

class FakeNode : public Node {
 public:
  explicit FakeNode(FakeState* state)
      : embedding_(state), generation_(state), retrieval_(state), ingest_(state), ask_(state), inspect_(state) {}
  EmbeddingApi& embedding() override { return embedding_; }
  GenerationApi& generation() override { return generation_; }
  RetrievalApi& retrieval() override { return retrieval_; }
  IngestApi& ingest() override { return ingest_; }
  AskApi& ask() override { return ask_; }
  InspectApi& inspect() override { return inspect_; }
  ModelApi& models() override { return models_; }

 private:
  CliFakeEmbedding embedding_;
  CliFakeGeneration generation_;
  CliFakeRetrieval retrieval_;
  FakeIngest ingest_;
  FakeAsk ask_;
  FakeInspect inspect_;
  FakeModels models_;
};

// Runs `lastro` on a FakeNode and keeps what it printed.
class CliRunner {
 public:
  FakeState state;
  std::string input;
  Terminal terminal;  // of standard output
  bool in_is_terminal = false;
  bool interrupted = false;
  GlobalOptions options_seen;
  std::string out;
  std::string err;

  int Lastro(const std::vector<std::string>& arguments) {
    std::ostringstream out_stream, err_stream;
    std::istringstream in_stream(input);
    auto make_node = [this](const GlobalOptions& options) -> absl::StatusOr<std::unique_ptr<Node>> {
      options_seen = options;
      return std::make_unique<FakeNode>(&state);
    };
    Environment environment{out_stream, err_stream,     in_stream, terminal,
                            Terminal(), in_is_terminal, make_node, [this] { return interrupted; }};
    int code = RunCli(arguments, environment);
    out = out_stream.str();
    err = err_stream.str();
    return code;
  }
};

}  // namespace lastro::services::testing
