// A collection on its way to another embedding model and back, on the store.
#include "retrieval/reembedding.h"

#include <atomic>
#include <filesystem>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/file.h"
#include "retrieval/doctor.h"
#include "retrieval/document_table.h"
#include "tests/unit/retrieval/store_fixture.h"

namespace lastro::retrieval::testing {
namespace {

using lastro::testing::IsOk;
using lastro::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ReembeddingTest : public StoreTest {
 protected:
  // A query by the model `fingerprint` for exactly this text.
  static SearchQuery QueryBy(const VectorSet& model, const std::string& text) {
    SearchQuery query = MakeQuery(SearchMode::kDense, text);
    query.vector = VectorBy(model.fingerprint, text, model.dimension);
    query.fingerprint = model.fingerprint;
    query.limit = 1;
    return query;
  }

  // The text that the collection's own model finds for itself, with cosine 1.
  void ExpectFinds(const VectorSet& model, const std::string& text) {
    absl::StatusOr<SearchResult> result = store_->Search(QueryBy(model, text), CallContext());
    ASSERT_THAT(result, IsOk()) << text;
    ASSERT_EQ(result->hits.size(), 1u);
    EXPECT_EQ(result->hits[0].chunk.text, text);
    EXPECT_NEAR(result->hits[0].dense_score, 1, 1e-5);
  }

  void PutSome(int documents) {
    for (int i = 0; i < documents; ++i) {
      ASSERT_THAT(Put(*store_, absl::StrCat("doc", i), {absl::StrCat("word", i), "everywhere"}), IsOk());
    }
  }

  absl::StatusOr<int> Fill(const VectorSet& model, int texts = 1 << 30) { return FillOther(*store_, model, texts); }

  const VectorSet old_ = OtherModel(kFingerprint, kDimension);
  const VectorSet new_ = OtherModel();
};

TEST_F(ReembeddingTest, AnEqualTextIsEmbeddedOnceAndWorkIsNeverDoneAgain) {
  PutSome(10);
  ASSERT_OK_AND_ASSIGN(Reembedding state, store_->BeginReembedding(kCollection, new_));
  EXPECT_EQ(state.chunks, 20);
  EXPECT_EQ(state.searched.fingerprint, kFingerprint);
  EXPECT_EQ(state.searched.vectors, 20);
  ASSERT_TRUE(state.other.has_value());
  EXPECT_EQ(state.other->vectors, 0);
  const int64_t commit = store_->commit();
  EXPECT_EQ(Fill(new_, 4).value(), 4);
  EXPECT_EQ(store_->commit(), commit) << "no search sees a difference";
  Reopen();
  EXPECT_EQ(Fill(new_).value(), 7) << "eleven texts altogether";
  ASSERT_OK_AND_ASSIGN(state, store_->GetReembedding(kCollection));
  EXPECT_EQ(state.other->vectors, 20);
  EXPECT_EQ(Fill(new_).value(), 0);
  EXPECT_THAT(store_->CheckIntegrity(), IsOk());
}

TEST_F(ReembeddingTest, OneCommitTurnsTheSearchesAndOneTurnsThemBack) {
  PutSome(10);
  ASSERT_THAT(store_->BeginReembedding(kCollection, new_), IsOk());
  ASSERT_THAT(Fill(new_), IsOk());
  ExpectFinds(old_, "word3");
  EXPECT_THAT(store_->Search(QueryBy(new_, "word3"), CallContext()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("embed the query with that model")));
  const int64_t commit = store_->commit();
  ASSERT_OK_AND_ASSIGN(Reembedding state, store_->SwitchVectors(kCollection, kOtherFingerprint));
  EXPECT_EQ(store_->commit(), commit + 1);
  EXPECT_EQ(state.searched.fingerprint, kOtherFingerprint);
  EXPECT_EQ(state.searched.since, commit + 1);
  EXPECT_EQ(state.other->fingerprint, kFingerprint);
  ExpectFinds(new_, "word3");
  EXPECT_THAT(store_->Search(QueryBy(old_, "word3"), CallContext()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("embed the query with that model")));
  ASSERT_OK_AND_ASSIGN(Collection collection, store_->GetCollection(kCollection));
  EXPECT_EQ(collection.embedding_fingerprint, kOtherFingerprint);
  EXPECT_EQ(collection.dimension, kOtherDimension);
  EXPECT_EQ(collection.embedded_since, commit + 1);
  ASSERT_THAT(store_->SwitchVectors(kCollection, kOtherFingerprint), IsOk()) << "it is done already";
  EXPECT_EQ(store_->commit(), commit + 1);
  Reopen();
  ExpectFinds(new_, "word3");
  ASSERT_THAT(store_->SwitchVectors(kCollection, kFingerprint), IsOk());
  ExpectFinds(old_, "word3");
  EXPECT_THAT(store_->CheckIntegrity(), IsOk());
}

TEST_F(ReembeddingTest, WhatComesMeanwhileMustBeFilledInFirst) {
  PutSome(6);
  ASSERT_THAT(store_->BeginReembedding(kCollection, new_), IsOk());
  ASSERT_THAT(Fill(new_), IsOk());
  // A new text, a known one, and a document replaced with one part changed.
  ASSERT_THAT(Put(*store_, "later", {"a later text", "word1"}), IsOk());
  ASSERT_THAT(Put(*store_, "doc2", {"word2 changed", "everywhere"}), IsOk());
  ASSERT_THAT(store_->DeleteDocuments(kCollection, {DocumentId(kCollection, "doc0")}), IsOk());
  EXPECT_THAT(store_->SwitchVectors(kCollection, kOtherFingerprint),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("2 of 12 chunks")));
  EXPECT_EQ(Fill(new_).value(), 2) << "the others were known by their texts, also that of the document replaced";
  ASSERT_THAT(store_->SwitchVectors(kCollection, kOtherFingerprint), IsOk());
  for (const char* text : {"a later text", "word1", "word2 changed", "everywhere"}) ExpectFinds(new_, text);
  // The same the other way.
  EXPECT_THAT(Put(*store_, MakeDocument("x", {"y"})),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("model-a")));
  TestDocument test = MakeDocument("new", {"newest"}, kCollection, kOtherDimension);
  test.chunks[0].vector = VectorBy(kOtherFingerprint, "newest", kOtherDimension);
  ASSERT_THAT(Put(*store_, test, kOtherFingerprint), IsOk());
  EXPECT_THAT(store_->SwitchVectors(kCollection, kFingerprint),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("1 of")));
  EXPECT_EQ(Fill(old_).value(), 1);
  ASSERT_THAT(store_->SwitchVectors(kCollection, kFingerprint), IsOk());
  for (const char* text : {"newest", "a later text"}) ExpectFinds(old_, text);
  EXPECT_THAT(store_->CheckIntegrity(), IsOk());
}

