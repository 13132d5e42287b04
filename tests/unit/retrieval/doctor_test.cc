#include "retrieval/doctor.h"

#include <sqlite3.h>

#include <fstream>
#include <set>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "retrieval/document_table.h"
#include "tests/unit/retrieval/store_fixture.h"

namespace lastro::retrieval::testing {
namespace {

using lastro::testing::IsOk;
using lastro::testing::StatusIs;
using ::testing::_;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr size_t kPage = 8192;

class DoctorTest : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    for (int i = 0; i < 12; ++i) {
      documents_.push_back(MakeDocument(absl::StrCat("doc", i), {Text(i), absl::StrCat("second part ", i)}));
      ASSERT_THAT(Put(*store_, documents_.back()), IsOk());
    }
    ASSERT_THAT(store_->Flush(), IsOk());
    store_.reset();
  }

  static std::string Text(int i) { return absl::StrCat("word", i, " stands here"); }

  DoctorReport Run(bool repair = false, bool drop_damaged = false) {
    absl::StatusOr<DoctorReport> report =
        RunDoctor({.folder = folder_.path(), .repair = repair, .drop_damaged = drop_damaged}, CallContext());
    EXPECT_THAT(report, IsOk());
    return report.ok() ? *report : DoctorReport();
  }

  static int64_t Problems(const std::vector<Finding>& findings, const std::string& check) {
    for (const Finding& finding : findings) {
      if (finding.check == check) return finding.problems;
    }
    ADD_FAILURE() << "no check of " << check;
    return -1;
  }

  // Changes the database through SQLite, as a fault of the program would: pages and checksums agree.
  void Execute(const std::string& sql) {
    ASSERT_OK_AND_ASSIGN(std::unique_ptr<Database> db, Database::Open(folder_ / "lastro.db", false));
    ASSERT_EQ(sqlite3_db_config(db->handle(), SQLITE_DBCONFIG_DEFENSIVE, 0, nullptr), SQLITE_OK);
    ASSERT_THAT(db->Execute("PRAGMA foreign_keys=OFF;" + sql), IsOk());
  }

  // Flips a bit of the page on which `bytes` first stand.
  void DamagePageWith(const std::string& bytes) {
    std::string path = folder_ / "lastro.db";
    {  // else a free page may have them too
      ASSERT_OK_AND_ASSIGN(std::unique_ptr<Database> db, Database::Open(path, false));
      ASSERT_THAT(db->Execute("VACUUM"), IsOk());
    }
    std::string file = ReadFile(path, 1 << 30).value();
    size_t at = file.find(bytes);
    ASSERT_NE(at, std::string::npos) << bytes;
    file[at + 1] ^= 1;
    std::ofstream(path, std::ios::binary) << file;
  }

  // Flips a bit of the last page of a table or index, or all of them.
  void DamagePageOf(const std::string& name, bool whole = false) {
    int64_t page = 0;
    {
      ASSERT_OK_AND_ASSIGN(std::unique_ptr<Database> db, Database::Open(folder_ / "lastro.db", true));
      ASSERT_OK_AND_ASSIGN(page, db->QueryInt("SELECT max(pageno) FROM dbstat WHERE name='" + name + "'"));
    }
    std::string path = folder_ / "lastro.db";
    std::string file = ReadFile(path, 1 << 30).value();
    const size_t end = static_cast<size_t>(page) * kPage;
    for (size_t at = whole ? end - kPage : end - 100; at < (whole ? end : end - 99); ++at) file[at] ^= 1;
    std::ofstream(path, std::ios::binary) << file;
  }

