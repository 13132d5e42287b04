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
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

TEST_F(StoreTest, RefusesASecondWriterWithItsPid) {
  SqliteStoreOptions options;
  options.folder = folder_.path();
  EXPECT_THAT(SqliteStore::Open(options),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("pid " + std::to_string(getpid()))));
}

TEST_F(StoreTest, KeepsCollections) {
  EXPECT_THAT(store_->CreateCollection(MakeCollection()), StatusIs(absl::StatusCode::kAlreadyExists, _));
  EXPECT_THAT(store_->CreateCollection(MakeCollection("Bad Name")), StatusIs(absl::StatusCode::kInvalidArgument, _));
  EXPECT_THAT(store_->CreateCollection(MakeCollection("x", "f", 0)), StatusIs(absl::StatusCode::kInvalidArgument, _));
  EXPECT_THAT(store_->CreateCollection(MakeCollection("x", "")), StatusIs(absl::StatusCode::kInvalidArgument, _));
  ASSERT_THAT(store_->CreateCollection(MakeCollection("archive")), IsOk());
  ASSERT_OK_AND_ASSIGN(std::vector<Collection> all, store_->ListCollections());
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].name, "archive");
  EXPECT_THAT(store_->GetCollection("nope"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("nope")));
}

TEST_F(StoreTest, KeepsDocumentsWhole) {
  TestDocument test = MakeDocument("a/b.md", {"first text", "second text"});
  test.document.title = "Title";
  test.document.language = Language::kEnglish;
  test.document.origin = "/home/x";
  test.document.pipeline = "p1";
  test.document.modified_at = absl::FromUnixNanos(1234567890123456789);
  test.document.metadata = {{"year", 2024.0}, {"ok", true}, {"team", std::string("x")}};
  test.chunks[1].headings = {"Chapter", "Section\nwith newline"};
  int64_t before = store_->commit();
  ASSERT_OK_AND_ASSIGN(Document stored, Put(*store_, test));
  EXPECT_EQ(store_->commit(), before + 1);
  Reopen();
  ASSERT_OK_AND_ASSIGN(Document read, store_->GetDocument(kCollection, stored.id));
  EXPECT_EQ(read.uri, "a/b.md");
  EXPECT_EQ(read.id, DocumentId(kCollection, "a/b.md"));
  EXPECT_EQ(read.metadata, test.document.metadata);
  EXPECT_EQ(read.modified_at, test.document.modified_at);
  EXPECT_EQ(read.ingested_at, stored.ingested_at);
  EXPECT_EQ(read.content_sha256, Sha256Hex(test.original));
  EXPECT_EQ(read.source_sha256, read.content_sha256);
  EXPECT_EQ(read.size_bytes, test.original.size());
  EXPECT_EQ(read.chunk_count, 2);
  ASSERT_OK_AND_ASSIGN(std::vector<Chunk> chunks, store_->GetChunks(kCollection, stored.id, true));
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_EQ(chunks[1].text, "second text");
  EXPECT_EQ(chunks[1].headings, test.chunks[1].headings);
  EXPECT_EQ(chunks[1].vector, test.chunks[1].vector);
  EXPECT_EQ(chunks[1].document_id, stored.id);
  EXPECT_EQ(chunks[1].segments[0].source_begin, 11u);
  EXPECT_THAT(store_->ReadOriginal(kCollection, stored.id).value(), test.original);
  EXPECT_THAT(store_->ReadSource(kCollection, stored.id, 11, 17).value(), "second");
  EXPECT_THAT(store_->ReadSource(kCollection, stored.id, 11, 9999).value(), "second text\n");
  EXPECT_THAT(store_->ReadSource(kCollection, stored.id, 9999, 99999), StatusIs(absl::StatusCode::kInvalidArgument, _));
  EXPECT_THAT(store_->CheckIntegrity(), IsOk());
}

TEST_F(StoreTest, KeepsExtractedTextBesideTheOriginal) {
  TestDocument test = MakeDocument("x.pdf", {"extracted words"});
  test.document.source_kind = SourceKind::kExtractedText;
  ASSERT_OK_AND_ASSIGN(Document stored,
                       store_->PutDocument(test.document, kFingerprint, test.chunks, "%PDF-1.4 bytes", test.original));
  EXPECT_THAT(store_->ReadOriginal(kCollection, stored.id).value(), "%PDF-1.4 bytes");
  EXPECT_THAT(store_->ReadSource(kCollection, stored.id, 0, 9).value(), "extracted");
  EXPECT_EQ(stored.source_sha256, Sha256Hex(test.original));
  EXPECT_THAT(store_->CheckIntegrity(), IsOk());
}

