// What is particular to the store on Milvus: rows that do not count, and several processes on one store.
#include "services/milvus/milvus_store.h"

#include <set>
#include <thread>

#include "retrieval/document_table.h"
#include "services/milvus/milvus_chunks.h"
#include "tests/unit/retrieval/store_fixture.h"
#include "tests/unit/services/milvus_lite.h"

namespace lastro::services {
namespace {

using ::lastro::testing::IsOk;
using ::lastro::testing::StatusIs;
using retrieval::ChunkStore;
using retrieval::DocumentId;
using retrieval::SearchMode;
using retrieval::testing::kCollection;
using retrieval::testing::kDimension;
using retrieval::testing::kFingerprint;
using retrieval::testing::MakeCollection;
using retrieval::testing::MakeDocument;
using retrieval::testing::MakeQuery;
using retrieval::testing::TestDocument;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class MilvusStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    testing::MilvusLite* server = testing::MilvusLite::Get();
    if (server == nullptr) GTEST_SKIP() << testing::kNoMilvusLite;
    static int stores = 0;
    options_.address = server->address();
    options_.prefix = "m" + std::to_string(++stores);
    ASSERT_OK_AND_ASSIGN(store_, OpenMilvusStore(options_));
    ASSERT_THAT(store_->CreateCollection(MakeCollection()), IsOk());
    ASSERT_OK_AND_ASSIGN(client_, MilvusClient::Create(options_));
    schema_.emplace(client_.get(), options_.prefix, 1);
    blocks_.emplace(client_.get(), schema_->Blocks());
    records_.emplace(client_.get(), &*blocks_, schema_->Records());
    ASSERT_OK_AND_ASSIGN(collection_, records_->FindCollection(kCollection));
  }

  static absl::StatusOr<retrieval::Document> Put(ChunkStore& store, const TestDocument& test) {
    return store.PutDocument(test.document, kFingerprint, test.chunks, test.original, "");
  }

  MilvusChunks Chunks() { return MilvusChunks(client_.get(), schema_->Chunks(collection_.made), kDimension); }

  // What a writer leaves that is killed before its commit: rows of chunks that no record names.
  void LeaveRows(const std::string& uri, const std::string& text) {
    const TestDocument test = MakeDocument(uri, {text});
    DocumentRecord document{test.document, collection_.made, records_->NextVersion(), 0};
    document.document.id = DocumentId(kCollection, uri);
    ASSERT_OK_AND_ASSIGN(FacetColumns facets, FacetsOf(document.document));
    ASSERT_THAT(Chunks().Insert(document, facets, test.chunks, {test.chunks[0].vector}, records_->NextVersion()),
                IsOk());
  }

  static std::vector<std::string> Found(ChunkStore& store, SearchMode mode, const std::string& text, int limit) {
    retrieval::SearchQuery query = MakeQuery(mode, text);
    query.limit = limit;
    absl::StatusOr<retrieval::SearchResult> result = store.Search(query, CallContext());
    EXPECT_THAT(result, IsOk());
    std::vector<std::string> texts;
    if (!result.ok()) return texts;
    for (const retrieval::SearchHit& hit : result->hits) texts.push_back(hit.chunk.text);
    return texts;
  }

  MilvusOptions options_;
  std::unique_ptr<ChunkStore> store_;
  std::unique_ptr<MilvusClient> client_;
  std::optional<MilvusSchema> schema_;
  std::optional<MilvusBlocks> blocks_;
  std::optional<MilvusRecords> records_;
  CollectionRecord collection_;
};

// More of them than there are candidates of a search, and all better than what counts: nothing is cut after a limit.
TEST_F(MilvusStoreTest, RowsThatNoRecordNamesDoNotExist) {
  ASSERT_THAT(Put(*store_, MakeDocument("a", {"zebra"})), IsOk());
  for (int i = 0; i < 120; ++i) {
    LeaveRows(i % 2 == 0 ? "a" : "never" + std::to_string(i), "zebra orphan orphan");
  }
  for (SearchMode mode : {SearchMode::kDense, SearchMode::kLexical, SearchMode::kHybrid}) {
    EXPECT_THAT(Found(*store_, mode, "zebra orphan", 1), ElementsAre("zebra"));
    EXPECT_THAT(Found(*store_, mode, "zebra orphan", 100), ElementsAre("zebra"));
  }
  EXPECT_EQ(store_->GetCollection(kCollection)->documents, 1);
  // The next put of a document takes away what was left of it.
  ASSERT_THAT(Put(*store_, MakeDocument("a", {"zebra again"})), IsOk());
  EXPECT_EQ(Chunks().Count("document == \"" + DocumentId(kCollection, "a") + "\"").value(), 1);
}