  // Flips a bit of the second of `bytes` where a table, not its indexes, has them.
  void DamageInTable(const std::string& name, const std::string& bytes) {
    std::string path = folder_ / "lastro.db";
    std::string file = ReadFile(path, 1 << 30).value();
    ASSERT_OK_AND_ASSIGN(std::unique_ptr<Database> db, Database::Open(path, true));
    ASSERT_OK_AND_ASSIGN(Statement pages, db->Prepare("SELECT pageno FROM dbstat WHERE name=?1"));
    pages.BindText(1, name);
    while (pages.Step().value()) {
      const size_t begin = static_cast<size_t>(pages.Int(0) - 1) * kPage, at = file.find(bytes, begin);
      if (at >= begin + kPage) continue;
      file[at + 1] ^= 1;
      std::ofstream(path, std::ios::binary) << file;
      return;
    }
    FAIL() << "no page of " << name << " has " << bytes;
  }

  void ExpectAllFound(const std::set<std::string>& but = {}) {
    Reopen();
    EXPECT_THAT(store_->CheckIntegrity(), IsOk());
    for (int i = 0; i < 12; ++i) {
      if (but.count(documents_[i].document.uri) != 0) continue;
      EXPECT_EQ(Found(*store_, SearchMode::kLexical, absl::StrCat("word", i)).at(0), Text(i));
      EXPECT_EQ(Found(*store_, SearchMode::kDense, Text(i)).at(0), Text(i));
      EXPECT_EQ(store_->ReadOriginal(kCollection, DocumentId(kCollection, documents_[i].document.uri)).value(),
                documents_[i].original);
    }
  }

  std::vector<TestDocument> documents_;
};

TEST_F(DoctorTest, FindsNothingInASoundStore) {
  DoctorReport report = Run();
  EXPECT_TRUE(report.healthy());
  EXPECT_EQ(report.findings.size(), 10u);
  for (const Finding& finding : report.findings) {
    EXPECT_EQ(finding.problems, 0) << finding.check;
    const bool may_be_none = finding.check == "jobs" || finding.check == "other vectors";
    EXPECT_TRUE(finding.looked_at > 0 || may_be_none) << finding.check;
  }
}