TEST_F(StoreTest, ReadsRangesOfLargeContents) {
  std::mt19937_64 random = lastro::testing::SeededRandom(5);
  TestDocument test = MakeDocument("big", {"x"});
  for (int i = 0; i < 150000; ++i) test.original += std::to_string(random()) + (i % 3 ? " " : "\n");
  ASSERT_OK_AND_ASSIGN(Document stored, Put(*store_, test));
  for (auto [begin, end] : {std::pair<uint64_t, uint64_t>{0, 1},
                            {262143, 262145},
                            {100, 1000000},
                            {262144, 524288},
                            {test.original.size() - 1, test.original.size()},
                            {7, 7}}) {
    EXPECT_EQ(store_->ReadSource(kCollection, stored.id, begin, end).value(), test.original.substr(begin, end - begin));
  }
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

TEST_F(StoreTest, ReplacesADocumentInOneCommit) {
  ASSERT_OK_AND_ASSIGN(Document first, Put(*store_, "a", {"alpha one", "alpha two"}));
  ASSERT_OK_AND_ASSIGN(std::vector<Chunk> old_chunks, store_->GetChunks(kCollection, first.id, false));
  ASSERT_OK_AND_ASSIGN(Document second, Put(*store_, "a", {"beta"}));
  EXPECT_EQ(first.id, second.id);
  ASSERT_OK_AND_ASSIGN(std::vector<Chunk> chunks, store_->GetChunks(kCollection, first.id, false));
  ASSERT_EQ(chunks.size(), 1u);
  EXPECT_GT(chunks[0].id, old_chunks.back().id);
  EXPECT_THAT(Found(*store_, SearchMode::kLexical, "alpha"), IsEmpty());
  EXPECT_THAT(Found(*store_, SearchMode::kDense, "alpha one"), ElementsAre("beta"));
  EXPECT_EQ(store_->GetCollection(kCollection)->chunks, 1);
}

TEST_F(StoreTest, DeletesFromEverySearchAtOnce) {
  for (bool indexed : {false, true}) {
    ASSERT_THAT(Put(*store_, "gone", {"the vanishing chunk"}), IsOk());
    ASSERT_THAT(Put(*store_, "stays", {"the staying chunk"}), IsOk());
    if (indexed) {
      ASSERT_THAT(store_->Flush(), IsOk());
    }
    EXPECT_EQ(store_->DeleteDocuments(kCollection, {DocumentId(kCollection, "gone"), "unknown"}).value(), 1);
    for (SearchMode mode : {SearchMode::kDense, SearchMode::kLexical, SearchMode::kHybrid}) {
      EXPECT_THAT(Found(*store_, mode, "the vanishing chunk"), ElementsAre("the staying chunk"));
    }
  }
  int64_t commit = store_->commit();
  EXPECT_EQ(store_->DeleteDocuments(kCollection, {"unknown"}).value(), 0);
  EXPECT_EQ(store_->commit(), commit);
}

TEST_F(StoreTest, DeletesCollectionsWithTheirFiles) {
  ASSERT_THAT(store_->CreateCollection(MakeCollection("other")), IsOk());
  TestDocument other = MakeDocument("o", {"shared text"}, "other");
  ASSERT_THAT(Put(*store_, other), IsOk());
  ASSERT_THAT(Put(*store_, "a", {"shared text"}), IsOk());
  ASSERT_THAT(store_->Flush(), IsOk());
  EXPECT_TRUE(std::filesystem::exists(folder_ / "index/1"));
  ASSERT_THAT(store_->DeleteCollection(kCollection), IsOk());
  EXPECT_FALSE(std::filesystem::exists(folder_ / "index/1"));
  EXPECT_THAT(store_->DeleteCollection(kCollection), StatusIs(absl::StatusCode::kNotFound, _));
  EXPECT_THAT(store_->CheckIntegrity(), IsOk());
  ASSERT_THAT(store_->CreateCollection(MakeCollection()), IsOk());
  EXPECT_THAT(Found(*store_, SearchMode::kHybrid, "shared text"), IsEmpty());
  EXPECT_THAT(Found(*store_, MakeQuery(SearchMode::kHybrid, "shared text", "other")), ElementsAre("shared text"));
}

TEST_F(StoreTest, ListsDocumentsByPage) {
  for (int i = 0; i < 25; ++i) {
    TestDocument test = MakeDocument("doc" + std::to_string(100 + i), {"text"});
    test.document.metadata["even"] = i % 2 == 0;
    ASSERT_THAT(Put(*store_, test), IsOk());
  }
  std::vector<std::string> uris;
  std::string token;
  do {
    ASSERT_OK_AND_ASSIGN(DocumentPage page, store_->ListDocuments(kCollection, Filter(), 10, token));
    for (const Document& document : page.documents) uris.push_back(document.uri);
    token = page.next_page_token;
  } while (!token.empty());
  EXPECT_EQ(uris.size(), 25u);
  EXPECT_TRUE(std::is_sorted(uris.begin(), uris.end()));
  Filter even;
  even.op = Filter::Op::kEqual;
  even.field = "even";
  even.values = {true};
  EXPECT_EQ(store_->ListDocuments(kCollection, even, 100, "")->documents.size(), 13u);
  EXPECT_THAT(store_->ListDocuments(kCollection, Filter(), 10, "%%"), StatusIs(absl::StatusCode::kInvalidArgument, _));
  ASSERT_OK_AND_ASSIGN(auto states, store_->DocumentStates(kCollection));
  EXPECT_EQ(states.size(), 25u);
  EXPECT_EQ(states["doc100"].content_sha256, Sha256Hex("text\n"));
}

TEST_F(StoreTest, FindsVectorsOfKnownTexts) {
  ASSERT_THAT(Put(*store_, "a", {"one", "two"}), IsOk());
  ASSERT_OK_AND_ASSIGN(auto vectors,
                       store_->FindVectors(kCollection, kFingerprint, {Sha256Hex("two"), Sha256Hex("three")}));
  EXPECT_THAT(vectors, ElementsAre(VectorOf("two"), std::vector<float>()));
}

TEST_F(StoreTest, RefusesWhatIsNotSane) {
  auto invalid = [&](TestDocument test, const char* message) {
    EXPECT_THAT(Put(*store_, test), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)));
  };
  const TestDocument good = MakeDocument("a", {"some text"});
  TestDocument bad = good;
  bad.chunks[0].vector[3] = std::numeric_limits<float>::quiet_NaN();
  invalid(bad, "NaN");
  bad = good;
  bad.chunks[0].vector.assign(kDimension, 0);
  invalid(bad, "no length");
  bad = good;
  bad.chunks[0].text = "bad \xFF";
  invalid(bad, "UTF-8");
  bad = good;
  bad.chunks[0].segments[0].text_length = 10;
  invalid(bad, "leaves the text");
  bad = good;
  bad.chunks[0].segments[0].source_begin = std::numeric_limits<uint64_t>::max();
  invalid(bad, "leaves the source");
  bad = good;
  bad.chunks[0].segments = {{0, 4, 1, 4, true}};
  invalid(bad, "differs from the source");
  bad = good;
  bad.chunks[0].segments = {{3, 2, 3, 2, true}, {0, 2, 0, 2, true}};
  invalid(bad, "not in order");
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
  bad.document.content_sha256 = Sha256Hex("something else");
  invalid(bad, "not the hash");
  bad = good;
  bad.document.metadata["x"] = std::numeric_limits<double>::infinity();
  invalid(bad, "finite");
  bad = good;
  bad.chunks[0].vector.pop_back();
  EXPECT_THAT(Put(*store_, bad), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("dimension")));
  EXPECT_THAT(Put(*store_, good, "model-b"), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("fingerprint")));
  bad = good;
  bad.document.collection = "nope";
  EXPECT_THAT(Put(*store_, bad), StatusIs(absl::StatusCode::kNotFound, _));
  EXPECT_EQ(store_->GetCollection(kCollection)->documents, 0);
}

