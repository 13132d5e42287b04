#include "ingest/pipeline.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "base/sentence.h"
#include "ingest/byte_budget.h"
#include "retrieval/source_map.h"
#include "tests/test_util.h"
#include "tests/unit/ingest/fakes.h"

namespace lastro::ingest {
namespace {

using ::lastro::testing::IsOk;
using ::lastro::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class PipelineTest : public ::testing::Test {
 protected:
  PipelineTest() {
    options_.parser_timeout_s = 20;
    request_.collection = "c";
    request_.folder = temp_.path();
  }

  void Write(const std::string& name, const std::string& content) {
    std::filesystem::create_directories(std::filesystem::path(temp_ / name).parent_path());
    std::ofstream(temp_ / name, std::ios::binary) << content;
  }

  absl::StatusOr<retrieval::Job> Run(const CallContext& context = {}, const ProgressSink& progress = nullptr) {
    retrieval::Job job;
    job.id = "job";
    return Pipeline(&store_, &embedder_, options_).IngestFolder(request_, job, context, progress);
  }

  absl::StatusOr<retrieval::Document> Upload(const std::string& uri, const std::string& content,
                                             const std::string& media_type = "") {
    return Pipeline(&store_, &embedder_, options_).IngestUpload({"c", uri, media_type, content, {}}, CallContext());
  }

  lastro::testing::TempFolder temp_;
  FakeStore store_;
  FakeEmbedder embedder_;
  PipelineOptions options_;
  FolderRequest request_;
};

TEST_F(PipelineTest, IngestsAFolder) {
  Write("a.txt", "Some plain text about the sea.");
  Write("sub/b.md", "# Title\n\nThe text of the document is in English.\n");
  request_.given.metadata["team"] = std::string("x");
  ASSERT_OK_AND_ASSIGN(retrieval::Job job, Run());
  EXPECT_EQ(job.state, retrieval::JobState::kSucceeded);
  EXPECT_EQ(job.files_found, 2);
  EXPECT_EQ(job.files_added, 2);
  EXPECT_EQ(job.chunks_added, 2);
  EXPECT_EQ(job.chunks_reused, 0);
  EXPECT_THAT(job.problems, IsEmpty());
  const auto& stored = store_.documents["sub/b.md"];
  EXPECT_EQ(stored.document.title, "Title");
  EXPECT_EQ(stored.document.media_type, "text/markdown");
  EXPECT_EQ(stored.document.language, retrieval::Language::kEnglish);
  EXPECT_EQ(stored.document.metadata, request_.given.metadata);
  EXPECT_EQ(stored.document.content_sha256, Sha256Hex(stored.original));
  EXPECT_THAT(stored.chunks, SizeIs(1));
  EXPECT_THAT(stored.chunks[0].vector, SizeIs(FakeEmbedder::kDimension));
  EXPECT_EQ(store_.documents["a.txt"].document.title, "a");
  EXPECT_EQ(store_.collections["c"].embedding_fingerprint, "fake-1");
  EXPECT_EQ(store_.job_states.front(), retrieval::JobState::kRunning);
  EXPECT_EQ(store_.job_states.back(), retrieval::JobState::kSucceeded);
}

TEST_F(PipelineTest, UnchangedIsSkippedAndChangedReplaced) {
  Write("a.txt", "One.");
  Write("b.txt", "Two.");
  ASSERT_THAT(Run(), IsOk());
  Write("b.txt", "Two, changed.");
  ASSERT_OK_AND_ASSIGN(retrieval::Job job, Run());
  EXPECT_EQ(job.files_unchanged, 1);
  EXPECT_EQ(job.files_updated, 1);
  EXPECT_EQ(job.files_added, 0);
  EXPECT_EQ(store_.documents["b.txt"].chunks[0].text, "Two, changed.");
  EXPECT_EQ(embedder_.texts_embedded, 3);
}

TEST_F(PipelineTest, OtherSettingsOrMetadataIngestAgainWithKnownVectors) {
  Write("a.txt", "One.");
  ASSERT_THAT(Run(), IsOk());
  request_.given.metadata["year"] = 2024.0;
  ASSERT_OK_AND_ASSIGN(retrieval::Job job, Run());
  EXPECT_EQ(job.files_updated, 1);
  EXPECT_EQ(job.chunks_reused, 1);
  EXPECT_EQ(embedder_.texts_embedded, 1);
  options_.chunk_tokens = 100;
  ASSERT_OK_AND_ASSIGN(job, Run());
  EXPECT_EQ(job.files_updated, 1);
}

TEST_F(PipelineTest, EditReembedsOnlyItsSection) {
  auto content = [](const std::string& middle) {
    return "# A\n\nfirst part\n\n# B\n\n" + middle + "\n\n# C\n\nlast part\n";
  };
  Write("a.md", content("middle"));
  ASSERT_THAT(Run(), IsOk());
  Write("a.md", content("changed"));
  ASSERT_OK_AND_ASSIGN(retrieval::Job job, Run());
  EXPECT_EQ(job.chunks_added, 3);
  EXPECT_EQ(job.chunks_reused, 2);
}

TEST_F(PipelineTest, SyncRemovesOnlyWhatVanished) {
  Write("a.txt", "One.");
  Write("b.txt", "Two.");
  Write("c.txt", "Three.");
  ASSERT_THAT(Run(), IsOk());
  ASSERT_THAT(Upload("up.txt", "Uploaded."), IsOk());
  std::filesystem::remove(temp_ / "a.txt");
  Write("b.txt", std::string("bin\0ary", 7));
  ASSERT_OK_AND_ASSIGN(retrieval::Job job, Run());
  EXPECT_EQ(job.files_removed, 0);
  request_.sync = true;
  request_.exclude = {"c.txt"};
  ASSERT_OK_AND_ASSIGN(job, Run());
  EXPECT_EQ(job.files_removed, 1);
  EXPECT_EQ(job.files_failed, 1);
  EXPECT_EQ(store_.Uris(), (std::set<std::string>{"b.txt", "c.txt", "up.txt"}));
}

TEST_F(PipelineTest, ProblemsNeverStopTheRest) {
  Write("binary.txt", std::string("a\0b", 3));
  Write("broken.pdf", "%PDF-1.4 nothing");
  Write("empty.md", "");
  Write("code.cc", "int main() {}");
  Write("large.txt", std::string(3000, 'a'));
  Write("good.txt", "Good.");
  options_.max_file_bytes = 2000;
  ASSERT_OK_AND_ASSIGN(retrieval::Job job, Run());
  EXPECT_EQ(job.state, retrieval::JobState::kSucceeded);
  EXPECT_EQ(job.files_added, 1);
  EXPECT_EQ(job.files_failed, 5);
  EXPECT_EQ(job.files_found, 6);
  std::map<std::string, std::string> reasons;
  for (const auto& problem : job.problems) reasons[problem.uri] = problem.reason;
  EXPECT_THAT(reasons["binary.txt"], HasSubstr("binary"));
  EXPECT_THAT(reasons["code.cc"], HasSubstr("not supported"));
  EXPECT_THAT(reasons["empty.md"], HasSubstr("no readable text"));
  EXPECT_THAT(reasons["large.txt"], HasSubstr("3000 bytes"));
  EXPECT_NE(reasons["broken.pdf"], "");
}

TEST_F(PipelineTest, IncludeNamesOtherTextAndExcludeDrops) {
  Write("code.cc", "int main() {}");
  Write("a.txt", "A.");
  Write("skip/b.cc", "int b;");
  request_.include = {"*.cc"};
  request_.exclude = {"skip/**"};
  ASSERT_OK_AND_ASSIGN(retrieval::Job job, Run());
  EXPECT_EQ(store_.Uris(), (std::set<std::string>{"code.cc"}));
  EXPECT_EQ(job.files_found, 1);
}

TEST_F(PipelineTest, RefusedTextIsAProblemOfItsFileOnly) {
  Write("a.txt", "Fine text.");
  Write("b.txt", "This one has poison inside.");
  Write("c.txt", "Fine too.");
  embedder_.refused_word = "poison";
  ASSERT_OK_AND_ASSIGN(retrieval::Job job, Run());
  EXPECT_EQ(job.files_added, 2);
  ASSERT_THAT(job.problems, SizeIs(1));
  EXPECT_EQ(job.problems[0].uri, "b.txt");
}

TEST_F(PipelineTest, WholeJobErrors) {
  request_.folder = temp_ / "none";
  EXPECT_THAT(Run(), StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
  EXPECT_EQ(store_.jobs["job"].state, retrieval::JobState::kFailed);
  EXPECT_THAT(store_.jobs["job"].error, HasSubstr("none"));
  EXPECT_THAT(store_.collections, IsEmpty());

  request_.folder = temp_.path();
  Write("a.txt", "A.");
  store_.put_status = absl::UnavailableError("disk full");
  EXPECT_THAT(Run(), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("disk full")));
  store_.put_status = absl::OkStatus();
  embedder_.fingerprint = "another";
  EXPECT_THAT(Run(), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("embedding model")));
}

TEST_F(PipelineTest, CancellationKeepsWhatIsCommittedAndTheNextRunGoesOn) {
  constexpr int kFiles = 200;
  for (int i = 0; i < kFiles; ++i) Write(absl::StrCat("f", i, ".txt"), absl::StrCat("Text number ", i, "."));
  CallContext context;
  embedder_.on_embed = [&] {
    if (embedder_.embed_calls == 2) context.Cancel();
  };
  EXPECT_THAT(Run(context), StatusIs(absl::StatusCode::kCancelled, HasSubstr("")));
  EXPECT_EQ(store_.jobs["job"].state, retrieval::JobState::kCancelled);
  int committed = static_cast<int>(store_.documents.size());
  EXPECT_LT(committed, kFiles);
  EXPECT_EQ(store_.jobs["job"].files_added, committed);
  embedder_.on_embed = nullptr;
  ASSERT_OK_AND_ASSIGN(retrieval::Job job, Run());
  EXPECT_EQ(job.files_unchanged, committed);
  EXPECT_EQ(job.files_added, kFiles - committed);
  EXPECT_EQ(store_.documents.size(), static_cast<size_t>(kFiles));
}

TEST_F(PipelineTest, DeadlineStopsTheJob) {
  Write("a.txt", "A.");
  EXPECT_THAT(Run(CallContext::Until(absl::InfinitePast())),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("")));
  EXPECT_EQ(store_.jobs["job"].state, retrieval::JobState::kFailed);
}

