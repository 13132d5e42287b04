// An in-process server on a free port over components whose behaviour the test chooses.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "services/grpc/server.h"
#include "services/remote/remote_apis.h"
#include "services/remote/unavailable.h"
#include "tests/test_util.h"

namespace lastro::services::testing {

inline absl::Status NotHere() { return absl::UnimplementedError("not in this test"); }

// Waits until its context ends, for calls that the test cancels. `started` is called first.
inline absl::Status WaitForEnd(const CallContext& context, const std::function<void()>& started = nullptr) {
  if (started) started();
  while (true) {
    if (absl::Status status = context.Check(); !status.ok()) return status;
    absl::SleepFor(absl::Milliseconds(2));
  }
}

class ScriptedAsk : public AskApi {
 public:
  std::function<absl::StatusOr<v1::Answer>(const v1::AskRequest&, const CallContext&,
                                           const Sink<v1::AskStreamResponse>&)>
      ask;
  absl::StatusOr<v1::Answer> Ask(const v1::AskRequest& request, const CallContext& context,
                                 const Sink<v1::AskStreamResponse>& sink) override {
    return ask(request, context, sink);
  }
};

class ScriptedEmbedding : public EmbeddingApi {
 public:
  std::function<absl::StatusOr<v1::EmbedResponse>(const v1::EmbedRequest&, const CallContext&)> embed;
  absl::StatusOr<v1::EmbedResponse> Embed(const v1::EmbedRequest& request, const CallContext& context) override {
    return embed ? embed(request, context) : NotHere();
  }
  absl::StatusOr<v1::TokenizeTextsResponse> Tokenize(const v1::TokenizeTextsRequest& request,
                                                     const CallContext&) override {
    v1::TokenizeTextsResponse response;
    for (const std::string& text : request.texts()) {
      auto* tokens = response.add_texts();
      tokens->add_begins(0);
      tokens->add_ends(text.size());
    }
    return response;
  }
  absl::StatusOr<v1::ClusterResponse> Cluster(const v1::ClusterRequest& request, const CallContext&) override {
    return absl::InvalidArgumentError(absl::StrCat(request.clusters(), " clusters of nothing"));
  }
};

class ScriptedGeneration : public GenerationApi {
 public:
  std::function<void()> started;
  // A token a word of the prompt's text; "forever" goes on until the context ends.
  absl::StatusOr<v1::GenerateResponse> Generate(const v1::GenerateRequest& request, const CallContext& context,
                                                const Sink<v1::GeneratedToken>& sink) override {
    if (request.prompt().text() == "forever") return WaitForEnd(context, started);
    v1::GenerateResponse response;
    response.set_text(request.prompt().text());
    for (int i = 0; sink && i < request.max_new_tokens(); ++i) {
      v1::GeneratedToken token;
      token.set_id(i);
      if (absl::Status status = sink(token); !status.ok()) return status;
    }
    return response;
  }
  absl::StatusOr<v1::ScoreResponse> Score(const v1::ScoreRequest& request, const CallContext&) override {
    v1::ScoreResponse response;
    for (const std::string& text : request.continuations()) response.add_scores()->set_tokens(text.size());
    return response;
  }
  // The length of each text.
  absl::StatusOr<v1::RerankResponse> Rerank(const v1::RerankRequest& request, const CallContext&) override {
    v1::RerankResponse response;
    for (const std::string& text : request.texts()) response.add_scores(static_cast<double>(text.size()));
    return response;
  }
  // The length of each passage; "wait" goes on until the context ends.
  absl::StatusOr<v1::ReadResponse> Read(const v1::ReadRequest& request, const CallContext& context) override {
    if (request.question() == "wait") return WaitForEnd(context, started);
    if (request.question().empty()) return absl::UnimplementedError("there is no reader here");
    v1::ReadResponse response;
    for (const std::string& text : request.passages()) {
      response.add_readings()->set_relevance(static_cast<double>(text.size()));
    }
    return response;
  }
  absl::StatusOr<v1::CountTokensResponse> CountTokens(const v1::CountTokensRequest&, const CallContext&) override {
    v1::CountTokensResponse response;
    response.set_max_context_tokens(77);
    return response;
  }
};

class ScriptedIngest : public IngestApi {
 public:
  std::function<absl::Status(const v1::GetJobRequest&, const CallContext&, const Sink<v1::Job>&)> watch;
  absl::StatusOr<v1::Job> IngestFolder(const v1::IngestFolderRequest& request, bool sync, const CallContext&) override {
    v1::Job job;
    job.set_folder(request.folder());
    job.set_sync(sync);
    return job;
  }
  absl::StatusOr<v1::UploadResponse> Upload(const v1::UploadRequest::Header& header, const std::string& content,
                                            const CallContext&) override {
    v1::UploadResponse response;
    response.mutable_document()->set_uri(header.uri());
    response.mutable_document()->set_size_bytes(static_cast<int64_t>(content.size()));
    response.mutable_document()->set_title(content.substr(0, 1) + content.substr(content.size() - 1));
    return response;
  }
  // The request comes back in the answer.
  absl::StatusOr<v1::Job> Reembed(const v1::ReembedRequest& request, const CallContext&) override {
    v1::Job job;
    job.set_collection(request.collection());
    job.set_embedding_model(request.model());
    return job;
  }
  absl::StatusOr<v1::Reembedding> GetReembedding(const v1::GetReembeddingRequest& request,
                                                 const CallContext&) override {
    v1::Reembedding state;
    state.set_collection(request.collection());
    return state;
  }
  absl::StatusOr<v1::Reembedding> SwitchEmbedding(const v1::SwitchEmbeddingRequest& request,
                                                  const CallContext&) override {
    v1::Reembedding state;
    state.mutable_searched()->set_fingerprint(request.fingerprint());
    return state;
  }
  absl::StatusOr<v1::Reembedding> FinishReembedding(const v1::FinishReembeddingRequest&, const CallContext&) override {
    return absl::FailedPreconditionError("there are no other vectors");
  }
  absl::StatusOr<v1::Job> GetJob(const v1::GetJobRequest& request, const CallContext&) override {
    return absl::NotFoundError(absl::StrCat("no job '", request.job_id(), "'"));
  }
  absl::StatusOr<v1::ListJobsResponse> ListJobs(const v1::ListJobsRequest&, const CallContext&) override {
    v1::ListJobsResponse response;
    response.add_jobs()->set_id("first");
    return response;
  }
  absl::Status WatchJob(const v1::GetJobRequest& request, const CallContext& context,
                        const Sink<v1::Job>& sink) override {
    return watch ? watch(request, context, sink) : NotHere();
  }
  absl::StatusOr<v1::Job> CancelJob(const v1::GetJobRequest&, const CallContext&) override {
    return absl::FailedPreconditionError("the job has ended");
  }
};

class ScriptedInspect : public InspectApi {
 public:
  absl::StatusOr<v1::TokenizeTextResponse> TokenizeText(const v1::TokenizeTextRequest& request,
                                                        const CallContext&) override {
    v1::TokenizeTextResponse response;
    response.set_model(request.model() == v1::MODEL_ROLE_EMBEDDER ? "embedder" : "decoder");
    return response;
  }
  absl::StatusOr<v1::InspectPromptResponse> InspectPrompt(const v1::InspectPromptRequest&,
                                                          const CallContext&) override {
    v1::InspectPromptResponse response;
    response.set_vocab_size(5);
    return response;
  }
};

class ScriptedModels : public ModelApi {
 public:
  explicit ScriptedModels(std::string name = "tiny") : name_(std::move(name)) {}
  absl::StatusOr<v1::ListModelsResponse> ListModels(const v1::ListModelsRequest&, const CallContext&) override {
    v1::ListModelsResponse response;
    response.add_models()->set_name(name_);
    response.mutable_models(0)->set_fingerprint(name_);
    return response;
  }