TEST_F(StoreTest, KeepsJobs) {
  Job job;
  job.id = "job-1";
  job.collection = kCollection;
  job.state = JobState::kRunning;
  job.request = std::string("\0\x01", 2);
  job.files_failed = 3;
  job.problems = {{"a.pdf", "encrypted"}};
  job.created_at = absl::FromUnixSeconds(100);
  ASSERT_THAT(store_->PutJob(job), IsOk());
  job.state = JobState::kSucceeded;
  ASSERT_THAT(store_->PutJob(job), IsOk());
  Job newer = job;
  newer.id = "job-2";
  newer.created_at = absl::FromUnixSeconds(200);
  ASSERT_THAT(store_->PutJob(newer), IsOk());
  Reopen();
  ASSERT_OK_AND_ASSIGN(Job read, store_->GetJob("job-1"));
  EXPECT_EQ(read.state, JobState::kSucceeded);
  EXPECT_EQ(read.request, job.request);
  EXPECT_EQ(read.problems[0].reason, "encrypted");
  EXPECT_EQ(read.files_failed, 3);
  ASSERT_OK_AND_ASSIGN(std::vector<Job> jobs, store_->ListJobs());
  ASSERT_EQ(jobs.size(), 2u);
  EXPECT_EQ(jobs[0].id, "job-2");
  EXPECT_THAT(store_->GetJob("nope"), StatusIs(absl::StatusCode::kNotFound, _));
  job.id = "";
  EXPECT_THAT(store_->PutJob(job), StatusIs(absl::StatusCode::kInvalidArgument, _));
}

}  // namespace
}  // namespace lastro::retrieval::testing
