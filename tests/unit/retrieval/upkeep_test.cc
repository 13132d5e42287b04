#include "retrieval/upkeep.h"

#include <atomic>
#include <optional>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "retrieval/document_table.h"
#include "retrieval/schema.h"
#include "tests/unit/retrieval/store_fixture.h"

namespace lastro::retrieval::testing {
namespace {

using lastro::testing::IsOk;
using lastro::testing::StatusIs;
using lastro::testing::TempFolder;
using ::testing::_;

// --- The budget

TEST(UpkeepTest, RestsForABudgetOfBytesAndAQuarterOfACore) {
  const absl::Duration ms = absl::Milliseconds(1);
  EXPECT_EQ(Upkeep::RestAfter(0, 10 * ms, 1000), 30 * ms);
  EXPECT_EQ(Upkeep::RestAfter(1000, 10 * ms, 1000), 990 * ms);
  EXPECT_EQ(Upkeep::RestAfter(40, 10 * ms, 1000), 30 * ms);
  EXPECT_EQ(Upkeep::RestAfter(1000, 5000 * ms, 1000), 15000 * ms);
}

TEST(UpkeepTest, TakesStepsInTurnWhenNudged) {
  std::atomic<int> first = 0, second = 0, left = 0;
  absl::Notification again;
  Upkeep upkeep(1 << 30, {[&]() -> absl::StatusOr<int64_t> {
                            ++first;
                            return left > 0 ? left-- : 0;
                          },
                          [&]() -> absl::StatusOr<int64_t> {
                            if (++second == 5) again.Notify();
                            return 0;
                          }});
  while (second < 1) std::this_thread::yield();  // once at the start
  left = 3;
  upkeep.Nudge(/*urgent=*/true);
  again.WaitForNotification();  // three rounds with work, and one without
  EXPECT_EQ(left, 0);
  upkeep.Stop();
  EXPECT_EQ(first, 5);
  EXPECT_EQ(second, 5);
}

TEST(UpkeepTest, AStepThatFailsIsTriedAgain) {
  std::atomic<bool> broken = true;
  std::atomic<int> tried = 0;
  Upkeep upkeep(1 << 30, {[&]() -> absl::StatusOr<int64_t> {
                  ++tried;
                  return broken ? absl::StatusOr<int64_t>(absl::InternalError("no disk")) : 0;
                }});
  while (tried < 3) upkeep.Nudge(/*urgent=*/true);
  EXPECT_THAT(upkeep.Finish(), StatusIs(absl::StatusCode::kInternal, "no disk"));
  broken = false;
  EXPECT_THAT(upkeep.Finish(), IsOk());
}

// At a byte a second these steps would take days.
TEST(UpkeepTest, IsInHasteWhereSomebodyWaits) {
  std::atomic<int64_t> left = 0;
  std::atomic<int> paces = 0;
  Upkeep* self = nullptr;
  Upkeep upkeep(1, {[&]() -> absl::StatusOr<int64_t> {
                  if (left == 0) return 0;
                  ++paces;
                  self->Pace(1 << 20);
                  return left--;
                }});
  self = &upkeep;
  left = 3;
  EXPECT_THAT(upkeep.Finish(), IsOk());
  EXPECT_EQ(left, 0);
  left = 1;
  while (paces < 4) upkeep.Nudge(/*urgent=*/true);  // it waits in the background now
  { Upkeep::Pause pause(&upkeep); }
  while (left > 0) std::this_thread::yield();
  left = 1;
  upkeep.Nudge(/*urgent=*/true);
  upkeep.Stop();
}

// Nor where something is urgent: until nothing is left to do, or it is not any more.
TEST(UpkeepTest, DoesNotRestWhileNudgedUrgently) {
  std::atomic<int64_t> left = 0;
  Upkeep* self = nullptr;
  Upkeep upkeep(1, {[&]() -> absl::StatusOr<int64_t> {
                  if (left == 0) return 0;
                  self->Pace(1 << 20);
                  return left-- * (1 << 20);
                }});
  self = &upkeep;
  left = 3;
  while (left > 0) {
    upkeep.Nudge(/*urgent=*/true);
    std::this_thread::yield();
  }
}

TEST(UpkeepTest, NoStepRunsDuringAPause) {
  std::atomic<bool> paused = false;
  std::atomic<int> wrong = 0, steps = 0;
  Upkeep upkeep(int64_t{1} << 40, {[&]() -> absl::StatusOr<int64_t> {
                  wrong += paused;
                  std::this_thread::yield();
                  wrong += paused;
                  ++steps;
                  return 1;
                }});
  for (int i = 0; i < 200; ++i) {
    Upkeep::Pause pause(&upkeep);
    paused = true;
    std::this_thread::yield();
    paused = false;
  }
  while (steps < 3) std::this_thread::yield();
  EXPECT_EQ(wrong, 0);
}

// --- The store's

class StoreUpkeepTest : public ::testing::Test {
 protected:
  void SetUp() override { Reopen(); }