 private:
  const std::string name_;
};

// A server over the scripted components, and a channel to it.
class TestServer {
 public:
  ScriptedAsk ask;
  ScriptedEmbedding embedding;
  ScriptedGeneration generation;
  ScriptedIngest ingest;
  ScriptedInspect inspect;
  ScriptedModels models;
  std::unique_ptr<RetrievalApi> retrieval = MakeUnavailableRetrieval(NotHere());
  retrieval::ChunkStore* store = nullptr;
  ServerOptions options;
  EventLog log{LogLevel::kOff, false};

  void Start() {
    const ServedApis apis{.ask = &ask,
                          .embedding = &embedding,
                          .generation = &generation,
                          .ingest = &ingest,
                          .inspect = &inspect,
                          .models = &models,
                          .retrieval = retrieval.get(),
                          .store = store,
                          .healthy_services = {"lastro.v1.AskService"}};
    absl::StatusOr<std::unique_ptr<Server>> started = Server::Start(options, apis, &log);
    ASSERT_TRUE(started.ok()) << started.status();
    server_ = *std::move(started);
  }
  Server& server() { return *server_; }

  std::shared_ptr<RemoteChannel> Channel() {
    return *RemoteChannel::Create({.role = "the tested role", .address = server_->address()});
  }

 private:
  std::unique_ptr<Server> server_;
};

}  // namespace lastro::services::testing
