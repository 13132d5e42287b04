// Round trips: client -> wire -> server -> component and back, for each service; errors, streams, cancels and
// deadlines.
#include "services/remote/remote_apis.h"

#include <thread>

#include "absl/synchronization/notification.h"
#include "services/remote/unavailable.h"
#include "tests/unit/services/answer_fakes.h"
#include "tests/unit/services/grpc_fakes.h"

namespace lastro::services {
namespace {

using ::lastro::services::testing::FakeRetrieval;
using ::lastro::services::testing::TestServer;
using ::lastro::services::testing::WaitForEnd;
using ::lastro::testing::IsOk;
using ::lastro::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(RemoteEmbedding, PassesRequestsResponsesAndErrors) {
  TestServer test;
  test.embedding.embed = [](const v1::EmbedRequest& request, const CallContext&) -> absl::StatusOr<v1::EmbedResponse> {
    if (request.texts_size() == 0) return absl::InvalidArgumentError("no text");
    v1::EmbedResponse response;
    for (const std::string& text : request.texts()) response.add_vectors()->add_values(text.size());
    return response;
  };
  test.Start();
  auto embedding = MakeRemoteEmbedding(test.Channel());
  v1::EmbedRequest request;
  EXPECT_THAT(embedding->Embed(request, CallContext()), StatusIs(absl::StatusCode::kInvalidArgument, "no text"));
  request.add_texts("four");
  request.add_texts("sixsix");
  ASSERT_OK_AND_ASSIGN(v1::EmbedResponse response, embedding->Embed(request, CallContext()));
  ASSERT_EQ(response.vectors_size(), 2);
  EXPECT_THAT(response.vectors(1).values(), ElementsAre(6.0f));
  v1::TokenizeTextsRequest tokenize;
  tokenize.add_texts("four");
  ASSERT_OK_AND_ASSIGN(v1::TokenizeTextsResponse tokens, embedding->Tokenize(tokenize, CallContext()));
  EXPECT_THAT(tokens.texts(0).ends(), ElementsAre(4u));
  v1::ClusterRequest cluster;
  cluster.set_clusters(7);
  EXPECT_THAT(embedding->Cluster(cluster, CallContext()),
              StatusIs(absl::StatusCode::kInvalidArgument, "7 clusters of nothing"));
}

TEST(RemoteEmbedding, PassesThePriority) {
  TestServer test;
  Priority seen = Priority::kInteractive;
  test.embedding.embed = [&](const v1::EmbedRequest&, const CallContext& context) -> absl::StatusOr<v1::EmbedResponse> {
    seen = context.priority();
    return v1::EmbedResponse();
  };
  test.Start();
  auto embedding = MakeRemoteEmbedding(test.Channel());
  for (Priority priority : {Priority::kBackground, Priority::kInteractive}) {
    EXPECT_THAT(embedding->Embed({}, CallContext().WithPriority(priority)), IsOk());
    EXPECT_EQ(seen, priority);
  }
}

TEST(RemoteGeneration, StreamsTokensAndReturnsTheResult) {
  TestServer test;
  test.Start();
  auto generation = MakeRemoteGeneration(test.Channel());
  v1::GenerateRequest request;
  request.mutable_prompt()->set_text("hello");
  request.set_max_new_tokens(4);
  std::vector<int> ids;
  auto sink = [&](const v1::GeneratedToken& token) {
    ids.push_back(token.id());
    return absl::OkStatus();
  };
  ASSERT_OK_AND_ASSIGN(v1::GenerateResponse response, generation->Generate(request, CallContext(), sink));
  EXPECT_EQ(response.text(), "hello");
  EXPECT_THAT(ids, ElementsAre(0, 1, 2, 3));
  ASSERT_OK_AND_ASSIGN(response, generation->Generate(request, CallContext()));
  EXPECT_EQ(response.text(), "hello");
  v1::ScoreRequest score;
  score.add_continuations("abc");
  ASSERT_OK_AND_ASSIGN(v1::ScoreResponse scored, generation->Score(score, CallContext()));
  EXPECT_EQ(scored.scores(0).tokens(), 3);
  ASSERT_OK_AND_ASSIGN(v1::CountTokensResponse counted, generation->CountTokens({}, CallContext()));
  EXPECT_EQ(counted.max_context_tokens(), 77);
}

TEST(RemoteGeneration, PassesReadings) {
  TestServer test;
  test.Start();
  auto generation = MakeRemoteGeneration(test.Channel());
  v1::ReadRequest request;
  request.set_question("How long?");
  request.add_passages("abc");
  request.add_passages("abcde");
  ASSERT_OK_AND_ASSIGN(v1::ReadResponse response, generation->Read(request, CallContext()));
  ASSERT_EQ(response.readings_size(), 2);
  EXPECT_EQ(response.readings(1).relevance(), 5);
  // How Ask learns that there is no reader.
  EXPECT_THAT(generation->Read({}, CallContext()), StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("no reader")));
  request.set_question("wait");
  EXPECT_THAT(generation->Read(request, CallContext::Until(absl::Now() + absl::Milliseconds(50))),
              StatusIs(absl::StatusCode::kDeadlineExceeded, ::testing::_));
}

TEST(RemoteGeneration, AnErrorOfTheSinkEndsTheStream) {
  TestServer test;
  test.Start();
  auto generation = MakeRemoteGeneration(test.Channel());
  v1::GenerateRequest request;
  request.set_max_new_tokens(1'000'000);
  int tokens = 0;
  auto sink = [&](const v1::GeneratedToken&) {
    return ++tokens == 3 ? absl::AbortedError("enough") : absl::OkStatus();
  };
  EXPECT_THAT(generation->Generate(request, CallContext(), sink), StatusIs(absl::StatusCode::kAborted, "enough"));
  EXPECT_EQ(tokens, 3);
}

TEST(RemoteGeneration, CancellationAndDeadlineReachTheServer) {
  TestServer test;
  absl::Notification entered;
  test.generation.started = [&] {
    if (!entered.HasBeenNotified()) entered.Notify();
  };
  test.Start();
  auto generation = MakeRemoteGeneration(test.Channel());
  v1::GenerateRequest request;
  request.mutable_prompt()->set_text("forever");
  CallContext cancelled;
  std::thread canceller([&] {
    entered.WaitForNotification();
    cancelled.Cancel();
  });
  EXPECT_THAT(generation->Generate(request, cancelled), StatusIs(absl::StatusCode::kCancelled, HasSubstr("cancelled")));
  canceller.join();
  auto soon = [] { return CallContext::Until(absl::Now() + absl::Milliseconds(100)); };
  EXPECT_THAT(generation->Generate(request, soon()),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("deadline")));
  auto sink = [](const v1::GeneratedToken&) { return absl::OkStatus(); };
  EXPECT_THAT(generation->Generate(request, soon(), sink),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("deadline")));
  // Both ended at the server too: nothing is left to drain.
  EXPECT_TRUE(test.server().Drain(absl::Seconds(60)));
}