  void Reopen(int64_t bytes_per_second = UpkeepOptions().bytes_per_second) {
    store_.reset();
    SqliteStoreOptions options;
    options.folder = folder_.path();
    options.upkeep = {
        .bytes_per_second = bytes_per_second, .log_bytes = 64 << 10, .max_log_bytes = 256 << 10, .free_bytes = 0};
    ASSERT_OK_AND_ASSIGN(store_, SqliteStore::Open(options));
    const absl::Status created = store_->CreateCollection(MakeCollection());
    EXPECT_TRUE(created.ok() || absl::IsAlreadyExists(created)) << created;
  }

  std::unique_ptr<Database> OpenReader() {
    absl::StatusOr<std::unique_ptr<Database>> db = Database::Open(folder_ / "lastro.db", /*read_only=*/true);
    EXPECT_THAT(db, IsOk());
    return *std::move(db);
  }
  int64_t Ask(const std::string& sql) { return OpenReader()->QueryInt(sql).value(); }
  int64_t Segments() { return Ask("SELECT count(DISTINCT segid) FROM fts_1_idx"); }
  int64_t LogBytes() { return static_cast<int64_t>(std::filesystem::file_size(folder_ / "lastro.db-wal")); }

  static std::string TextOf(int document) { return absl::StrCat("number", document, " of the documents"); }

  // With an original that does not compress well.
  void PutOne(int document, size_t bytes) {
    TestDocument test = MakeDocument(absl::StrCat("doc", document), {TextOf(document)});
    std::mt19937_64 random(static_cast<uint64_t>(document));
    std::string noise(bytes, ' ');
    for (char& c : noise) c = static_cast<char>('!' + random() % 90);
    test.original += noise;
    ASSERT_THAT(Put(*store_, test), IsOk());
  }

  void PutMany(int begin, int end, size_t bytes = 20000) {
    for (int document = begin; document < end; ++document) PutOne(document, bytes);
  }

  void ExpectWhole(int begin, int end) {
    EXPECT_THAT(store_->CheckIntegrity(), IsOk());
    EXPECT_EQ(store_->GetCollection(kCollection)->documents, end - begin);
    for (int document = begin; document < end; ++document) {
      for (SearchMode mode : {SearchMode::kLexical, SearchMode::kDense}) {
        EXPECT_EQ(Found(*store_, mode, TextOf(document)).at(0), TextOf(document));
      }
    }
  }

