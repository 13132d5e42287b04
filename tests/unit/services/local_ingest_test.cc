// LocalIngest on a real store in a temporary folder and an embedding that can be held up.
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "lastro/v1/store.pb.h"
#include "retrieval/sqlite_store.h"
#include "services/local/local_services.h"
#include "tests/test_util.h"
#include "tests/unit/services/word_embedding.h"

namespace lastro::services {
namespace {

using lastro::testing::IsOk;
using lastro::testing::StatusIs;
using lastro::testing::TempFolder;
using ::testing::HasSubstr;

class LocalIngestTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(store_, retrieval::SqliteStore::Open({.folder = data_.path()}));
    Start({});
  }
  void TearDown() override { embedding_.Unblock(); }

  void Start(const IngestConfig& config) {
    ingest_.reset();
    ingest_ = MakeLocalIngest(store_.get(), &embedding_, config);
  }

  void WriteDocument(const std::string& name, const std::string& text) {
    std::ofstream(docs_ / name, std::ios::binary) << text;
  }

  absl::StatusOr<v1::Job> Ingest(const std::string& folder, const std::string& collection = "") {
    v1::IngestFolderRequest request;
    request.set_folder(folder);
    request.set_collection(collection);
    return ingest_->IngestFolder(request, /*sync=*/false, CallContext());
  }

  // The job when it has ended.
  v1::Job Await(const std::string& id) {
    v1::Job last;
    auto keep = [&last](const v1::Job& job) {
      last = job;
      return absl::OkStatus();
    };
    EXPECT_THAT(ingest_->WatchJob(Request(id), CallContext(), keep), IsOk());
    return last;
  }

  static v1::GetJobRequest Request(const std::string& id) {
    v1::GetJobRequest request;
    request.set_job_id(id);
    return request;
  }

  retrieval::JobState StoredState(const std::string& id) {
    absl::StatusOr<retrieval::Job> job = store_->GetJob(id);
    EXPECT_THAT(job, IsOk());
    return job.ok() ? job->state : retrieval::JobState::kFailed;
  }

  TempFolder data_;
  TempFolder docs_;
  testing::WordEmbedding embedding_;
  std::unique_ptr<retrieval::SqliteStore> store_;
  std::unique_ptr<IngestApi> ingest_;
};

TEST_F(LocalIngestTest, AFolderBecomesDocuments) {
  WriteDocument("a.txt", "The harbour opens at six.\n");
  WriteDocument("b.md", "# Valves\n\nOpen them slowly.\n");
  ASSERT_OK_AND_ASSIGN(v1::Job queued, Ingest(docs_.path()));
  EXPECT_EQ(queued.state(), v1::Job::QUEUED);
  EXPECT_EQ(queued.collection(), "default");
  v1::Job ended = Await(queued.id());
  EXPECT_EQ(ended.state(), v1::Job::SUCCEEDED) << ended.ShortDebugString();
  EXPECT_EQ(ended.files_added(), 2);
  EXPECT_EQ(ended.folder(), std::filesystem::canonical(docs_.path()).string());
  EXPECT_THAT(store_->FindDocument("default", "a.txt"), IsOk());
  ASSERT_OK_AND_ASSIGN(v1::ListJobsResponse jobs, ingest_->ListJobs(v1::ListJobsRequest(), CallContext()));
  ASSERT_EQ(jobs.jobs_size(), 1);
  EXPECT_EQ(jobs.jobs(0).id(), queued.id());
}

TEST_F(LocalIngestTest, AJobWorksInTheScopeOfItsCallerAlsoAfterARestart) {
  WriteDocument("a.txt", "the blue valve\n");
  Scope scope;
  scope.tenant = "acme";
  scope.all_labels = false;
  scope.labels = {"hr"};
  const CallContext caller = CallContext().WithScope(scope);
  v1::IngestFolderRequest request;
  request.set_folder(docs_.path());
  request.add_labels("board");
  EXPECT_THAT(ingest_->IngestFolder(request, false, caller),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("label")));
  request.set_labels(0, "hr");
  embedding_.Block();
  ASSERT_OK_AND_ASSIGN(v1::Job job, ingest_->IngestFolder(request, false, caller));
  EXPECT_EQ(job.collection(), "default");
  embedding_.AwaitBlockedCall();
  ingest_.reset();
  embedding_.Unblock();
  Start({});
  v1::Job last;
  auto keep = [&last](const v1::Job& now) {
    last = now;
    return absl::OkStatus();
  };
  ASSERT_THAT(ingest_->WatchJob(Request(job.id()), caller, keep), IsOk());
  EXPECT_EQ(last.state(), v1::Job::SUCCEEDED) << last.error();
  EXPECT_THAT(ingest_->GetJob(Request(job.id()), CallContext()), StatusIs(absl::StatusCode::kNotFound, HasSubstr("job")));
  EXPECT_THAT(ingest_->CancelJob(Request(job.id()), CallContext()),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("job")));
  EXPECT_EQ(ingest_->ListJobs({}, CallContext())->jobs_size(), 0);
  EXPECT_THAT(store_->GetCollection("default"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("default")));
  ASSERT_OK_AND_ASSIGN(retrieval::Document document, store_->FindDocument("acme/default", "a.txt"));
  EXPECT_EQ(document.labels, scope.labels);
}