TEST(RemoteAsk, StreamsProgressThenReturnsTheAnswer) {
  TestServer test;
  test.ask.ask = [](const v1::AskRequest& request, const CallContext&,
                    const Sink<v1::AskStreamResponse>& sink) -> absl::StatusOr<v1::Answer> {
    if (request.collection() == "nowhere") return absl::NotFoundError("no collection 'nowhere'");
    for (const char* piece : {"Bal", "last."}) {
      v1::AskStreamResponse event;
      event.set_text_delta(piece);
      absl::Status sent = sink ? sink(event) : absl::OkStatus();
      if (!sent.ok()) return sent;
    }
    v1::Answer answer;
    answer.set_text("Ballast.");
    return answer;
  };
  test.Start();
  auto ask = MakeRemoteAsk(test.Channel());
  std::string shown;
  auto sink = [&](const v1::AskStreamResponse& event) {
    shown += event.text_delta();
    return absl::OkStatus();
  };
  ASSERT_OK_AND_ASSIGN(v1::Answer answer, ask->Ask({}, CallContext(), sink));
  EXPECT_EQ(answer.text(), "Ballast.");
  EXPECT_EQ(shown, "Ballast.");
  ASSERT_OK_AND_ASSIGN(answer, ask->Ask({}, CallContext()));
  EXPECT_EQ(answer.text(), "Ballast.");
  v1::AskRequest nowhere;
  nowhere.set_collection("nowhere");
  EXPECT_THAT(ask->Ask(nowhere, CallContext()), StatusIs(absl::StatusCode::kNotFound, "no collection 'nowhere'"));
  EXPECT_THAT(ask->Ask(nowhere, CallContext(), sink), StatusIs(absl::StatusCode::kNotFound, "no collection 'nowhere'"));
}

