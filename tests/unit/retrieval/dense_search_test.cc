// The moment between taking a view of the vectors and opening the snapshot, held still.
#include "retrieval/dense_search.h"

#include "retrieval/chunk_table.h"
#include "retrieval/collection_table.h"
#include "retrieval/schema.h"
#include "retrieval/store_writer.h"
#include "tests/unit/retrieval/store_fixture.h"

namespace lastro::retrieval::testing {
namespace {

using lastro::testing::IsOk;
using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

class DenseSearchTest : public ::testing::Test {
 protected:
  DenseSearchTest() : pool_(folder_ / "x.db", 4), builder_({folder_.path(), 1000, {}}, &pool_, &catalog_) {}

  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(std::unique_ptr<Database> db, Database::Open(folder_ / "x.db", false));
    ASSERT_THAT(PrepareSchema(*db), IsOk());
    writer_ = std::make_unique<StoreWriter>(std::move(db), 0, &catalog_, &builder_, UpkeepOptions());
    ASSERT_THAT(writer_->CreateCollection(MakeCollection()), IsOk());
  }

  void Put(const std::string& uri, const std::string& text) {
    TestDocument test = MakeDocument(uri, {text});
    StoreWriter::Put put;
    put.document = test.document;
    put.document.id = DocumentId(kCollection, uri);
    put.document.chunk_count = 1;
    put.fingerprint = kFingerprint;
    put.chunks = test.chunks;
    put.vectors = {test.chunks[0].vector};
    ASSERT_OK_AND_ASSIGN(PackedContent content, PackContent(test.original));
    put.document.content_sha256 = put.document.source_sha256 = content.sha256;
    put.contents = {content};
    ASSERT_THAT(writer_->PutDocument(put, StoreScope(Scope())), IsOk());
  }

  void Delete(const std::string& uri) {
    ASSERT_THAT(writer_->DeleteDocuments(kCollection, {DocumentId(kCollection, uri)}, StoreScope(Scope())), IsOk());
  }

  // The texts of the `count` nearest chunks to `text`.
  std::vector<std::string> Search(const VectorCatalog::View& view, const ReadSnapshot& snapshot,
                                  const std::string& text, size_t count) {
    std::vector<float> query = VectorOf(text);
    CollectionRow collection = FindCollection(snapshot.db(), kCollection).value();
    auto found =
        SearchDense(view, snapshot, {collection.row, &collection.searched, &query, count, nullptr}, CallContext());
    EXPECT_THAT(found, IsOk());
    std::vector<std::string> texts;
    for (const VectorCandidate& candidate : *found) {
      texts.push_back(SelectChunk(snapshot.db(), candidate.chunk)->chunk.text);
    }
    return texts;
  }

  lastro::testing::TempFolder folder_;
  ConnectionPool pool_;
  VectorCatalog catalog_;
  IndexBuilder builder_;
  std::unique_ptr<StoreWriter> writer_;
};

TEST_F(DenseSearchTest, AnOldViewWithANewSnapshotSeesTheSnapshot) {
  Put("a", "alpha");
  Put("b", "beta");
  for (bool index_now : {false, true}) {
    VectorCatalog::View view = catalog_.Grab();
    Put("c", "gamma");
    Put("a", "alpha the second");
    Delete("b");
    if (index_now) {
      ASSERT_THAT(builder_.Flush(), IsOk());
    }
    ASSERT_OK_AND_ASSIGN(ReadSnapshot snapshot, pool_.Snapshot());
    EXPECT_THAT(Search(view, snapshot, "alpha", 9), UnorderedElementsAre("gamma", "alpha the second"));
    EXPECT_THAT(Search(view, snapshot, "gamma", 1), ElementsAre("gamma"));
    EXPECT_THAT(Search(catalog_.Grab(), snapshot, "gamma", 9).size(), 2u);
    Put("b", "beta");
    EXPECT_THAT(Search(view, snapshot, "beta", 9).size(), 2u) << "the snapshot must not move";
  }
}

}  // namespace
}  // namespace lastro::retrieval::testing