// Other labels are a change, whatever the bytes.
TEST_F(LocalIngestTest, OtherLabelsTakeEffectOnUnchangedFiles) {
  WriteDocument("a.txt", "the blue valve\n");
  v1::IngestFolderRequest request;
  request.set_folder(docs_.path());
  ASSERT_OK_AND_ASSIGN(v1::Job job, ingest_->IngestFolder(request, false, CallContext()));
  EXPECT_EQ(Await(job.id()).files_added(), 1);
  request.add_labels("hr");
  ASSERT_OK_AND_ASSIGN(job, ingest_->IngestFolder(request, false, CallContext()));
  EXPECT_EQ(Await(job.id()).files_updated(), 1);
  EXPECT_EQ(store_->FindDocument("default", "a.txt")->labels, (std::vector<std::string>{"hr"}));
}

TEST_F(LocalIngestTest, JobsRunOneAfterTheOther) {
  WriteDocument("a.txt", "One.\n");
  embedding_.Block();
  ASSERT_OK_AND_ASSIGN(v1::Job first, Ingest(docs_.path(), "one"));
  ASSERT_OK_AND_ASSIGN(v1::Job second, Ingest(docs_.path(), "two"));
  embedding_.AwaitBlockedCall();
  EXPECT_EQ(StoredState(first.id()), retrieval::JobState::kRunning);
  EXPECT_EQ(StoredState(second.id()), retrieval::JobState::kQueued);
  embedding_.Unblock();
  EXPECT_EQ(Await(second.id()).state(), v1::Job::SUCCEEDED);
  EXPECT_EQ(StoredState(first.id()), retrieval::JobState::kSucceeded);
}

TEST_F(LocalIngestTest, FoldersThatCannotBeIngested) {
  EXPECT_THAT(Ingest(""), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("folder is empty")));
  EXPECT_THAT(Ingest("/no/such/folder"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("/no/such/folder")));
  WriteDocument("a.txt", "One.\n");
  EXPECT_THAT(Ingest(docs_ / "a.txt"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("is not a folder")));
  EXPECT_THAT(Ingest(docs_.path(), "Bad Name"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("collection name")));
}

TEST_F(LocalIngestTest, FoldersMayBeForbidden) {
  IngestConfig config;
  config.allow_folders = false;
  Start(config);
  EXPECT_THAT(Ingest(docs_.path()), StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("upload")));
}

TEST_F(LocalIngestTest, FoldersMustLieBelowTheAllowedRoot) {
  std::filesystem::create_directory(docs_ / "inner");
  std::filesystem::create_directory(docs_ / "inner2");
  std::filesystem::create_directory_symlink(docs_ / "inner2", docs_ / "inner/link");
  for (const char* root : {"inner", "inner/", "inner2/../inner"}) {
    IngestConfig config;
    config.allowed_folder_root = docs_ / root;
    Start(config);
    EXPECT_THAT(Ingest(docs_ / "inner"), IsOk()) << root;
    for (const char* outside : {"inner2", "inner/..", "inner/link", ""}) {
      EXPECT_THAT(Ingest(docs_ / outside), StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("is not below")))
          << root << " " << outside;
    }
  }
}