TEST(RemoteRetrieval, PassesSearchesSourcesAndErrors) {
  TestServer test;
  auto fake = std::make_unique<FakeRetrieval>();
  fake->Add("a.txt", "ballast", "the ballast tank", 4);
  test.retrieval = std::move(fake);
  test.Start();
  auto retrieval = MakeRemoteRetrieval(test.Channel());
  ASSERT_OK_AND_ASSIGN(v1::SearchResponse found, retrieval->Search({}, CallContext()));
  EXPECT_EQ(found.store_commit(), 42);
  EXPECT_EQ(found.hits(0).document().uri(), "a.txt");
  v1::GetSourceRequest source;
  source.set_document_id("a.txt");
  source.mutable_range()->set_begin(4);
  source.mutable_range()->set_end(11);
  ASSERT_OK_AND_ASSIGN(v1::GetSourceResponse bytes, retrieval->GetSource(source, CallContext()));
  EXPECT_EQ(bytes.content(), "ballast");
  source.set_document_id("b.txt");
  EXPECT_THAT(retrieval->GetSource(source, CallContext()), StatusIs(absl::StatusCode::kNotFound, "gone"));
  const auto fake_error = StatusIs(absl::StatusCode::kUnimplemented, "fake");
  EXPECT_THAT(retrieval->GetDocument({}, CallContext()), fake_error);
  EXPECT_THAT(retrieval->ListDocuments({}, CallContext()), fake_error);
  EXPECT_THAT(retrieval->ListChunks({}, CallContext()), fake_error);
  EXPECT_THAT(retrieval->DeleteDocuments({}, CallContext()), fake_error);
  EXPECT_THAT(retrieval->GetCollection({}, CallContext()), fake_error);
  EXPECT_THAT(retrieval->ListCollections({}, CallContext()), fake_error);
  EXPECT_THAT(retrieval->DeleteCollection({}, CallContext()), fake_error);
}

TEST(RemoteIngest, CutsAndJoinsUploadsAndWatchesJobs) {
  TestServer test;
  test.ingest.watch = [](const v1::GetJobRequest& request, const CallContext&, const Sink<v1::Job>& sink) {
    for (int i = 1; i <= 3; ++i) {
      v1::Job job;
      job.set_id(request.job_id());
      job.set_files_added(i);
      if (absl::Status status = sink(job); !status.ok()) return status;
    }
    return absl::OkStatus();
  };
  test.Start();
  auto ingest = MakeRemoteIngest(test.Channel());
  v1::UploadRequest::Header header;
  header.set_uri("large.txt");
  const std::string content = "a" + std::string(5 << 20, 'x') + "z";
  ASSERT_OK_AND_ASSIGN(v1::UploadResponse uploaded, ingest->Upload(header, content, CallContext()));
  EXPECT_EQ(uploaded.document().uri(), "large.txt");
  EXPECT_EQ(uploaded.document().size_bytes(), static_cast<int64_t>(content.size()));
  EXPECT_EQ(uploaded.document().title(), "az");

  v1::IngestFolderRequest folder;
  folder.set_folder("/docs");
  ASSERT_OK_AND_ASSIGN(v1::Job job, ingest->IngestFolder(folder, true, CallContext()));
  EXPECT_TRUE(job.sync());
  ASSERT_OK_AND_ASSIGN(job, ingest->IngestFolder(folder, false, CallContext()));
  EXPECT_FALSE(job.sync());

  v1::GetJobRequest watched;
  watched.set_job_id("j");
  std::vector<int64_t> added;
  EXPECT_THAT(ingest->WatchJob(watched, CallContext(),
                               [&](const v1::Job& seen) {
                                 added.push_back(seen.files_added());
                                 return absl::OkStatus();
                               }),
              IsOk());
  EXPECT_THAT(added, ElementsAre(1, 2, 3));
  EXPECT_THAT(ingest->GetJob(watched, CallContext()), StatusIs(absl::StatusCode::kNotFound, "no job 'j'"));
  EXPECT_THAT(ingest->CancelJob(watched, CallContext()),
              StatusIs(absl::StatusCode::kFailedPrecondition, "the job has ended"));
  ASSERT_OK_AND_ASSIGN(v1::ListJobsResponse jobs, ingest->ListJobs({}, CallContext()));
  EXPECT_EQ(jobs.jobs(0).id(), "first");
}

