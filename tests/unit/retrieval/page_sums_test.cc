#include "retrieval/page_sums.h"

#include <sqlite3.h>

#include <fstream>

#include "base/file.h"
#include "retrieval/sqlite.h"
#include "tests/test_util.h"

namespace lastro::retrieval {
namespace {

using lastro::testing::IsOk;
using lastro::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr size_t kPage = 8192;

class PageSumsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::unique_ptr<Database> db = Open();
    ASSERT_THAT(db->Execute("CREATE TABLE t(x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE "
                            "i<40) INSERT INTO t SELECT i || hex(zeroblob(2000)) FROM n;"),
                IsOk());
  }

  std::unique_ptr<Database> Open(bool read_only = false) {
    absl::StatusOr<std::unique_ptr<Database>> db = Database::Open(path_, read_only);
    EXPECT_THAT(db, IsOk());
    return *std::move(db);
  }

  std::vector<int64_t> Differing() {
    std::vector<int64_t> pages;
    absl::StatusOr<std::vector<DifferingPage>> differing = DifferingPages(Open(true)->handle());
    EXPECT_THAT(differing, IsOk());
    for (const DifferingPage& page : *differing) pages.push_back(page.page);
    return pages;
  }

  static absl::Status ReadAll(Database& db) { return db.QueryInt("SELECT sum(length(x)) FROM t").status(); }

  void Flip(const std::string& path, size_t at) {
    std::string file = ReadFile(path, 1 << 30).value();
    ASSERT_LT(at, file.size());
    file[at] ^= 0x10;
    std::ofstream(path, std::ios::binary) << file;
  }

  lastro::testing::TempFolder folder_;
  const std::string path_ = folder_ / "x.db";
};

TEST_F(PageSumsTest, FitAfterEveryKindOfChange) {
  EXPECT_THAT(Differing(), IsEmpty());
  for (const char* sql : {"DELETE FROM t WHERE rowid % 3 = 0", "VACUUM", "UPDATE t SET x=x || 'longer'",
                          "DROP TABLE t; CREATE TABLE t(x)", "VACUUM"}) {
    ASSERT_THAT(Open()->Execute(sql), IsOk());
    EXPECT_THAT(Differing(), IsEmpty()) << sql;
    EXPECT_THAT(ReadAll(*Open(true)), IsOk()) << sql;
  }
}

TEST_F(PageSumsTest, OneFlippedBitIsSeen) {
  Flip(path_, 5 * kPage + 777);
  EXPECT_THAT(Differing(), ElementsAre(6));
  std::unique_ptr<Database> db = Open(true);
  EXPECT_THAT(ReadAll(*db), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("checksum")));
  db = Open(true);
  VerifyPages(db->handle(), false);
  EXPECT_THAT(ReadAll(*db), IsOk());
}

TEST_F(PageSumsTest, SwappedPagesAreSeen) {
  std::string file = ReadFile(path_, 1 << 30).value();
  std::swap_ranges(&file[4 * kPage], &file[5 * kPage], &file[6 * kPage]);
  std::ofstream(path_, std::ios::binary) << file;
  EXPECT_THAT(Differing(), ElementsAre(5, 7));
}

TEST_F(PageSumsTest, ADatabaseWithoutSumsGetsThemFromAWriter) {
  std::filesystem::remove(PageSumsFile(path_));
  EXPECT_THAT(ReadAll(*Open(true)), IsOk());
  EXPECT_FALSE(std::filesystem::exists(PageSumsFile(path_)));
  EXPECT_THAT(ReadAll(*Open()), IsOk());
  EXPECT_THAT(Differing(), IsEmpty());
  Flip(path_, 7 * kPage);
  EXPECT_THAT(ReadAll(*Open()), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("checksum")));
  ASSERT_THAT(RemakePageSums(path_), IsOk());
  EXPECT_THAT(Differing(), IsEmpty());
}

TEST_F(PageSumsTest, NotesAreKeptAndDamagedOnesAreNone) {
  {
    std::unique_ptr<Database> db = Open();
    EXPECT_EQ(ReadNote(db->handle(), Note::kWrites), 0);
    WriteNote(db->handle(), Note::kWrites, 42);
    WriteNote(db->handle(), Note::kStore, 7);
  }
  EXPECT_EQ(ReadNote(Open(true)->handle(), Note::kWrites), 42);
  Flip(PageSumsFile(path_), 32);
  EXPECT_EQ(ReadNote(Open()->handle(), Note::kWrites), 0);
  EXPECT_EQ(ReadNote(Open()->handle(), Note::kStore), 7);
  EXPECT_THAT(Differing(), IsEmpty());
}

}  // namespace
}  // namespace lastro::retrieval