  TempFolder folder_;
  std::unique_ptr<SqliteStore> store_;
};

// Some 10 MB go through the log.
TEST_F(StoreUpkeepTest, TheLogIsBegunAnew) {
  for (int document = 0; document < 100; document += 5) {
    PutMany(document, document + 5);
    ASSERT_THAT(store_->FinishUpkeep(), IsOk());
  }
  EXPECT_LT(LogBytes(), 3 << 20);
  ExpectWhole(0, 100);
}

TEST_F(StoreUpkeepTest, AReaderMakesTheLogLongButStopsNobody) {
  std::unique_ptr<Database> reader = OpenReader();
  {
    ASSERT_OK_AND_ASSIGN(Transaction snapshot, Transaction::Begin(*reader, Transaction::Kind::kRead));
    ASSERT_EQ(reader->QueryInt("SELECT count(*) FROM documents").value(), 0);
    PutMany(0, 60);
    ASSERT_THAT(store_->FinishUpkeep(), IsOk());
    EXPECT_EQ(reader->QueryInt("SELECT count(*) FROM documents").value(), 0) << "another moment's";
  }
  const int64_t longest = LogBytes();
  EXPECT_GT(longest, 3 << 20) << "else the reader held nothing up";
  for (int document = 60; document < 160; document += 5) {
    PutMany(document, document + 5);
    ASSERT_THAT(store_->FinishUpkeep(), IsOk());
  }
  // The first of these, some 1 MB, still come behind what the reader held up; all of them have some 20 MB.
  EXPECT_LE(LogBytes(), longest + (2 << 20));
  ExpectWhole(0, 160);
}

// At no moment is there no reader, and commits follow each other at once, so that the log never comes to its beginning
// by itself. Some 25 MB go through it.
TEST_F(StoreUpkeepTest, TheLogStaysShortUnderSearchesThatOverlap) {
  std::atomic<bool> done = false;
  std::thread readers([&] {
    std::unique_ptr<Database> connections[] = {OpenReader(), OpenReader()};
    std::optional<Transaction> snapshots[2];
    for (size_t i = 0; !done; i = 1 - i) {
      snapshots[i].reset();
      snapshots[i].emplace(Transaction::Begin(*connections[i], Transaction::Kind::kRead).value());
      EXPECT_THAT(connections[i]->QueryInt("SELECT count(*) FROM documents"), IsOk());
    }
  });
  std::thread writer([&] {
    PutMany(0, 120);
    done = true;
  });
  while (!done) EXPECT_THAT(store_->FinishUpkeep(), IsOk());
  writer.join();
  readers.join();
  EXPECT_LT(LogBytes(), 6 << 20);
  ExpectWhole(0, 120);
}

// Commits that follow each other at once, of a store that may move a byte a second beside them.
TEST_F(StoreUpkeepTest, TheLogStaysShortUnderCommitsWithoutEnd) {
  Reopen(/*bytes_per_second=*/1);
  int64_t longest = 0;
  for (int document = 0; document < 400; ++document) {
    PutOne(document, 50000);
    longest = std::max(longest, LogBytes());
  }
  EXPECT_LT(longest, 12 << 20) << "of some 40 MB";
  ExpectWhole(0, 400);
}

TEST_F(StoreUpkeepTest, SegmentsOfTheFullTextIndexAreMerged) {
  PutMany(0, 60, 10);
  ASSERT_THAT(store_->FinishUpkeep(), IsOk());
  EXPECT_LE(Segments(), 16) << "three of a size, and what came since the latest merge";
  ExpectWhole(0, 60);
}

TEST_F(StoreUpkeepTest, TheyAreMergedInTheBackground) {
  PutMany(0, 60, 10);
  while (Segments() > 16) std::this_thread::yield();  // for ever, if they are not
  ExpectWhole(0, 60);
}

TEST_F(StoreUpkeepTest, CommitsMergeWhereTheBackgroundDoesNotFollow) {
  EXPECT_EQ(Ask("SELECT v FROM fts_1_config WHERE k='automerge'"), 16);
  EXPECT_EQ(Ask("SELECT v FROM fts_1_config WHERE k='crisismerge'"), 64);
}

// Those of earlier versions are as FTS5 makes them.
TEST_F(StoreUpkeepTest, IndexesOfEarlierVersionsAreSetUp) {
  store_.reset();
  {
    ASSERT_OK_AND_ASSIGN(std::unique_ptr<Database> db, Database::Open(folder_ / "lastro.db", false));
    ASSERT_THAT(db->Execute("INSERT INTO fts_1(fts_1, rank) VALUES('automerge', 4)"), IsOk());
  }
  Reopen();
  PutMany(0, 20, 10);
  ASSERT_THAT(store_->FinishUpkeep(), IsOk());
  EXPECT_EQ(Ask("SELECT v FROM fts_1_config WHERE k='automerge'"), 16);
  ExpectWhole(0, 20);
}

class FreePagesTest : public StoreUpkeepTest {
 protected:
  int64_t FileBytes() { return static_cast<int64_t>(std::filesystem::file_size(folder_ / "lastro.db")); }

  // Leaves 20 of 40 documents, and puts the log into the database.
  void DeleteHalf() {
    PutMany(0, 40, 200000);
    std::vector<std::string> ids;
    for (int document = 0; document < 20; ++document) {
      ids.push_back(DocumentId(kCollection, absl::StrCat("doc", document)));
    }
    ASSERT_EQ(store_->DeleteDocuments(kCollection, ids).value(), 20);
    ASSERT_THAT(store_->FinishUpkeep(), IsOk());
  }
};

TEST_F(FreePagesTest, AreGivenBack) {
  DeleteHalf();
  EXPECT_LE(Ask("PRAGMA freelist_count") * 8, Ask("PRAGMA page_count"));
  PutOne(40, 10);
  Reopen();  // puts all of the log into the database
  EXPECT_LT(FileBytes(), 20 * 250000);
  ExpectWhole(20, 41);
}

TEST_F(FreePagesTest, OfAnEarlierVersionAreGivenBackFromThePurgeOn) {
  store_.reset();
  {
    ASSERT_OK_AND_ASSIGN(std::unique_ptr<Database> db, Database::Open(folder_ / "lastro.db", false));
    ASSERT_THAT(db->Execute("PRAGMA auto_vacuum=NONE; VACUUM"), IsOk());
  }
  Reopen();
  DeleteHalf();
  EXPECT_GT(Ask("PRAGMA freelist_count") * 3, Ask("PRAGMA page_count")) << "they cannot be";
  ASSERT_THAT(store_->Purge(), IsOk());
  EXPECT_EQ(Ask("PRAGMA auto_vacuum"), 2);
  EXPECT_LT(FileBytes(), 20 * 250000);
  ExpectWhole(20, 40);
}

}  // namespace
}  // namespace lastro::retrieval::testing