TEST_F(MilvusStoreTest, AnotherProcessSeesWhatWasPutAndDeleted) {
  ASSERT_OK_AND_ASSIGN(auto other, OpenMilvusStore(options_));
  ASSERT_THAT(Put(*store_, MakeDocument("a", {"zebra one"})), IsOk());
  EXPECT_THAT(Found(*other, SearchMode::kLexical, "zebra", 10), ElementsAre("zebra one"));
  ASSERT_THAT(Put(*other, MakeDocument("a", {"zebra two"})), IsOk());
  EXPECT_THAT(Found(*store_, SearchMode::kDense, "zebra", 10), ElementsAre("zebra two"));
  const std::string id = DocumentId(kCollection, "a");
  EXPECT_EQ(store_->DeleteDocuments(kCollection, {&id, 1}).value(), 1);
  EXPECT_THAT(Found(*other, SearchMode::kHybrid, "zebra", 10), IsEmpty());
  EXPECT_THAT(other->GetDocument(kCollection, id), StatusIs(absl::StatusCode::kNotFound, ::testing::_));
}

// The clock of the process that wrote a document last was ahead by a day.
TEST_F(MilvusStoreTest, AClockThatWentBackStopsNoWriter) {
  constexpr int64_t kDay = 86'400'000'000 * MilvusRecords::kVersionStep;
  ASSERT_THAT(Put(*store_, MakeDocument("a", {"zebra one"})), IsOk());
  ASSERT_OK_AND_ASSIGN(auto record, records_->Find(DocumentKey(collection_.made, "a")));
  ASSERT_OK_AND_ASSIGN(DocumentRecord document, ToDocument(*record));
  document.version += kDay;
  ASSERT_OK_AND_ASSIGN(MilvusRecord ahead, ToRecord(document));
  ASSERT_THAT(records_->Put({ahead}), IsOk());
  ASSERT_THAT(Put(*store_, MakeDocument("a", {"zebra two"})), IsOk());
  EXPECT_THAT(Found(*store_, SearchMode::kLexical, "zebra", 10), ElementsAre("zebra two"));
}

// A writer that loses against another takes its rows away again.
TEST_F(MilvusStoreTest, WritersOfOneDocumentLeaveNoRowsBehind) {
  std::vector<std::thread> writers;
  for (int i = 0; i < 4; ++i) {
    writers.emplace_back([this] {
      for (int round = 0; round < 5; ++round) EXPECT_THAT(Put(*store_, MakeDocument("a", {"zebra"})), IsOk());
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(Chunks().Count("id >= 0").value(), 1);
  EXPECT_EQ(client_->Count(schema_->Blocks(), "version > 0").value(), 1);
}

// A search reports every removal, whatever other processes put meanwhile.
TEST_F(MilvusStoreTest, NoProcessForgetsWhatAnotherRemoved) {
  ASSERT_THAT(Put(*store_, MakeDocument("a", {"zebra"})), IsOk());
  ASSERT_OK_AND_ASSIGN(auto other, OpenMilvusStore(options_));
  std::set<int64_t> removals;
  for (int round = 0; round < 10; ++round) {
    std::thread adder(
        [&] { EXPECT_THAT(Put(*other, MakeDocument("new" + std::to_string(round), {"zebra"})), IsOk()); });
    EXPECT_THAT(Put(*store_, MakeDocument("a", {"zebra"})), IsOk());
    adder.join();
    ASSERT_OK_AND_ASSIGN(retrieval::SearchResult result,
                         store_->Search(MakeQuery(SearchMode::kLexical, "zebra"), CallContext()));
    EXPECT_TRUE(removals.insert(result.removed).second) << round;
  }
}

TEST_F(MilvusStoreTest, StoresOfOtherPrefixesAreApart) {
  options_.prefix += "_other";
  ASSERT_OK_AND_ASSIGN(auto other, OpenMilvusStore(options_));
  ASSERT_THAT(Put(*store_, MakeDocument("a", {"zebra"})), IsOk());
  EXPECT_THAT(other->ListCollections().value(), IsEmpty());
  ASSERT_THAT(other->CreateCollection(MakeCollection()), IsOk());
  EXPECT_THAT(Found(*other, SearchMode::kHybrid, "zebra", 10), IsEmpty());
}

TEST_F(MilvusStoreTest, ADamagedBlockIsDataLoss) {
  TestDocument test = MakeDocument("a", {"zebra"});
  test.original += std::string(100'000, 'x');
  ASSERT_OK_AND_ASSIGN(retrieval::Document stored, Put(*store_, test));
  ASSERT_THAT(client_->Delete(schema_->Blocks(), "key like \"%00000001\""), IsOk());
  EXPECT_THAT(store_->ReadOriginal(kCollection, stored.id),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("is missing")));
  EXPECT_EQ(store_->ReadSource(kCollection, stored.id, 0, 5).value(), "zebra");
  EXPECT_THAT(store_->ReadSource(kCollection, stored.id, 40'000, 60'000),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("is missing")));
}

TEST_F(MilvusStoreTest, WhatARowCannotHoldIsRefusedWhole) {
  std::string text;
  for (int i = 0; i < 6000; ++i) text += "word" + std::to_string(i) + " ";
  EXPECT_THAT(Put(*store_, MakeDocument("a", {"short", text})),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("smaller chunks")));
  EXPECT_THAT(store_->FindDocument(kCollection, "a"), StatusIs(absl::StatusCode::kNotFound, ::testing::_));
  EXPECT_THAT(Found(*store_, SearchMode::kDense, "short", 10), IsEmpty());
  EXPECT_EQ(client_->Count(schema_->Blocks(), "version > 0").value(), 0);  // its original went again
}

}  // namespace
}  // namespace lastro::services
