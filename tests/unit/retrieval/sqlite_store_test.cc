// What is the SQLite store's own; what every store promises is in tests/unit/services/store_conformance_test.cc.
#include "retrieval/sqlite_store.h"

#include <unistd.h>

#include <limits>

#include "retrieval/document_table.h"
#include "tests/unit/retrieval/store_fixture.h"

namespace lastro::retrieval::testing {
namespace {

using lastro::testing::IsOk;
using lastro::testing::StatusIs;
using ::testing::_;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(StoreTest, RefusesASecondWriterWithItsPid) {
  SqliteStoreOptions options;
  options.folder = folder_.path();
  EXPECT_THAT(SqliteStore::Open(options),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("pid " + std::to_string(getpid()))));
}

TEST_F(StoreTest, SharesContentsAndForgetsTheUnused) {
  ASSERT_THAT(Put(*store_, "a", {"same"}), IsOk());
  ASSERT_OK_AND_ASSIGN(Document b, Put(*store_, "b", {"same"}));
  ASSERT_THAT(store_->DeleteDocuments(kCollection, {DocumentId(kCollection, "a")}), IsOk());
  EXPECT_EQ(store_->ReadOriginal(kCollection, b.id).value(), "same\n");
  ASSERT_THAT(Put(*store_, "b", {"other"}), IsOk());
  EXPECT_EQ(store_->ReadOriginal(kCollection, b.id).value(), "other\n");
  EXPECT_THAT(store_->CheckIntegrity(), IsOk());  // reports contents without documents
}

TEST_F(StoreTest, EachChangeIsOneCommit) {
  const int64_t before = store_->commit();
  ASSERT_THAT(Put(*store_, "a", {"alpha one", "alpha two"}), IsOk());
  EXPECT_EQ(store_->commit(), before + 1);
  ASSERT_THAT(Put(*store_, "a", {"beta"}), IsOk());
  EXPECT_EQ(store_->commit(), before + 2);
  EXPECT_EQ(store_->DeleteDocuments(kCollection, {"unknown"}).value(), 0);
  EXPECT_EQ(store_->commit(), before + 2);
}

TEST_F(StoreTest, DeletesFromTheIndexAtOnce) {
  ASSERT_THAT(Put(*store_, "gone", {"the vanishing chunk"}), IsOk());
  ASSERT_THAT(Put(*store_, "stays", {"the staying chunk"}), IsOk());
  ASSERT_THAT(store_->Flush(), IsOk());
  EXPECT_EQ(store_->DeleteDocuments(kCollection, {DocumentId(kCollection, "gone")}).value(), 1);
  for (SearchMode mode : {SearchMode::kDense, SearchMode::kHybrid}) {
    EXPECT_THAT(Found(*store_, mode, "the vanishing chunk"), ElementsAre("the staying chunk"));
  }
}

TEST_F(StoreTest, DeletesCollectionsWithTheirFiles) {
  ASSERT_THAT(Put(*store_, "a", {"shared text"}), IsOk());
  ASSERT_THAT(store_->Flush(), IsOk());
  EXPECT_TRUE(std::filesystem::exists(folder_ / "index/1"));
  ASSERT_THAT(store_->DeleteCollection(kCollection), IsOk());
  EXPECT_FALSE(std::filesystem::exists(folder_ / "index/1"));
  EXPECT_THAT(store_->CheckIntegrity(), IsOk());
}

TEST_F(StoreTest, RefusesWhatIsNotSane) {
  auto invalid = [&](TestDocument test, const char* message) {
    EXPECT_THAT(Put(*store_, test), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)));
  };
  const TestDocument good = MakeDocument("a", {"some text"});
  TestDocument bad = good;
  bad.chunks[0].segments[0].source_begin = std::numeric_limits<uint64_t>::max();
  invalid(bad, "leaves the source");
  bad = good;
  bad.chunks[0].segments = {{0, 4, 1, 4, true}};
  invalid(bad, "differs from the source");
  bad = good;
  bad.chunks[0].segments = {{3, 2, 3, 2, true}, {0, 2, 0, 2, true}};
  invalid(bad, "not in order");
  for (std::vector<NamedCell> cells :
       {std::vector<NamedCell>{{5, 9, "a"}, {0, 4, "b"}}, std::vector<NamedCell>{{0, 4, "a"}, {3, 9, "b"}},
        std::vector<NamedCell>{{5, 10, "a"}}, std::vector<NamedCell>{{5, 5, "a"}}}) {
    bad = good;
    bad.chunks[0].cells = std::move(cells);
    invalid(bad, "cells");
  }
  bad = good;
  bad.chunks[0].ordinal = 1;
  invalid(bad, "ordinal");
  bad = good;
  bad.document.uri = std::string(4097, 'u');
  invalid(bad, "uri");
  bad = good;
  bad.document.uri = "";
  invalid(bad, "no uri");
  bad = good;
  bad.document.metadata["x"] = std::numeric_limits<double>::infinity();
  invalid(bad, "finite");
  bad = good;
  bad.chunks[0].vector.pop_back();
  EXPECT_THAT(Put(*store_, bad), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("dimension")));
  EXPECT_EQ(store_->GetCollection(kCollection)->documents, 0);
}

TEST_F(StoreTest, KeepsRequestsOfJobsByteForByte) {
  Job job;
  job.id = "job-1";
  job.collection = kCollection;
  job.request = std::string("\0\x01", 2);
  job.files_failed = 3;
  job.problems = {{"a.pdf", "encrypted"}};
  ASSERT_THAT(store_->PutJob(job), IsOk());
  Reopen();
  ASSERT_OK_AND_ASSIGN(Job read, store_->GetJob("job-1"));
  EXPECT_EQ(read.request, job.request);
  EXPECT_EQ(read.problems[0].reason, "encrypted");
  EXPECT_EQ(read.files_failed, 3);
  job.id = "";
  EXPECT_THAT(store_->PutJob(job), StatusIs(absl::StatusCode::kInvalidArgument, _));
}

}  // namespace
}  // namespace lastro::retrieval::testing