TEST_F(DoctorTest, NeedsAStoreThatNobodyHasOpen) {
  EXPECT_THAT(RunDoctor({.folder = folder_ / "none"}, CallContext()),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
  Reopen();
  EXPECT_THAT(RunDoctor({.folder = folder_.path()}, CallContext()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("pid")));
}

TEST_F(DoctorTest, MendsWhatIsDerived) {
  Execute(
      "DELETE FROM fts_1_data WHERE id>10; UPDATE collections SET documents=99, chunks=1;"
      "INSERT INTO contents(sha256, size_bytes) VALUES('nobodys', 0);"
      "INSERT INTO jobs(id, created_ns, data) VALUES('bad', 1, x'ff');");
  std::ofstream(folder_ / "index/1/1.index", std::ios::in | std::ios::out | std::ios::binary).seekp(5000) << "garbage";
  DoctorReport report = Run();
  EXPECT_FALSE(report.healthy());
  for (const char* check : {"full-text indexes", "vector indexes", "jobs"}) {
    EXPECT_EQ(Problems(report.findings, check), 1) << check;
  }
  EXPECT_EQ(Problems(report.findings, "counts and owners"), 2);
  EXPECT_TRUE(report.documents.empty());
  report = Run(/*repair=*/true);
  EXPECT_TRUE(report.healthy());
  EXPECT_EQ(Problems(report.findings, "full-text indexes"), 1) << "says what there was";
  EXPECT_FALSE(std::filesystem::exists(folder_ / "index/1/1.index"));
  ExpectAllFound();
}

TEST_F(DoctorTest, MendsWhatFiltersAndScopesRead) {
  Reopen();
  TestDocument secret = MakeDocument("secret", {"zebra"});
  secret.document.labels = {"hr"};
  secret.document.metadata = {{"year", 2024.0}};
  ASSERT_THAT(Put(*store_, secret), IsOk());
  store_.reset();
  for (const char* damage :
       {"UPDATE fields SET value=CAST('board' AS BLOB) WHERE value=CAST('hr' AS BLOB)",
        "DELETE FROM fields WHERE key='year'",
        "INSERT INTO fields SELECT * FROM (SELECT document, collection, key, type, CAST('more' AS BLOB) FROM fields "
        "WHERE value=CAST('hr' AS BLOB))"}) {
    Execute(damage);
    EXPECT_EQ(Problems(Run().findings, "counts and owners"), 1) << damage;
    EXPECT_TRUE(Run(/*repair=*/true).healthy()) << damage;
    EXPECT_EQ(Problems(Run().findings, "counts and owners"), 0) << damage;
  }
}

TEST_F(DoctorTest, NamesDamagedDocumentsAndRemovesThemOnlyWhenTold) {
  Execute(
      "UPDATE vectors_1 SET vector=zeroblob(length(vector)) "
      "WHERE chunk=(SELECT id FROM chunks WHERE text LIKE 'word3 %');"
      "UPDATE chunks SET text='word5 stands there' WHERE text LIKE 'word5 %';"
      "UPDATE chunks SET ordinal=7 WHERE text='second part 6';"
      "DELETE FROM content_blocks WHERE content=(SELECT id FROM contents WHERE sha256=(SELECT content_sha256 "
      "FROM documents WHERE uri='doc7'));");
  DoctorReport report = Run(/*repair=*/true);
  EXPECT_FALSE(report.healthy());
  ASSERT_EQ(report.documents.size(), 4u);
  EXPECT_FALSE(report.dropped);
  EXPECT_THAT(report.documents[0].reason, HasSubstr("damaged vector"));
  EXPECT_THAT(report.documents[1].reason, HasSubstr("differs from its source"));
  EXPECT_THAT(report.documents[2].reason, HasSubstr("is missing"));
  EXPECT_THAT(report.documents[3].reason, HasSubstr("missing"));
  Reopen();
  EXPECT_THAT(store_->FindDocument(kCollection, "doc3"), IsOk());
  store_.reset();
  report = Run(/*repair=*/true, /*drop_damaged=*/true);
  EXPECT_TRUE(report.healthy());
  EXPECT_TRUE(report.dropped);
  ExpectAllFound({"doc3", "doc5", "doc6", "doc7"});
  EXPECT_EQ(store_->DocumentStates(kCollection)->size(), 8u);
  EXPECT_EQ(store_->GetCollection(kCollection)->chunks, 16);
  ASSERT_THAT(Put(*store_, documents_[3]), IsOk());
  EXPECT_EQ(Found(*store_, SearchMode::kDense, Text(3)).at(0), Text(3));
}

TEST_F(DoctorTest, ACellBeyondItsTextIsDamage) {
  // A layout ends with the number of cells, and of each begin, end and name: here one from 0 to 10,000.
  Execute("UPDATE chunks SET layout=layout||x'0100904E00' WHERE text LIKE 'word3 %'");
  const DoctorReport report = Run();
  EXPECT_FALSE(report.healthy());
  ASSERT_EQ(report.documents.size(), 1u);
  EXPECT_THAT(report.documents[0].reason, HasSubstr("has a cell beyond its text"));
}

TEST_F(DoctorTest, MendsDamagedPagesOfIndexesWithoutLosingADocument) {
  for (const char* index : {"documents_by_content", "fields_by_document", "chunks_by_text"}) {
    for (bool whole : {false, true}) {  // of a whole page SQLite cannot even free what it holds
      SCOPED_TRACE(absl::StrCat(index, " ", whole));
      DamagePageOf(index, whole);
      DoctorReport report = Run();
      EXPECT_EQ(Problems(report.findings, "page checksums"), 1);
      EXPECT_THAT(report.findings[1].details.at(0), HasSubstr(index));
      report = Run(/*repair=*/true);
      EXPECT_TRUE(report.healthy());
      EXPECT_TRUE(report.documents.empty());
      ExpectAllFound();
      store_.reset();
    }
  }
}

TEST_F(DoctorTest, ADamagedPageOfChunksCostsOnlyItsDocuments) {
  Reopen();
  for (int i = 0; i < 8; ++i) {  // more pages of chunks
    documents_.push_back(
        MakeDocument(absl::StrCat("long", i), {absl::StrCat("long", i, " - ", std::string(6000, 'x'))}));
    ASSERT_THAT(Put(*store_, documents_.back()), IsOk());
  }
  store_.reset();
  // As the text alone has it: an index has words, an original is compressed.
  DamagePageWith("long3 - " + std::string(1000, 'x'));
  EXPECT_THAT(SqliteStore::Open({.folder = folder_.path()}),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("lastro doctor")));
  DoctorReport report = Run(/*repair=*/true);
  EXPECT_FALSE(report.healthy()) << "a damaged page was taken for sound";
  report = Run(/*repair=*/true, /*drop_damaged=*/true);
  EXPECT_TRUE(report.healthy());
  EXPECT_TRUE(report.dropped);
  std::set<std::string> gone;
  for (const DamagedDocument& document : report.documents) gone.insert(document.uri);
  EXPECT_EQ(gone.count("long3"), 1u);
  EXPECT_LT(gone.size(), 4u);
  ExpectAllFound(gone);
}