TEST_F(ReembeddingTest, TheIndexIsMadeBeforeTheTurn) {
  Reopen(/*index_after_chunks=*/20, IndexKind::kHnsw);
  PutSome(60);
  ASSERT_THAT(store_->BeginReembedding(kCollection, new_), IsOk());
  EXPECT_THAT(store_->PrepareVectors(kCollection, kOtherFingerprint),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("lack vectors")));
  ASSERT_THAT(Fill(new_), IsOk());
  EXPECT_THAT(store_->SwitchVectors(kCollection, kOtherFingerprint),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("index")));
  ASSERT_THAT(store_->PrepareVectors(kCollection, kOtherFingerprint), IsOk());
  EXPECT_TRUE(std::filesystem::exists(folder_ / "index/2/1.index"));
  Reopen(/*index_after_chunks=*/20, IndexKind::kHnsw);
  ASSERT_THAT(Put(*store_, "later", {"a later text"}), IsOk());
  ASSERT_THAT(Fill(new_), IsOk());
  ASSERT_THAT(store_->SwitchVectors(kCollection, kOtherFingerprint), IsOk());
  for (const char* text : {"word5", "word59", "a later text"}) ExpectFinds(new_, text);
  // What comes after it is indexed; what was deleted meanwhile is not found by those that are searched again.
  for (int i = 0; i < 40; ++i) {
    TestDocument test = MakeDocument(absl::StrCat("more", i), {absl::StrCat("more", i)}, kCollection, kOtherDimension);
    test.chunks[0].vector = VectorBy(kOtherFingerprint, test.chunks[0].text, kOtherDimension);
    ASSERT_THAT(Put(*store_, test, kOtherFingerprint), IsOk());
  }
  ASSERT_THAT(store_->Flush(), IsOk());
  EXPECT_EQ(Fill(old_).value(), 40);
  ASSERT_THAT(store_->DeleteDocuments(kCollection, {DocumentId(kCollection, "doc5")}), IsOk());
  ASSERT_THAT(store_->PrepareVectors(kCollection, kFingerprint), IsOk());
  ASSERT_THAT(store_->SwitchVectors(kCollection, kFingerprint), IsOk());
  for (const char* text : {"word6", "more0", "more39", "a later text"}) ExpectFinds(old_, text);
  EXPECT_THAT(Found(*store_, SearchMode::kDense, "word5"), ::testing::Not(::testing::Contains("word5")));
  store_.reset();
  EXPECT_TRUE(RunDoctor({folder_.path(), false, false, nullptr}, CallContext())->healthy());
}

