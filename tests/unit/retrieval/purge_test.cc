// What was deleted is in no file after a purge: all bytes of the data folder are searched.
#include <algorithm>
#include <fstream>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "retrieval/chunk_table.h"
#include "retrieval/document_table.h"
#include "retrieval/quantized_vectors.h"
#include "tests/unit/retrieval/store_fixture.h"

namespace lastro::retrieval::testing {
namespace {

using lastro::testing::IsOk;

class PurgeTest : public StoreTest {
 protected:
  std::vector<std::string> FilesWith(const std::string& bytes) {
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_.path())) {
      if (!entry.is_regular_file()) continue;
      if (absl::StrContains(ReadFile(entry.path().string(), 1u << 30).value(), bytes)) {
        files.push_back(entry.path().filename().string());
      }
    }
    return files;
  }

  // A vector as an index keeps it.
  static std::string CodesOf(const std::vector<float>& vector) {
    QuantizedVectors quantized(kDimension);
    quantized.Append(vector.data());
    return std::string(reinterpret_cast<const char*>(quantized.codes(0)), kDimension);
  }

  // Terms of the full-text index, which stores them by what they share, so that searching files does not find them.
  int64_t CountTerm(const std::string& term) {
    store_.reset();
    int64_t count = -1;
    {
      absl::StatusOr<std::unique_ptr<Database>> db = Database::Open(folder_ / "lastro.db", false);
      EXPECT_THAT((*db)->Execute("CREATE VIRTUAL TABLE temp.terms USING fts5vocab('main', 'fts_1', 'row')"), IsOk());
      count = (*db)->QueryInt(absl::StrCat("SELECT count(*) FROM temp.terms WHERE term LIKE '%", term, "%'")).value();
    }
    Reopen(/*index_after_chunks=*/5);
    return count;
  }

  void PutMany() {
    Reopen(/*index_after_chunks=*/5);
    for (int i = 0; i < 40; ++i) {
      ASSERT_THAT(Put(*store_, absl::StrCat("doc", i), {absl::StrCat("kept sentence", i)}), IsOk());
    }
    secret_ = MakeDocument("secret.md", {"xylophonist confesses", "quixotic second part"});
    secret_.document.title = "Zugzwang";
    ASSERT_THAT(Put(*store_, secret_), IsOk());
    ASSERT_THAT(store_->Flush(), IsOk());
  }

  void ExpectGone() {
    for (const Chunk& chunk : secret_.chunks) {
      EXPECT_THAT(FilesWith(chunk.text), ::testing::IsEmpty());
      EXPECT_THAT(FilesWith(std::string(VectorBytes(chunk.vector))), ::testing::IsEmpty());
      EXPECT_THAT(FilesWith(CodesOf(chunk.vector)), ::testing::IsEmpty());
      EXPECT_THAT(FilesWith(chunk.text_sha256), ::testing::IsEmpty());
    }
    for (const char* word : {"xylophonist", "quixotic", "Zugzwang", "secret.md"}) {
      EXPECT_THAT(FilesWith(word), ::testing::IsEmpty()) << word;
    }
    for (const char* term : {"xylophon", "quixot", "zugzwang"}) EXPECT_EQ(CountTerm(term), 0) << term;
  }

  TestDocument secret_;
};

TEST_F(PurgeTest, TakesDeletedDocumentsOutOfEveryFile) {
  PutMany();
  EXPECT_THAT(FilesWith(CodesOf(secret_.chunks[0].vector)), ::testing::Contains(::testing::EndsWith(".index")));
  ASSERT_EQ(store_->DeleteDocuments(kCollection, {DocumentId(kCollection, "secret.md")}).value(), 1);
  EXPECT_THAT(FilesWith(secret_.chunks[0].text), ::testing::Not(::testing::IsEmpty())) << "else the purge has no work";
  EXPECT_GT(CountTerm("kept"), 0);
  int64_t commit = store_->commit();
  ASSERT_OK_AND_ASSIGN(PurgeReceipt receipt, store_->Purge());
  EXPECT_EQ(receipt.from_commit, 0);
  EXPECT_EQ(receipt.to_commit, commit);
  EXPECT_EQ(receipt.full_text_indexes, 1);
  EXPECT_EQ(receipt.vector_indexes, 1);
  EXPECT_LT(receipt.bytes_after, receipt.bytes_before);
  ExpectGone();
  EXPECT_THAT(store_->CheckIntegrity(), IsOk());
  for (int i = 0; i < 40; i += 7) {
    std::string text = absl::StrCat("kept sentence", i);
    EXPECT_EQ(Found(*store_, SearchMode::kDense, text).at(0), text);
    EXPECT_EQ(Found(*store_, SearchMode::kLexical, absl::StrCat("sentence", i)).at(0), text);
  }
}