// Two vectors stand on a page.
constexpr int kWide = 1000;

// The index knows the name that the document had, also after a repair that keeps damaged documents.
TEST_F(DoctorTest, ADocumentWhoseNameIsDamagedIsToldByTheNameThatItHad) {
  const std::string uri = documents_[3].document.uri;
  DamageInTable("documents", uri);
  EXPECT_FALSE(Run(/*repair=*/true).healthy());
  DoctorReport report = Run(/*repair=*/true, /*drop_damaged=*/true);
  EXPECT_TRUE(report.healthy());
  std::set<std::string> told;
  for (const DamagedDocument& document : report.documents) told.insert(document.uri);
  EXPECT_EQ(told.count(uri), 1u);
  ExpectAllFound(told);
}

TEST_F(DoctorTest, ADamagedPageOfVectorsCostsOnlyItsDocuments) {
  Reopen();
  ASSERT_THAT(store_->CreateCollection(MakeCollection("wide", kFingerprint, kWide)), IsOk());
  for (int i = 0; i < 8; ++i) {
    ASSERT_THAT(Put(*store_, MakeDocument(absl::StrCat("wide", i), {absl::StrCat("wide text ", i)}, "wide", kWide)),
                IsOk());
  }
  store_.reset();
  DamagePageOf("vectors_2");
  EXPECT_FALSE(Run(/*repair=*/true).healthy()) << "a damaged page was taken for sound";
  DoctorReport report = Run(/*repair=*/true, /*drop_damaged=*/true);
  EXPECT_TRUE(report.healthy());
  EXPECT_TRUE(report.dropped);
  EXPECT_GE(report.documents.size(), 1u);
  EXPECT_LE(report.documents.size(), 2u);
  ExpectAllFound();
  EXPECT_EQ(store_->GetCollection("wide")->documents, 8 - static_cast<int64_t>(report.documents.size()));
}

TEST_F(DoctorTest, ADamagedPageOfVectorsThatAreNotSearchedCostsNoDocument) {
  const VectorSet wide = OtherModel("wide", kWide);
  for (bool whole : {false, true}) {
    SCOPED_TRACE(whole);
    Reopen();
    ASSERT_THAT(store_->BeginReembedding(kCollection, wide), IsOk());
    ASSERT_THAT(FillOther(*store_, wide), IsOk());
    store_.reset();
    DamagePageOf("vectors_2", whole);
    DoctorReport report = Run(/*repair=*/true);
    EXPECT_TRUE(report.healthy());
    EXPECT_TRUE(report.documents.empty());
    ExpectAllFound();
    EXPECT_EQ(FillOther(*store_, wide).value(), 24);
    ASSERT_THAT(store_->SwitchVectors(kCollection, "wide"), IsOk());
    ASSERT_THAT(store_->SwitchVectors(kCollection, kFingerprint), IsOk());
  }
}