TEST_F(ReembeddingTest, DroppedVectorsAreGoneAndAPurgeTakesTheirBytes) {
  PutSome(10);
  ASSERT_THAT(store_->BeginReembedding(kCollection, new_), IsOk());
  ASSERT_THAT(Fill(new_), IsOk());
  EXPECT_THAT(store_->DropVectors(kCollection, kFingerprint),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("searched by")));
  ASSERT_THAT(store_->SwitchVectors(kCollection, kOtherFingerprint), IsOk());
  ASSERT_OK_AND_ASSIGN(Reembedding state, store_->DropVectors(kCollection, kFingerprint));
  EXPECT_FALSE(state.other.has_value());
  EXPECT_THAT(store_->SwitchVectors(kCollection, kFingerprint),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("no vectors of")));
  EXPECT_THAT(store_->PutVectors(kCollection, kFingerprint, {}),
              StatusIs(absl::StatusCode::kFailedPrecondition, ::testing::_));
  ASSERT_THAT(store_->Purge(), IsOk());
  const std::vector<float> gone = VectorOf("word3");
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_.path())) {
    if (!entry.is_regular_file()) continue;
    std::string bytes = lastro::ReadFile(entry.path().string(), 1 << 30).value();
    EXPECT_EQ(bytes.find(std::string(VectorBytes(gone))), std::string::npos) << entry.path();
  }
  Reopen();
  ExpectFinds(new_, "word3");
  EXPECT_THAT(store_->CheckIntegrity(), IsOk());
  ASSERT_THAT(store_->BeginReembedding(kCollection, old_), IsOk()) << "and all over again";
  EXPECT_EQ(Fill(old_).value(), 11);
  ASSERT_THAT(store_->SwitchVectors(kCollection, kFingerprint), IsOk());
  ExpectFinds(old_, "word3");
}