TEST(RemoteInspect, PassesRequests) {
  TestServer test;
  test.Start();
  auto inspect = MakeRemoteInspect(test.Channel());
  v1::TokenizeTextRequest request;
  request.set_model(v1::MODEL_ROLE_EMBEDDER);
  ASSERT_OK_AND_ASSIGN(v1::TokenizeTextResponse tokens, inspect->TokenizeText(request, CallContext()));
  EXPECT_EQ(tokens.model(), "embedder");
  ASSERT_OK_AND_ASSIGN(v1::InspectPromptResponse prompt, inspect->InspectPrompt({}, CallContext()));
  EXPECT_EQ(prompt.vocab_size(), 5);
  ASSERT_OK_AND_ASSIGN(v1::ListModelsResponse models, MakeRemoteModels(test.Channel())->ListModels({}, CallContext()));
  EXPECT_EQ(models.models(0).name(), "tiny");
}

TEST(RemoteChannel, NamesRoleAndAddressOfAServerThatIsNotThere) {
  std::string address;
  {
    TestServer gone;
    gone.Start();
    address = gone.server().address();
  }
  ASSERT_OK_AND_ASSIGN(auto channel, RemoteChannel::Create({.role = "the embedding role",
                                                            .address = address,
                                                            .connect_timeout = absl::Milliseconds(200)}));
  EXPECT_THAT(MakeRemoteEmbedding(channel)->Embed({}, CallContext()),
              StatusIs(absl::StatusCode::kUnavailable,
                       HasSubstr(absl::StrCat("the embedding role at ", address, " cannot be reached"))));
  CallContext cancelled;
  cancelled.Cancel();
  EXPECT_THAT(MakeRemoteEmbedding(channel)->Embed({}, cancelled),
              StatusIs(absl::StatusCode::kCancelled, HasSubstr("cancelled")));
}

TEST(RemoteChannel, WaitsForAServerThatStartsLater) {
  TestServer test;
  std::string address;
  {
    TestServer first;
    first.Start();
    address = first.server().address();
  }
  ASSERT_OK_AND_ASSIGN(auto channel,
                       RemoteChannel::Create({.role = "r", .address = address, .connect_timeout = absl::Seconds(60)}));
  std::thread caller([&] { EXPECT_THAT(MakeRemoteModels(channel)->ListModels({}, CallContext()), IsOk()); });
  test.options.listen = address;
  test.Start();
  caller.join();
}

TEST(RemoteChannel, ChecksAddresses) {
  for (const char* good : {"localhost:7420", "127.0.0.1:1", "[::1]:65535"}) EXPECT_THAT(CheckAddress(good), IsOk());
  for (const char* bad : {"", "localhost", ":7420", "host:", "host:0", "host:65536", "host:x", "::1:7420", "a b:1",
                          "http://host:80", "host:-1"}) {
    EXPECT_THAT(CheckAddress(bad), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("HOST:PORT"))) << bad;
  }
  EXPECT_THAT(CheckAddress("127.0.0.1:0", /*min_port=*/0), IsOk());
}

TEST(Unavailable, EveryCallTellsTheReason) {
  const absl::Status reason = absl::UnavailableError("no generation role");
  const auto says = StatusIs(absl::StatusCode::kUnavailable, "no generation role");
  EXPECT_THAT(MakeUnavailableGeneration(reason)->Generate({}, CallContext()), says);
  EXPECT_THAT(MakeUnavailableGeneration(reason)->Read({}, CallContext()), says);
  EXPECT_THAT(MakeUnavailableEmbedding(reason)->Embed({}, CallContext()), says);
  EXPECT_THAT(MakeUnavailableRetrieval(reason)->Search({}, CallContext()), says);
  EXPECT_THAT(MakeUnavailableIngest(reason)->Upload({}, "", CallContext()), says);
  EXPECT_THAT(MakeUnavailableAsk(reason)->Ask({}, CallContext()), says);
  EXPECT_THAT(MakeUnavailableInspect(reason)->InspectPrompt({}, CallContext()), says);
  EXPECT_THAT(MakeUnavailableModel(reason)->ListModels({}, CallContext()), says);
}

}  // namespace
}  // namespace lastro::services