TEST_F(LocalIngestTest, ARunningJobCanBeCancelled) {
  WriteDocument("a.txt", "One.\n");
  embedding_.Block();
  ASSERT_OK_AND_ASSIGN(v1::Job job, Ingest(docs_.path()));
  embedding_.AwaitBlockedCall();
  EXPECT_THAT(ingest_->CancelJob(Request(job.id()), CallContext()), IsOk());
  EXPECT_EQ(Await(job.id()).state(), v1::Job::CANCELLED);
  embedding_.Unblock();
  // Once a later job runs, the worker has let go of this one.
  ASSERT_OK_AND_ASSIGN(v1::Job next, Ingest(docs_.path()));
  EXPECT_EQ(Await(next.id()).state(), v1::Job::SUCCEEDED);
  EXPECT_THAT(ingest_->CancelJob(Request(job.id()), CallContext()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(job.id())));
  EXPECT_EQ(StoredState(job.id()), retrieval::JobState::kCancelled);
}

TEST_F(LocalIngestTest, AQueuedJobCanBeCancelled) {
  WriteDocument("a.txt", "One.\n");
  embedding_.Block();
  ASSERT_OK_AND_ASSIGN(v1::Job first, Ingest(docs_.path(), "one"));
  ASSERT_OK_AND_ASSIGN(v1::Job second, Ingest(docs_.path(), "two"));
  embedding_.AwaitBlockedCall();
  ASSERT_OK_AND_ASSIGN(v1::Job cancelled, ingest_->CancelJob(Request(second.id()), CallContext()));
  EXPECT_EQ(cancelled.state(), v1::Job::CANCELLED);
  embedding_.Unblock();
  EXPECT_EQ(Await(first.id()).state(), v1::Job::SUCCEEDED);
  EXPECT_EQ(StoredState(second.id()), retrieval::JobState::kCancelled);
  EXPECT_THAT(store_->GetCollection("two"), StatusIs(absl::StatusCode::kNotFound, ::testing::_));
}

TEST_F(LocalIngestTest, UnknownJobs) {
  auto ignore = [](const v1::Job&) { return absl::OkStatus(); };
  EXPECT_THAT(ingest_->GetJob(Request("nope"), CallContext()), StatusIs(absl::StatusCode::kNotFound, ::testing::_));
  EXPECT_THAT(ingest_->CancelJob(Request("nope"), CallContext()), StatusIs(absl::StatusCode::kNotFound, ::testing::_));
  EXPECT_THAT(ingest_->WatchJob(Request("nope"), CallContext(), ignore),
              StatusIs(absl::StatusCode::kNotFound, ::testing::_));
}

TEST_F(LocalIngestTest, AWatcherMayLeave) {
  WriteDocument("a.txt", "One.\n");
  embedding_.Block();
  ASSERT_OK_AND_ASSIGN(v1::Job job, Ingest(docs_.path()));
  CallContext context;
  auto leave = [&context](const v1::Job&) {
    context.Cancel();
    return absl::OkStatus();
  };
  EXPECT_THAT(ingest_->WatchJob(Request(job.id()), context, leave),
              StatusIs(absl::StatusCode::kCancelled, ::testing::_));
  auto refuse = [](const v1::Job&) { return absl::DataLossError("enough"); };
  EXPECT_THAT(ingest_->WatchJob(Request(job.id()), CallContext(), refuse),
              StatusIs(absl::StatusCode::kDataLoss, "enough"));
}

TEST_F(LocalIngestTest, AJobThatAStopInterruptedGoesOn) {
  WriteDocument("a.txt", "One.\n");
  embedding_.Block();
  ASSERT_OK_AND_ASSIGN(v1::Job running, Ingest(docs_.path(), "one"));
  ASSERT_OK_AND_ASSIGN(v1::Job queued, Ingest(docs_.path(), "two"));
  embedding_.AwaitBlockedCall();
  ingest_.reset();
  EXPECT_EQ(StoredState(running.id()), retrieval::JobState::kQueued);
  EXPECT_EQ(StoredState(queued.id()), retrieval::JobState::kQueued);
  embedding_.Unblock();
  Start({});
  EXPECT_EQ(Await(running.id()).state(), v1::Job::SUCCEEDED);
  EXPECT_EQ(Await(queued.id()).state(), v1::Job::SUCCEEDED);
}

TEST_F(LocalIngestTest, AJobThatACrashInterruptedGoesOn) {
  WriteDocument("a.txt", "One.\n");
  ingest_.reset();
  v1::FolderJob asked;
  asked.mutable_request()->set_folder(docs_.path());
  retrieval::Job job;
  job.id = "crashed";
  job.state = retrieval::JobState::kRunning;
  job.collection = "default";
  job.request = asked.SerializeAsString();
  ASSERT_THAT(store_->PutJob(job), IsOk());
  Start({});
  v1::Job ended = Await("crashed");
  EXPECT_EQ(ended.state(), v1::Job::SUCCEEDED);
  EXPECT_EQ(ended.files_added(), 1);
}

