// A collection on its way to another embedding model, through the ingestion and retrieval services on a real store.
#include <atomic>
#include <fstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "retrieval/sqlite_store.h"
#include "services/eval/model_comparison.h"
#include "services/local/local_services.h"
#include "tests/test_util.h"
#include "tests/unit/services/answer_fakes.h"
#include "tests/unit/services/word_embedding.h"

namespace lastro::services {
namespace {

using lastro::testing::IsOk;
using lastro::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class LocalReembeddingTest : public ::testing::Test {
 protected:
  void SetUp() override { Start(); }
  void TearDown() override {
    embedding_.Unblock();
    embedding_.LetGo();
  }

  // Anew, as after a restart.
  void Start() {
    retrieval_.reset();
    ingest_.reset();
    store_.reset();
    ASSERT_OK_AND_ASSIGN(store_, retrieval::SqliteStore::Open({.folder = data_.path()}));
    ingest_ = MakeLocalIngest(store_.get(), &embedding_, {});
    retrieval_ = MakeLocalRetrieval(store_.get(), &embedding_, &generation_, /*rerank_by_default=*/false);
  }

  absl::Status Upload(const std::string& uri, const std::string& text) {
    v1::UploadRequest::Header header;
    header.set_uri(uri);
    return ingest_->Upload(header, text, CallContext()).status();
  }
  void UploadSome(int count) {
    for (int i = 0; i < count; ++i) {
      ASSERT_THAT(Upload(absl::StrCat("d", i, ".txt"), absl::StrCat("valve number", i, " stays shut\n")), IsOk());
    }
  }

  absl::StatusOr<v1::Job> Reembed(const std::string& model = "other words") {
    v1::ReembedRequest request;
    request.set_model(model);
    return ingest_->Reembed(request, CallContext());
  }
  v1::Job Await(const std::string& id) {
    v1::Job last;
    v1::GetJobRequest request;
    request.set_job_id(id);
    auto keep = [&last](const v1::Job& job) {
      last = job;
      return absl::OkStatus();
    };
    EXPECT_THAT(ingest_->WatchJob(request, CallContext(), keep), IsOk());
    return last;
  }
  v1::Job ReembedWhole() {
    absl::StatusOr<v1::Job> job = Reembed();
    EXPECT_THAT(job, IsOk());
    return job.ok() ? Await(job->id()) : v1::Job();
  }
  absl::StatusOr<v1::Reembedding> Switch(const std::string& fingerprint) {
    v1::SwitchEmbeddingRequest request;
    request.set_fingerprint(fingerprint);
    return ingest_->SwitchEmbedding(request, CallContext());
  }
  v1::Reembedding State() { return ingest_->GetReembedding({}, CallContext()).value(); }

  absl::StatusOr<v1::SearchResponse> Search(const std::string& text, const std::string& fingerprint = "") {
    v1::SearchRequest request;
    request.set_query(text);
    request.set_mode(v1::SearchRequest::DENSE);
    request.set_limit(1);
    request.set_embedding_fingerprint(fingerprint);
    return retrieval_->Search(request, CallContext());
  }
  void ExpectFound(const std::string& text, const std::string& uri, const std::string& model) {
    absl::StatusOr<v1::SearchResponse> response = Search(text);
    ASSERT_THAT(response, IsOk());
    EXPECT_EQ(response->embedding_fingerprint(), model);
    ASSERT_EQ(response->hits_size(), 1);
    EXPECT_EQ(response->hits(0).document().uri(), uri);
    EXPECT_NEAR(response->hits(0).dense_score(), 1, 1e-5);
  }

  lastro::testing::TempFolder data_;
  testing::WordEmbedding embedding_;
  testing::FakeGeneration generation_;
  std::unique_ptr<retrieval::SqliteStore> store_;
  std::unique_ptr<IngestApi> ingest_;
  std::unique_ptr<RetrievalApi> retrieval_;
};

TEST_F(LocalReembeddingTest, FillsSwitchesGoesBackAndFinishes) {
  UploadSome(5);
  v1::Job job = ReembedWhole();
  EXPECT_EQ(job.state(), v1::Job::SUCCEEDED) << job.ShortDebugString();
  EXPECT_EQ(job.embedding_model(), "other words");
  EXPECT_EQ(job.chunks_found(), 5);
  EXPECT_EQ(job.chunks_added(), 5);
  EXPECT_EQ(State().other().vectors(), 5);
  EXPECT_EQ(State().other().bytes(), 5 * testing::WordEmbedding::kOtherDimension * 4);
  ExpectFound("valve number3 stays shut", "d3.txt", "words-1");
  ASSERT_THAT(Switch("words-2"), IsOk());
  ExpectFound("valve number3 stays shut", "d3.txt", "words-2");
  EXPECT_GT(State().searched().since_commit(), State().other().since_commit());
  ASSERT_THAT(Switch("words-1"), IsOk());
  ExpectFound("valve number3 stays shut", "d3.txt", "words-1");
  v1::FinishReembeddingRequest finish;
  finish.set_fingerprint("words-1");
  EXPECT_THAT(ingest_->FinishReembedding(finish, CallContext()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("searched by")));
  finish.set_fingerprint("words-2");
  ASSERT_THAT(ingest_->FinishReembedding(finish, CallContext()), IsOk());
  EXPECT_FALSE(State().has_other());
}

TEST_F(LocalReembeddingTest, WhatComesMeanwhileIsCaughtUpBeforeTheSwitch) {
  UploadSome(3);
  ReembedWhole();
  const int before = embedding_.embedded("words-2");
  ASSERT_THAT(Upload("later.txt", "a later pump\n"), IsOk());
  EXPECT_EQ(embedding_.embedded("words-2"), before);
  ASSERT_THAT(Switch("words-2"), IsOk());
  ExpectFound("a later pump", "later.txt", "words-2");
  // Ingestion goes on by the collection's model.
  ASSERT_THAT(Upload("latest.txt", "the latest hose\n"), IsOk());
  ExpectFound("the latest hose", "latest.txt", "words-2");
  ASSERT_THAT(Switch("words-1"), IsOk());
  ExpectFound("the latest hose", "latest.txt", "words-1");
  EXPECT_THAT(store_->CheckIntegrity(), IsOk());
}

// 100 texts are two batches, of 64 and of 36; the service and each run of a job embed one more to learn of the model.
TEST_F(LocalReembeddingTest, AJobGoesOnAfterARestartWithoutDoingItsWorkAgain) {
  UploadSome(100);
  embedding_.HoldAfter("words-2", 1 + 1 + 64);
  ASSERT_THAT(Reembed(), IsOk());
  embedding_.AwaitBlockedCall();
  EXPECT_EQ(State().other().vectors(), 64);
  EXPECT_THAT(store_->SwitchVectors("default", "words-2"), StatusIs(absl::StatusCode::kAborted, HasSubstr("36 of 100")))
      << "not before it is whole";
  ingest_.reset();
  embedding_.LetGo();
  Start();
  ASSERT_OK_AND_ASSIGN(v1::ListJobsResponse jobs, ingest_->ListJobs({}, CallContext()));
  ASSERT_EQ(jobs.jobs_size(), 1);
  v1::Job job = Await(jobs.jobs(0).id());
  EXPECT_EQ(job.state(), v1::Job::SUCCEEDED) << job.ShortDebugString();
  EXPECT_EQ(job.chunks_reused(), 64);
  EXPECT_EQ(job.chunks_added(), 36);
  EXPECT_EQ(State().other().vectors(), 100);
  EXPECT_EQ(embedding_.embedded("words-2"), 1 + 1 + 64 + 1 + 36);
}

TEST_F(LocalReembeddingTest, AJobCanBeCancelledAndGoneOnWith) {
  UploadSome(100);
  embedding_.HoldAfter("words-2", 1 + 1 + 64);
  ASSERT_OK_AND_ASSIGN(v1::Job job, Reembed());
  embedding_.AwaitBlockedCall();
  // Neither uploads nor folders wait for it.
  ASSERT_THAT(Upload("meanwhile.txt", "another pump\n"), IsOk());
  lastro::testing::TempFolder docs;
  std::ofstream(docs / "f.txt", std::ios::binary) << "one file\n";
  v1::IngestFolderRequest folder;
  folder.set_folder(docs.path());
  EXPECT_EQ(Await(ingest_->IngestFolder(folder, false, CallContext())->id()).state(), v1::Job::SUCCEEDED);
  v1::GetJobRequest cancel;
  cancel.set_job_id(job.id());
  ASSERT_THAT(ingest_->CancelJob(cancel, CallContext()), IsOk());
  EXPECT_EQ(Await(job.id()).state(), v1::Job::CANCELLED);
  EXPECT_EQ(State().other().vectors(), 64) << "what it did stays";
  embedding_.LetGo();
  job = ReembedWhole();
  EXPECT_EQ(job.state(), v1::Job::SUCCEEDED);
  EXPECT_EQ(job.chunks_reused(), 64);
  EXPECT_EQ(job.chunks_added(), 38);
}

TEST_F(LocalReembeddingTest, SearchesGoOnDuringTheSwitches) {
  UploadSome(20);
  ReembedWhole();
  std::atomic<bool> stop = false;
  std::atomic<int> answered = 0;
  std::thread searcher([&] {
    for (int i = 0; !stop && !HasFailure(); ++i, ++answered) {
      absl::StatusOr<v1::SearchResponse> response = Search(absl::StrCat("valve number", i % 20, " stays shut"));
      ASSERT_THAT(response, IsOk());
      ASSERT_EQ(response->hits_size(), 1);
      EXPECT_NEAR(response->hits(0).dense_score(), 1, 1e-5) << "by another model's vectors";
    }
  });
  for (int turn = 0; turn < 30 && !HasFailure(); ++turn) {
    const int before = answered;
    ASSERT_THAT(Switch(turn % 2 == 0 ? "words-2" : "words-1"), IsOk());
    while (answered < before + 2 && !HasFailure()) std::this_thread::yield();
  }
  stop = true;
  searcher.join();
}

TEST_F(LocalReembeddingTest, AFolderJobGoesOnByTheOtherModelAfterTheSwitch) {
  UploadSome(2);
  ReembedWhole();
  lastro::testing::TempFolder docs;
  for (int i = 0; i < 40; ++i) {
    std::ofstream(docs / absl::StrCat("f", i, ".txt"), std::ios::binary) << "file number" << i << " of the folder\n";
  }
  embedding_.Block();
  v1::IngestFolderRequest request;
  request.set_folder(docs.path());
  ASSERT_OK_AND_ASSIGN(v1::Job job, ingest_->IngestFolder(request, false, CallContext()));
  embedding_.AwaitBlockedCall();  // by the old model
  ASSERT_THAT(store_->SwitchVectors("default", "words-2"), IsOk());
  embedding_.Unblock();
  job = Await(job.id());
  EXPECT_EQ(job.state(), v1::Job::SUCCEEDED) << job.ShortDebugString();
  EXPECT_EQ(job.files_added(), 40);
  EXPECT_EQ(job.files_failed(), 0);
  ExpectFound("file number7 of the folder", "f7.txt", "words-2");
  EXPECT_THAT(store_->CheckIntegrity(), IsOk());
}

TEST_F(LocalReembeddingTest, WhatCannotBeIsRefused) {
  UploadSome(2);
  EXPECT_THAT(Reembed(""), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("model is empty")));
  EXPECT_THAT(Reembed("nobody"), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("not here")));
  EXPECT_THAT(Reembed("words"), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("already")));
  EXPECT_THAT(Switch("words-2"), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("no vectors of")));
  EXPECT_THAT(Search("valve", "words-2"), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("no vectors of")));
  // Vectors of a model that cannot embed the queries are not switched to.
  retrieval::VectorSet gone;
  gone.model = "gone";
  gone.fingerprint = "gone-1";
  gone.dimension = 3;
  ASSERT_THAT(store_->BeginReembedding("default", gone), IsOk());
  EXPECT_THAT(Switch("gone-1"), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("not here")));
  v1::ReembedRequest request;
  request.set_model("other words");
  request.set_collection("nowhere");
  EXPECT_THAT(ingest_->Reembed(request, CallContext()), StatusIs(absl::StatusCode::kNotFound, HasSubstr("nowhere")));
}