TEST_F(PurgeTest, TakesReplacedDocumentsAndDroppedCollectionsOut) {
  PutMany();
  ASSERT_THAT(Put(*store_, "secret.md", {"harmless now"}), IsOk());
  ASSERT_EQ(store_->DeleteDocuments(kCollection, {DocumentId(kCollection, "secret.md")}).value(), 1);
  ASSERT_THAT(store_->CreateCollection(MakeCollection("other")), IsOk());
  ASSERT_THAT(Put(*store_, MakeDocument("o", {"vellichor of the other"}, "other")), IsOk());
  ASSERT_THAT(store_->DeleteCollection("other"), IsOk());
  ASSERT_THAT(store_->Purge(), IsOk());
  ExpectGone();
  EXPECT_THAT(FilesWith("vellichor"), ::testing::IsEmpty());
}

TEST_F(PurgeTest, ReceiptsAreKeptAndJoinOn) {
  PutMany();
  ASSERT_OK_AND_ASSIGN(PurgeReceipt first, store_->Purge());
  EXPECT_EQ(first.vector_indexes, 0) << "nothing was deleted";
  ASSERT_THAT(Put(*store_, "secret.md", {"harmless now"}), IsOk());
  ASSERT_OK_AND_ASSIGN(PurgeReceipt second, store_->Purge());
  EXPECT_EQ(second.from_commit, first.to_commit);
  Reopen();
  ASSERT_OK_AND_ASSIGN(std::vector<PurgeReceipt> receipts, store_->Purges());
  ASSERT_EQ(receipts.size(), 2u);
  EXPECT_EQ(receipts[0].id, second.id);
  EXPECT_EQ(receipts[0].at, second.at);
  EXPECT_EQ(receipts[1].to_commit, first.to_commit);
}

// Indexes of earlier versions held the vectors themselves, also of what was deleted since.
TEST_F(PurgeTest, IndexesOfEarlierVersionsAreTakenAway) {
  PutMany();
  for (const char* name : {"index/1/7.faiss", "index/1/8.faiss.tmp"}) {
    std::ofstream(folder_ / name, std::ios::binary) << VectorBytes(VectorOf("deleted long ago"));
  }
  Reopen(/*index_after_chunks=*/5);
  EXPECT_THAT(FilesWith(std::string(VectorBytes(VectorOf("deleted long ago")))), ::testing::IsEmpty());
}

TEST_F(PurgeTest, SearchesGoOnMeanwhile) {
  PutMany();
  ASSERT_EQ(store_->DeleteDocuments(kCollection, {DocumentId(kCollection, "secret.md")}).value(), 1);
  std::atomic<bool> purged = false;
  std::thread searcher([&] {
    while (!purged) EXPECT_EQ(Found(*store_, SearchMode::kHybrid, "kept sentence3").at(0), "kept sentence3");
  });
  absl::StatusOr<PurgeReceipt> receipt = store_->Purge();
  purged = true;
  searcher.join();
  EXPECT_THAT(receipt, IsOk());
  ExpectGone();
}

TEST_F(PurgeTest, AnIndexOfMostlyDeletedChunksIsMadeAnewByItself) {
  PutMany();
  std::vector<std::string> ids;
  for (int i = 0; i < 30; ++i) ids.push_back(DocumentId(kCollection, absl::StrCat("doc", i)));
  ASSERT_EQ(store_->DeleteDocuments(kCollection, ids).value(), 30);
  ASSERT_THAT(store_->Flush(), IsOk());
  EXPECT_THAT(FilesWith(CodesOf(VectorOf("kept sentence3"))), ::testing::IsEmpty());
  EXPECT_THAT(FilesWith(CodesOf(VectorOf("kept sentence33"))), ::testing::Contains(::testing::EndsWith(".index")));
}

}  // namespace
}  // namespace lastro::retrieval::testing