TEST_F(PipelineTest, ManyFilesShareBatchesAndLargeFilesTakeSeveral) {
  for (int i = 0; i < 300; ++i) Write(absl::StrCat("f", i, ".txt"), absl::StrCat("Text number ", i, "."));
  std::string large;
  for (int i = 0; i < 20'000; ++i) absl::StrAppend(&large, "Word", i, " is here. ");
  Write("large.txt", large);
  std::vector<retrieval::Job> seen;
  ASSERT_OK_AND_ASSIGN(retrieval::Job job, Run({}, [&](const retrieval::Job& now) { seen.push_back(now); }));
  EXPECT_EQ(job.files_added, 301);
  EXPECT_GT(store_.documents["large.txt"].chunks.size(), 200u);
  ASSERT_FALSE(seen.empty());
  EXPECT_EQ(seen.back().state, retrieval::JobState::kSucceeded);
  EXPECT_EQ(seen.back().files_added, 301);
}

TEST_F(PipelineTest, DocumentsOfOtherOriginsAreNotOverwritten) {
  ASSERT_THAT(Upload("a.txt", "Uploaded."), IsOk());
  Write("a.txt", "From the folder.");
  ASSERT_OK_AND_ASSIGN(retrieval::Job job, Run());
  ASSERT_THAT(job.problems, SizeIs(1));
  EXPECT_THAT(job.problems[0].reason, HasSubstr("upload"));
  EXPECT_EQ(store_.documents["a.txt"].chunks[0].text, "Uploaded.");
}

TEST_F(PipelineTest, AMovedFolderTakesItsDocumentsAlong) {
  Write("old/a.txt", "Text.");
  request_.folder = temp_ / "old";
  ASSERT_THAT(Run(), IsOk());
  std::filesystem::rename(temp_ / "old", temp_ / "new");
  request_.folder = temp_ / "new";
  ASSERT_OK_AND_ASSIGN(retrieval::Job job, Run());
  EXPECT_EQ(job.files_updated, 1);
  EXPECT_THAT(store_.documents["a.txt"].document.origin, HasSubstr("/new"));
}

TEST_F(PipelineTest, Uploads) {
  ASSERT_OK_AND_ASSIGN(retrieval::Document document, Upload("notes/x.md", "# T\n\nText.\n"));
  EXPECT_EQ(document.title, "T");
  EXPECT_EQ(document.origin, "upload");
  ASSERT_OK_AND_ASSIGN(document, Upload("notes/x.md", "# T\n\nText.\n"));
  EXPECT_EQ(store_.puts, 1);
  ASSERT_THAT(Upload("page", "<p>Hi there</p>", "text/html"), IsOk());
  EXPECT_EQ(store_.documents["page"].chunks[0].text, "Hi there");
  EXPECT_THAT(Upload("a.bin", "x"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not supported")));
  EXPECT_THAT(Upload("a.txt", std::string("\0\1", 2)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("binary")));
  EXPECT_THAT(Upload("", "x"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("uri")));
  EXPECT_THAT(Upload("a\nb.txt", "x"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("control")));
}

// Every sentence of the sample documents maps to bytes of its source, and most of them to the very same bytes.
TEST_F(PipelineTest, SampleDocumentsAreReadWithoutProblems) {
  request_.folder = std::string(LASTRO_SOURCE_DIR) + "/deploy/sample";
  if (!std::filesystem::exists(request_.folder)) GTEST_SKIP() << "no sample documents";
  ASSERT_OK_AND_ASSIGN(retrieval::Job job, Run());
  EXPECT_THAT(job.problems, IsEmpty()) << job.problems[0].uri << ": " << job.problems[0].reason;
  EXPECT_GT(job.chunks_added, 0);
  for (const auto& [uri, stored] : store_.documents) {
    EXPECT_NE(stored.document.language, retrieval::Language::kUnknown) << uri;
    EXPECT_FALSE(stored.document.title.empty()) << uri;
    for (const retrieval::Chunk& chunk : stored.chunks) {
      EXPECT_FALSE(chunk.headings.empty()) << uri << ": " << chunk.text;
      for (const TextRange& sentence : SplitSentences(chunk.text)) {
        auto range = retrieval::MapToSource(chunk.segments, sentence.begin, sentence.end);
        ASSERT_TRUE(range.has_value());
        EXPECT_LE(range->end, stored.source().size());
      }
    }
  }
}

TEST(ByteBudgetTest, LargeRequestsWaitForAllAndCloseRefuses) {
  ByteBudget budget(100);
  EXPECT_TRUE(budget.Acquire(1000));  // nothing else in use
  budget.Release(1000);
  EXPECT_TRUE(budget.Acquire(60));
  { ByteLease lease(&budget, 60); }
  EXPECT_TRUE(budget.Acquire(100));
  budget.Close();
  EXPECT_FALSE(budget.Acquire(1));
}

}  // namespace
}  // namespace lastro::ingest