TEST_F(ReembeddingTest, WhatDoesNotFitIsRefused) {
  PutSome(2);
  auto refuses = [&](const auto& result, const char* reason) {
    EXPECT_THAT(result, StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(reason)));
  };
  refuses(store_->BeginReembedding(kCollection, old_), "already");
  refuses(store_->FindUnembedded(kCollection, kOtherFingerprint, 0, 10), "no vectors of");
  refuses(store_->SwitchVectors(kCollection, kOtherFingerprint), "no vectors of");
  ASSERT_THAT(store_->BeginReembedding(kCollection, new_), IsOk());
  ASSERT_THAT(store_->BeginReembedding(kCollection, new_), IsOk()) << "goes on";
  refuses(store_->BeginReembedding(kCollection, OtherModel("model-c", 5)), "--finish");
  refuses(store_->BeginReembedding(kCollection, OtherModel(kOtherFingerprint, 5)), "dimension 12, not 5");
  refuses(store_->PutVectors(kCollection, kFingerprint, {}), "no vectors of");
  refuses(store_->FindVectors(kCollection, "model-c", {}), "no vectors of");
  const std::string key = Sha256Hex("word1");
  EXPECT_THAT(store_->PutVectors(kCollection, kOtherFingerprint, {{key, VectorOf("word1")}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("dimension")));
  EXPECT_THAT(store_->PutVectors(kCollection, kOtherFingerprint, {{key, std::vector<float>(kOtherDimension, NAN)}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(key)));
  EXPECT_THAT(store_->BeginReembedding("nowhere", new_), StatusIs(absl::StatusCode::kNotFound, HasSubstr("nowhere")));
  EXPECT_THAT(store_->BeginReembedding(kCollection, OtherModel("bad fingerprint", 3)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("fingerprint")));
}

TEST_F(ReembeddingTest, VectorsAreFoundByTheirOwnModelOnly) {
  PutSome(2);
  ASSERT_THAT(store_->BeginReembedding(kCollection, new_), IsOk());
  ASSERT_THAT(Fill(new_), IsOk());
  const std::string key = Sha256Hex("word1");
  EXPECT_THAT(store_->FindVectors(kCollection, kFingerprint, {&key, 1}).value(), ElementsAre(VectorOf("word1")));
  EXPECT_THAT(store_->FindVectors(kCollection, kOtherFingerprint, {&key, 1}).value(),
              ElementsAre(VectorBy(kOtherFingerprint, "word1", kOtherDimension)));
}

TEST_F(ReembeddingTest, TheOtherVectorsCanBeSearchedToCompareThem) {
  PutSome(8);
  ASSERT_THAT(store_->BeginReembedding(kCollection, new_), IsOk());
  SearchQuery query = QueryBy(new_, "word3");
  query.vectors_of = kOtherFingerprint;
  EXPECT_THAT(store_->Search(query, CallContext()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("0 of 16")));
  ASSERT_THAT(Fill(new_), IsOk());
  EXPECT_THAT(Found(*store_, query), ElementsAre("word3"));
  ExpectFinds(old_, "word3");  // the result of one is not that of the other
  SearchQuery wrong = QueryBy(old_, "word3");
  wrong.vectors_of = kOtherFingerprint;
  EXPECT_THAT(store_->Search(wrong, CallContext()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("fingerprint")));
  wrong.vectors_of = "model-c";
  EXPECT_THAT(store_->Search(wrong, CallContext()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("model-c")));
}

TEST_F(ReembeddingTest, TakesACallerThatSeesAll) {
  PutSome(2);
  ASSERT_THAT(store_->BeginReembedding(kCollection, new_), IsOk());
  ASSERT_THAT(Fill(new_), IsOk());
  Scope scope;
  scope.all_labels = false;
  scope.labels = {"hr"};
  std::unique_ptr<ChunkStore> some = store_->WithScope(scope).value();
  auto denied = [](const auto& result) {
    EXPECT_THAT(result, StatusIs(absl::StatusCode::kPermissionDenied, ::testing::_));
  };
  denied(some->GetReembedding(kCollection));
  denied(some->BeginReembedding(kCollection, new_));
  denied(some->FindUnembedded(kCollection, kOtherFingerprint, 0, 10));
  denied(some->PutVectors(kCollection, kOtherFingerprint, {}));
  EXPECT_TRUE(absl::IsPermissionDenied(some->PrepareVectors(kCollection, kOtherFingerprint)));
  denied(some->SwitchVectors(kCollection, kOtherFingerprint));
  denied(some->DropVectors(kCollection, kOtherFingerprint));
  SearchQuery query = QueryBy(new_, "word1");
  query.vectors_of = kOtherFingerprint;
  denied(some->Search(query, CallContext()));
  Job job;
  job.id = "j1";
  job.collection = kCollection;
  job.for_all_labels = true;
  EXPECT_TRUE(absl::IsPermissionDenied(some->PutJob(job)));
  ASSERT_THAT(store_->PutJob(job), IsOk());
  EXPECT_THAT(some->GetJob("j1"), StatusIs(absl::StatusCode::kNotFound, ::testing::_));
  EXPECT_TRUE(some->ListJobs()->empty());
  EXPECT_TRUE(store_->GetJob("j1")->for_all_labels);
}

// A search that runs while the collection turns to and fro finds its text by the model that embedded the query, or is
// refused; never by the other's vectors.
TEST_F(ReembeddingTest, SearchesDuringTheTurnSeeOneModel) {
  Reopen(/*index_after_chunks=*/30, IndexKind::kHnsw);
  PutSome(50);
  ASSERT_THAT(store_->Flush(), IsOk());
  ASSERT_THAT(store_->BeginReembedding(kCollection, new_), IsOk());
  ASSERT_THAT(Fill(new_), IsOk());
  ASSERT_THAT(store_->PrepareVectors(kCollection, kOtherFingerprint), IsOk());
  std::atomic<bool> stop = false;
  std::atomic<int> found = 0, refused = 0;
  std::vector<std::thread> searchers;
  for (const VectorSet* model : {&old_, &new_}) {
    searchers.emplace_back([&, model] {
      for (int i = 0; !stop; ++i) {
        SearchQuery query = QueryBy(*model, absl::StrCat("word", i % 50));
        query.with_vectors = true;
        absl::StatusOr<SearchResult> result = store_->Search(query, CallContext());
        if (!result.ok()) {
          EXPECT_TRUE(absl::IsFailedPrecondition(result.status())) << result.status();
          ++refused;
          continue;
        }
        ++found;
        ASSERT_EQ(result->hits.size(), 1u);
        EXPECT_EQ(result->hits[0].chunk.text, query.text);
        EXPECT_EQ(result->hits[0].chunk.vector, query.vector);
      }
    });
  }
  for (int turn = 0; turn < 60; ++turn) {
    ASSERT_THAT(store_->SwitchVectors(kCollection, turn % 2 == 0 ? kOtherFingerprint : kFingerprint), IsOk());
    const int before = found;
    while (found < before + 3 && !HasFailure()) std::this_thread::yield();
  }
  stop = true;
  for (std::thread& searcher : searchers) searcher.join();
  EXPECT_GT(refused, 0);
}

TEST_F(ReembeddingTest, AnAnswerIsSmallWhateverTheHeadings) {
  for (int i = 0; i < 8; ++i) {
    TestDocument test = MakeDocument(absl::StrCat("doc", i), {absl::StrCat("word", i)});
    test.chunks[0].headings.assign(64, std::string(60'000, 'h'));
    ASSERT_THAT(Put(*store_, test), IsOk());
  }
  ASSERT_THAT(store_->BeginReembedding(kCollection, new_), IsOk());
  ASSERT_OK_AND_ASSIGN(UnembeddedChunks found, store_->FindUnembedded(kCollection, kOtherFingerprint, 0, 1000));
  EXPECT_EQ(found.chunks.size(), 2u);
  EXPECT_EQ(Fill(new_).value(), 8);
}

TEST_F(ReembeddingTest, VectorsMayBeDroppedWhileTheirIndexIsMade) {
  Reopen(/*index_after_chunks=*/5);
  PutSome(40);
  for (int i = 0; i < 60 && !HasFailure(); ++i) {
    ASSERT_THAT(store_->BeginReembedding(kCollection, new_), IsOk());
    ASSERT_THAT(Fill(new_), IsOk());
    std::atomic<bool> begun = false;
    absl::Status prepared;
    std::thread preparing([&] {
      begun = true;
      prepared = store_->PrepareVectors(kCollection, kOtherFingerprint);
    });
    while (!begun) std::this_thread::yield();
    absl::SleepFor(absl::Microseconds(20 * i));
    ASSERT_THAT(store_->DropVectors(kCollection, kOtherFingerprint), IsOk());
    EXPECT_THAT(store_->Flush(), IsOk());
    preparing.join();
    EXPECT_TRUE(prepared.ok() || absl::IsFailedPrecondition(prepared)) << prepared;
  }
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_ / "index"), {}), 1);
  EXPECT_THAT(store_->CheckIntegrity(), IsOk());
}