TEST_F(LocalIngestTest, ACancelIsNotUndoneByAStop) {
  WriteDocument("a.txt", "One.\n");
  embedding_.Block();
  ASSERT_OK_AND_ASSIGN(v1::Job job, Ingest(docs_.path()));
  embedding_.AwaitBlockedCall();
  EXPECT_THAT(ingest_->CancelJob(Request(job.id()), CallContext()), IsOk());
  ingest_.reset();
  EXPECT_EQ(StoredState(job.id()), retrieval::JobState::kCancelled);
}

TEST_F(LocalIngestTest, WithoutResumeNothingIsTouched) {
  ingest_.reset();
  retrieval::Job job;
  job.id = "old";
  job.collection = "default";
  ASSERT_THAT(store_->PutJob(job), IsOk());
  IngestConfig config;
  config.resume_jobs = false;
  Start(config);
  ASSERT_OK_AND_ASSIGN(v1::Job next, Ingest(docs_.path()));
  EXPECT_EQ(Await(next.id()).state(), v1::Job::SUCCEEDED);
  EXPECT_EQ(StoredState("old"), retrieval::JobState::kQueued);
}

TEST_F(LocalIngestTest, AStoredRequestThatIsDamagedFails) {
  ingest_.reset();
  retrieval::Job job;
  job.id = "damaged";
  job.collection = "default";
  job.request = "\xff\xff\xff";
  ASSERT_THAT(store_->PutJob(job), IsOk());
  Start({});
  v1::Job ended = Await("damaged");
  EXPECT_EQ(ended.state(), v1::Job::FAILED);
  EXPECT_THAT(ended.error(), HasSubstr("damaged"));
}

TEST_F(LocalIngestTest, AnEndlessQueueIsRefused) {
  WriteDocument("a.txt", "One.\n");
  embedding_.Block();
  ASSERT_THAT(Ingest(docs_.path()), IsOk());
  embedding_.AwaitBlockedCall();
  for (int i = 0; i < 100; ++i) ASSERT_THAT(Ingest(docs_.path()), IsOk());
  EXPECT_THAT(Ingest(docs_.path()), StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("100 jobs are waiting")));
}

TEST_F(LocalIngestTest, AFailedJobSaysWhy) {
  retrieval::Collection other{"other", "another", "another-1", 8, absl::Now(), 0, 0};
  ASSERT_THAT(store_->CreateCollection(other), IsOk());
  ASSERT_OK_AND_ASSIGN(v1::Job job, Ingest(docs_.path(), "other"));
  v1::Job ended = Await(job.id());
  EXPECT_EQ(ended.state(), v1::Job::FAILED);
  EXPECT_THAT(ended.error(), HasSubstr("another"));
}

TEST_F(LocalIngestTest, Upload) {
  v1::UploadRequest::Header header;
  header.set_uri("notes/a.txt");
  (*header.mutable_metadata())["kind"].set_string_value("note");
  ASSERT_OK_AND_ASSIGN(v1::UploadResponse response, ingest_->Upload(header, "The valve is blue.\n", CallContext()));
  EXPECT_EQ(response.document().uri(), "notes/a.txt");
  EXPECT_EQ(response.document().collection(), "default");
  EXPECT_EQ(response.document().origin(), "upload");
  EXPECT_EQ(response.document().size_bytes(), 19);
  EXPECT_EQ(response.document().metadata().at("kind").string_value(), "note");
}

TEST_F(LocalIngestTest, UploadsThatCannotBeRead) {
  v1::UploadRequest::Header header;
  EXPECT_THAT(ingest_->Upload(header, "text", CallContext()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("uri")));
  header.set_uri("a.txt");
  (*header.mutable_metadata())["empty"];
  EXPECT_THAT(ingest_->Upload(header, "text", CallContext()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("metadata.empty")));
  header.clear_metadata();
  header.set_uri("a.exe");
  EXPECT_THAT(ingest_->Upload(header, std::string("MZ\0\1\2", 5), CallContext()),
              StatusIs(absl::StatusCode::kInvalidArgument, ::testing::_));
  header.set_uri("big.txt");
  IngestConfig config;
  config.max_file_bytes = 10;
  Start(config);
  EXPECT_THAT(ingest_->Upload(header, "more than ten bytes", CallContext()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("19 bytes")));
}

}  // namespace
}  // namespace lastro::services