TEST_F(LocalReembeddingTest, ACallerOfSomeLabelsNeitherStartsNorSeesIt) {
  UploadSome(2);
  ASSERT_OK_AND_ASSIGN(v1::Job job, Reembed());
  Await(job.id());
  Scope scope;
  scope.all_labels = false;
  const CallContext some = CallContext().WithScope(scope);
  auto denied = [](const auto& result) {
    EXPECT_THAT(result, StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("all access labels")));
  };
  v1::ReembedRequest request;
  request.set_model("other words");
  denied(ingest_->Reembed(request, some));
  denied(ingest_->GetReembedding({}, some));
  v1::SwitchEmbeddingRequest change;
  change.set_fingerprint("words-2");
  denied(ingest_->SwitchEmbedding(change, some));
  v1::FinishReembeddingRequest finish;
  finish.set_fingerprint("words-2");
  denied(ingest_->FinishReembedding(finish, some));
  EXPECT_EQ(ingest_->ListJobs({}, some)->jobs_size(), 0);
  v1::SearchRequest search;
  search.set_query("valve");
  search.set_embedding_fingerprint("words-2");
  denied(retrieval_->Search(search, some));
}

TEST_F(LocalReembeddingTest, TheModelsAreComparedOnASample) {
  for (int i = 0; i < 12; ++i) {
    ASSERT_THAT(Upload(absl::StrCat("d", i, ".md"), absl::StrCat("# Chapter number", i, " of it\n\nThe valve number", i,
                                                                 " stays shut at sea. Nobody opens it", i, ".\n")),
                IsOk());
  }
  ReembedWhole();
  ASSERT_OK_AND_ASSIGN(std::vector<eval::ComparedQuery> queries,
                       eval::SampleQueries(*retrieval_, "default", 20, 7, CallContext()));
  EXPECT_GE(queries.size(), 12u);
  for (const eval::ComparedQuery& query : queries) {
    EXPECT_FALSE(query.uri.empty());
    EXPECT_GE(query.text.size(), 8u);
  }
  ASSERT_OK_AND_ASSIGN(v1::ModelComparison comparison,
                       eval::CompareModels(*retrieval_, State(), queries, 7, CallContext()));
  EXPECT_EQ(comparison.model_a(), "words");
  EXPECT_EQ(comparison.model_b(), "other words");
  EXPECT_GT(comparison.overlap(), 0.3);
  EXPECT_LE(comparison.overlap_high(), 1);
  ASSERT_TRUE(comparison.has_known_items());
  for (const v1::EvalComparison::Metric& metric : comparison.known_items().metrics()) {
    EXPECT_GT(metric.a(), 0.5) << metric.name();
    EXPECT_GT(metric.b(), 0.5) << metric.name();
  }
  // A model compared with itself differs in nothing.
  v1::Reembedding same = State();
  *same.mutable_other() = same.searched();
  ASSERT_OK_AND_ASSIGN(comparison, eval::CompareModels(*retrieval_, same, queries, 7, CallContext()));
  EXPECT_EQ(comparison.overlap(), 1);
  for (const v1::EvalComparison::Metric& metric : comparison.known_items().metrics()) {
    EXPECT_EQ(metric.difference(), 0) << metric.name();
  }
  EXPECT_THAT(eval::CompareModels(*retrieval_, State(), {}, 7, CallContext()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no query")));
}

TEST_F(LocalReembeddingTest, ASampleIsNoLargerThanAskedFor) {
  UploadSome(150);
  for (uint64_t seed = 0; seed < 8; ++seed) {
    ASSERT_OK_AND_ASSIGN(std::vector<eval::ComparedQuery> queries,
                         eval::SampleQueries(*retrieval_, "default", 5, seed, CallContext()));
    EXPECT_EQ(queries.size(), 5u) << seed;
  }
  EXPECT_TRUE(eval::SampleQueries(*retrieval_, "default", 0, 1, CallContext())->empty());
}

TEST(ModelComparison, ReadsQueries) {
  auto queries =
      eval::ReadQueries("how is a valve shut\n\n {\"question\": \"by whom\", \"document\": \"a.md\"}\n", "q");
  ASSERT_THAT(queries, IsOk());
  ASSERT_EQ(queries->size(), 2u);
  EXPECT_EQ((*queries)[0].text, "how is a valve shut");
  EXPECT_EQ((*queries)[1].text, "by whom");
  EXPECT_EQ((*queries)[1].uri, "a.md");
  EXPECT_THAT(eval::ReadQueries("{\"document\": \"a.md\"}", "q"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("q line 1")));
  EXPECT_THAT(eval::ReadQueries("{\"question\": 3}", "q"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("q")));
}

}  // namespace
}  // namespace lastro::services
