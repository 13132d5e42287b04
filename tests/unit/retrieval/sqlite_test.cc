#include "retrieval/sqlite.h"

#include <sqlite3.h>

#include <fstream>

#include "retrieval/schema.h"
#include "tests/test_util.h"

namespace lastro::retrieval {
namespace {

using lastro::testing::IsOk;
using lastro::testing::StatusIs;
using ::testing::_;
using ::testing::HasSubstr;

class SqliteTest : public ::testing::Test {
 protected:
  std::unique_ptr<Database> OpenOrDie(bool read_only = false) {
    auto db = Database::Open(folder_ / "x.db", read_only);
    EXPECT_TRUE(db.ok()) << db.status();
    return *std::move(db);
  }
  lastro::testing::TempFolder folder_;
};

TEST_F(SqliteTest, RoundTripsValues) {
  auto db = OpenOrDie();
  ASSERT_THAT(db->Execute("CREATE TABLE t(a INTEGER, b REAL, c TEXT, d BLOB)"), IsOk());
  ASSERT_OK_AND_ASSIGN(Statement insert, db->Prepare("INSERT INTO t VALUES(?1,?2,?3,?4)"));
  std::string text("a\0ç", 4), blob("\0\xFF", 2);
  ASSERT_THAT(insert.Bind(1, int64_t{-5}).Bind(2, 0.25).BindText(3, text).BindBlob(4, blob).Run(), IsOk());
  ASSERT_THAT(insert.BindText(3, {}).BindBlob(4, {}).Run(), IsOk());
  ASSERT_OK_AND_ASSIGN(Statement query, db->Prepare("SELECT a, b, c, d, NULL FROM t"));
  ASSERT_OK_AND_ASSIGN(bool found, query.Step());
  ASSERT_TRUE(found);
  EXPECT_EQ(query.Int(0), -5);
  EXPECT_EQ(query.Double(1), 0.25);
  EXPECT_EQ(query.Text(2), text);
  EXPECT_EQ(query.Bytes(3), blob);
  EXPECT_TRUE(query.IsNull(4));
  ASSERT_OK_AND_ASSIGN(found, query.Step());
  EXPECT_EQ(query.Text(2), "");
  EXPECT_FALSE(query.IsNull(3));
}

TEST_F(SqliteTest, RollsBackUnlessCommitted) {
  auto db = OpenOrDie();
  ASSERT_THAT(db->Execute("CREATE TABLE t(a)"), IsOk());
  {
    ASSERT_OK_AND_ASSIGN(Transaction transaction, Transaction::Begin(*db, Transaction::Kind::kWrite));
    ASSERT_THAT(db->Execute("INSERT INTO t VALUES(1)"), IsOk());
  }
  EXPECT_THAT(db->QueryInt("SELECT count(*) FROM t").value(), 0);
  ASSERT_OK_AND_ASSIGN(Transaction transaction, Transaction::Begin(*db, Transaction::Kind::kWrite));
  ASSERT_THAT(db->Execute("INSERT INTO t VALUES(1)"), IsOk());
  ASSERT_THAT(transaction.Commit(), IsOk());
  EXPECT_THAT(db->QueryInt("SELECT count(*) FROM t").value(), 1);
}

TEST_F(SqliteTest, TranslatesErrors) {
  EXPECT_EQ(SqliteError(SQLITE_FULL, nullptr, "x").code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(SqliteError(SQLITE_CORRUPT_VTAB, nullptr, "x").code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(SqliteError(SQLITE_BUSY_SNAPSHOT, nullptr, "x").code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(SqliteError(SQLITE_IOERR_READ, nullptr, "x").code(), absl::StatusCode::kInternal);
  auto db = OpenOrDie();
  EXPECT_THAT(db->Execute("nonsense"), StatusIs(absl::StatusCode::kInternal, HasSubstr("nonsense")));
  ASSERT_THAT(db->Execute("CREATE TABLE t(a UNIQUE); INSERT INTO t VALUES(1)"), IsOk());
  EXPECT_THAT(db->Execute("INSERT INTO t VALUES(1)"), StatusIs(absl::StatusCode::kFailedPrecondition, _));
  auto reader = OpenOrDie(/*read_only=*/true);
  EXPECT_THAT(reader->Execute("INSERT INTO t VALUES(2)"), StatusIs(absl::StatusCode::kPermissionDenied, _));
}

TEST_F(SqliteTest, ReportsFilesThatAreNoDatabases) {
  std::ofstream(folder_ / "x.db") << std::string(8192, 'x');
  EXPECT_THAT(Database::Open(folder_ / "x.db", false), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("x.db")));
}

TEST_F(SqliteTest, SurvivesAFullDisk) {
  auto db = OpenOrDie();
  ASSERT_THAT(db->Execute("CREATE TABLE t(a); PRAGMA max_page_count=10"), IsOk());
  {
    ASSERT_OK_AND_ASSIGN(Transaction transaction, Transaction::Begin(*db, Transaction::Kind::kWrite));
    ASSERT_THAT(db->Execute("INSERT INTO t VALUES(1)"), IsOk());
    EXPECT_THAT(db->Execute("INSERT INTO t VALUES(zeroblob(1000000))"),
                StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("free some disk space")));
  }
  EXPECT_THAT(db->QueryInt("SELECT count(*) FROM t").value(), 0);
  EXPECT_THAT(db->Execute("INSERT INTO t VALUES(2)"), IsOk());
}

TEST_F(SqliteTest, StopsWhenTheCallIsCancelled) {
  auto db = OpenOrDie();
  CallContext context;
  context.Cancel();
  db->SetContext(&context);
  EXPECT_THAT(db->QueryInt("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<100000000) "
                           "SELECT count(*) FROM n"),
              StatusIs(absl::StatusCode::kCancelled, _));
  db->SetContext(nullptr);
  EXPECT_THAT(db->QueryInt("SELECT 7").value(), 7);
}

TEST_F(SqliteTest, RefusesForeignAndNewerFiles) {
  auto db = OpenOrDie();
  ASSERT_THAT(PrepareSchema(*db), IsOk());
  ASSERT_THAT(PrepareSchema(*db), IsOk());
  ASSERT_THAT(db->Execute("PRAGMA user_version=99"), IsOk());
  EXPECT_THAT(PrepareSchema(*db), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("newer Lastro")));
  ASSERT_THAT(db->Execute("PRAGMA application_id=5"), IsOk());
  EXPECT_THAT(PrepareSchema(*db), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("another application")));
}

}  // namespace
}  // namespace lastro::retrieval