TEST_F(ReembeddingTest, ACollectionGoesWithBoth) {
  PutSome(5);
  ASSERT_THAT(store_->BeginReembedding(kCollection, new_), IsOk());
  ASSERT_THAT(Fill(new_, 3), IsOk());
  ASSERT_THAT(store_->CreateCollection(MakeCollection("second")), IsOk());
  ASSERT_THAT(store_->DeleteCollection(kCollection), IsOk());
  ASSERT_THAT(store_->CreateCollection(MakeCollection()), IsOk());
  EXPECT_FALSE(store_->GetReembedding(kCollection)->other.has_value());
  EXPECT_THAT(store_->CheckIntegrity(), IsOk());
}

TEST_F(ReembeddingTest, TheDoctorTakesDamagedVectorsThatAreNotSearchedOut) {
  Reopen(/*index_after_chunks=*/20);
  PutSome(40);
  ASSERT_THAT(store_->BeginReembedding(kCollection, new_), IsOk());
  ASSERT_THAT(Fill(new_), IsOk());
  ASSERT_THAT(store_->PrepareVectors(kCollection, kOtherFingerprint), IsOk());
  store_.reset();
  auto problems = [](const DoctorReport& report, const std::string& check) {
    int64_t count = 0;
    for (const Finding& finding : report.findings) count += finding.check == check ? finding.problems : 0;
    return count;
  };
  for (const char* damage : {"UPDATE vectors_2 SET vector=zeroblob(length(vector)) WHERE chunk=7",
                             "UPDATE vectors_2 SET vector=x'00' WHERE chunk=7"}) {
    {
      ASSERT_OK_AND_ASSIGN(std::unique_ptr<Database> db, Database::Open(folder_ / "lastro.db", false));
      ASSERT_THAT(db->Execute(damage), IsOk());
    }
    ASSERT_OK_AND_ASSIGN(DoctorReport report, RunDoctor({folder_.path(), true, false, nullptr}, CallContext()));
    EXPECT_EQ(problems(report, "other vectors"), 1) << damage;
    EXPECT_TRUE(report.healthy());
    EXPECT_TRUE(report.documents.empty());
    store_ = OpenStore(folder_.path());
    ASSERT_NE(store_, nullptr);
    ASSERT_OK_AND_ASSIGN(Reembedding state, store_->GetReembedding(kCollection));
    EXPECT_EQ(state.other->vectors, 0);
    EXPECT_EQ(Fill(new_).value(), 41);
    store_.reset();
  }
  {  // counts, and vectors of no chunk
    ASSERT_OK_AND_ASSIGN(std::unique_ptr<Database> db, Database::Open(folder_ / "lastro.db", false));
    ASSERT_THAT(db->Execute("INSERT INTO vectors_2 SELECT 9999, vector FROM vectors_2 LIMIT 1"), IsOk());
  }
  ASSERT_OK_AND_ASSIGN(DoctorReport report, RunDoctor({folder_.path(), true, false, nullptr}, CallContext()));
  EXPECT_EQ(problems(report, "counts and owners"), 2);
  EXPECT_TRUE(report.healthy());
  store_ = OpenStore(folder_.path());
  ASSERT_THAT(store_->SwitchVectors(kCollection, kOtherFingerprint), IsOk());
  ExpectFinds(new_, "word3");
}