TEST_F(DoctorTest, ADamagedStoreOfAnOlderVersionIsReported) {
  {
    ASSERT_OK_AND_ASSIGN(std::unique_ptr<Database> db, Database::Open(folder_ / "lastro.db", false));
    MakeVersion3(*db);
  }
  DamagePageOf("chunks");
  DoctorReport report = Run(/*repair=*/true, /*drop_damaged=*/true);
  EXPECT_FALSE(report.healthy());
  ASSERT_FALSE(report.findings.empty());
  EXPECT_THAT(report.findings[0].details, ElementsAre(HasSubstr("schema version 3 cannot be upgraded to 5")));
}

TEST_F(DoctorTest, ChangesNothingBesideDamageThatIsKept) {
  // A record of nobody, which a repair removes, on the page of a damaged one, which it must not make pass.
  Execute("INSERT INTO contents(sha256, size_bytes) VALUES('nobodys', 0)");
  DamagePageOf("contents");
  DoctorReport report = Run(/*repair=*/true);
  EXPECT_FALSE(report.healthy());
  EXPECT_FALSE(report.documents.empty());
  EXPECT_EQ(Problems(Run().findings, "page checksums"), 1);
  EXPECT_TRUE(Run(/*repair=*/true, /*drop_damaged=*/true).healthy());
}

TEST_F(DoctorTest, GoesOnWithoutLostCommitsOnlyWhenTold) {
  Reopen();
  ASSERT_THAT(Put(*store_, "late", {"a late document"}), IsOk());
  std::filesystem::create_directory(folder_ / "killed");
  for (const char* name : {"lastro.db", "lastro.db-sums"}) {
    std::filesystem::copy_file(folder_ / name, folder_ / ("killed/" + std::string(name)));
  }
  // Its log is lost.
  EXPECT_THAT(SqliteStore::Open({.folder = folder_ / "killed"}),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("-wal")));
  DoctorOptions options{.folder = folder_ / "killed", .repair = true};
  EXPECT_FALSE(RunDoctor(options, CallContext())->healthy());
  EXPECT_THAT(SqliteStore::Open({.folder = folder_ / "killed"}), StatusIs(absl::StatusCode::kDataLoss, _));
  options.drop_damaged = true;
  EXPECT_TRUE(RunDoctor(options, CallContext())->healthy());
  ASSERT_OK_AND_ASSIGN(auto killed, SqliteStore::Open({.folder = folder_ / "killed"}));
  EXPECT_EQ(killed->DocumentStates(kCollection)->size(), 12u);
}

TEST_F(DoctorTest, LostChecksumsOfASoundDatabaseAreMadeAnew) {
  std::filesystem::resize_file(folder_ / "lastro.db-sums", 100);
  EXPECT_THAT(SqliteStore::Open({.folder = folder_.path()}),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("doctor")));
  EXPECT_FALSE(Run().healthy());
  EXPECT_TRUE(Run(/*repair=*/true).healthy());
  ExpectAllFound();
}

TEST_F(DoctorTest, ALogOfAnotherTimeIsSetAside) {
  const std::string copy = folder_ / "copy-wal", log = folder_ / "lastro.db-wal";
  Reopen();
  ASSERT_THAT(Put(*store_, "doc0", {"another text"}), IsOk());
  std::filesystem::copy_file(log, copy);  // as of now, while the store goes on
  ASSERT_THAT(Put(*store_, documents_[0]), IsOk());
  store_.reset();
  std::filesystem::rename(copy, log);
  EXPECT_THAT(SqliteStore::Open({.folder = folder_.path()}), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("-wal")));
  EXPECT_FALSE(Run().healthy());
  EXPECT_TRUE(Run(/*repair=*/true).healthy());
  EXPECT_TRUE(std::filesystem::exists(log + ".set-aside"));
  ExpectAllFound();
}

}  // namespace
}  // namespace lastro::retrieval::testing