TEST_F(ReembeddingTest, StoresOfVersion3AreUpgraded) {
  Reopen(/*index_after_chunks=*/5, IndexKind::kExact);
  PutSome(10);
  ASSERT_THAT(store_->CreateCollection(MakeCollection("gone")), IsOk());
  ASSERT_THAT(store_->CreateCollection(MakeCollection("second", "model-s", 3)), IsOk());
  ASSERT_THAT(store_->DeleteCollection("gone"), IsOk());
  ASSERT_THAT(store_->Flush(), IsOk());
  store_.reset();
  {
    ASSERT_OK_AND_ASSIGN(std::unique_ptr<Database> db, Database::Open(folder_ / "lastro.db", false));
    MakeVersion3(*db);
  }
  auto files = [&] {
    std::map<std::string, std::filesystem::file_time_type> times;
    for (const auto& entry : std::filesystem::directory_iterator(folder_ / "index/1")) {
      times[entry.path().string()] = entry.last_write_time();
    }
    return times;
  };
  const auto before = files();
  ASSERT_EQ(before.size(), 1u);
  Reopen(/*index_after_chunks=*/5, IndexKind::kExact);
  EXPECT_THAT(store_->CheckIntegrity(), IsOk());
  ExpectFinds(old_, "word3");
  ASSERT_THAT(store_->Flush(), IsOk());
  EXPECT_EQ(files(), before) << "the index stays what it is";
  EXPECT_EQ(store_->GetCollection("second")->embedding_fingerprint, "model-s");
  EXPECT_EQ(store_->GetCollection("second")->dimension, 3);
  ASSERT_THAT(store_->BeginReembedding(kCollection, new_), IsOk());
  ASSERT_THAT(Fill(new_), IsOk());
  ASSERT_THAT(store_->PrepareVectors(kCollection, kOtherFingerprint), IsOk());
  ASSERT_THAT(store_->SwitchVectors(kCollection, kOtherFingerprint), IsOk());
  ExpectFinds(new_, "word3");
  EXPECT_TRUE(std::filesystem::exists(folder_ / "index/4")) << "no number of the time before is used again";
}

}  // namespace
}  // namespace lastro::retrieval::testing
