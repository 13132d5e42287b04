// Damages the files of a store: cut, bits flipped, ranges zeroed, pages swapped, pages and files of an older copy or of
// another store put in their place, files removed. The store then works with right answers, or refuses with an error
// that says what and what to do; never a wrong answer, a crash or a hang. What it refuses the doctor mends or not, and
// never to something wrong.
#include <cstdlib>
#include <fstream>
#include <set>

#include "absl/strings/match.h"
#include "base/file.h"
#include "retrieval/doctor.h"
#include "tests/crash/store_workload.h"

namespace lastro::retrieval::testing {
namespace {

namespace fs = std::filesystem;
using lastro::testing::IsOk;
using lastro::testing::TempFolder;

constexpr size_t kPage = 8192;
constexpr int kDefaultRounds = 1200;  // LASTRO_DAMAGE_ROUNDS: another number

using Files = std::map<std::string, std::string>;  // path in the data folder -> bytes

Files ReadFolder(const std::string& folder) {
  Files files;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    std::string name = fs::relative(entry.path(), folder).string();
    if (!entry.is_regular_file() || name == "lastro.lock") continue;
    files[name] = lastro::ReadFile(entry.path().string(), 1u << 30).value();
  }
  return files;
}

void WriteFolder(const Files& files, const std::string& folder) {
  for (const auto& [name, bytes] : files) {
    fs::path path = fs::path(folder) / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << bytes;
  }
}

// A store with a history: as it was in its middle, and at its end, with its log (killed) or without (closed).
struct History {
  Files middle, middle_with_log, end, end_with_log;
  StoreContents contents;
};

class DamageTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", /*replace=*/0);
  }

  void SetUp() override {
    random_ = lastro::testing::SeededRandom(4);
    const char* rounds = std::getenv("LASTRO_DAMAGE_ROUNDS");
    rounds_ = rounds == nullptr ? kDefaultRounds : std::atoi(rounds);
    ASSERT_NO_FATAL_FAILURE(Live(&store_));
    ASSERT_NO_FATAL_FAILURE(Live(&other_));
  }

  static void Live(History* history) {
    TempFolder folder;
    StoreWorkload workload(folder.path());
    for (size_t step = 0; step < workload.size(); ++step) {
      ASSERT_THAT(workload.Run(step), IsOk()) << workload.name(step);
      if (step != workload.size() * 3 / 5) continue;
      history->middle_with_log = ReadFolder(folder.path());
      workload.Close();
      history->middle = ReadFolder(folder.path());
    }
    ASSERT_THAT(workload.store()->Flush(), IsOk());
    history->end_with_log = ReadFolder(folder.path());
    history->contents = workload.contents();
    workload.Close();
    history->end = ReadFolder(folder.path());
  }

  size_t Below(size_t bound) { return bound == 0 ? 0 : random_() % bound; }

  std::string Pick(const Files& files) {
    auto file = files.begin();
    std::advance(file, Below(files.size()));
    return file->first;
  }

  // Damages one file; what was done.
  std::string Damage(Files* files, bool with_log) {
    std::string name = Pick(*files);
    std::string& bytes = (*files)[name];
    // Copies of the same kind of folder, so that there is such a file.
    const Files& older = with_log ? store_.middle_with_log : store_.middle;
    const Files& other = with_log ? other_.end_with_log : other_.end;
    const Files& donor = Below(2) ? older : other;
    std::string from = &donor == &older ? "an older copy" : "another store";
    auto donated = donor.find(name);
    if (donated == donor.end()) donated = donor.find("lastro.db");
    size_t pages = bytes.size() / kPage;
    switch (Below(7)) {
      case 0: {
        size_t size = Below(bytes.size());
        bytes.resize(size);
        return absl::StrCat(name, " cut to ", size);
      }
      case 1: {
        size_t at = Below(bytes.size());
        for (size_t i = 0, count = 1 + Below(4); i < count && !bytes.empty(); ++i) {
          bytes[std::min(at + i, bytes.size() - 1)] ^= static_cast<char>(1 << Below(8));
        }
        return absl::StrCat(name, " flipped at ", at);
      }
      case 2: {
        size_t at = Below(bytes.size()), size = 1 + Below(20000);
        for (size_t i = at; i < std::min(bytes.size(), at + size); ++i) bytes[i] = 0;
        return absl::StrCat(name, " zeroed from ", at, ", ", size, " bytes");
      }
      case 3: {
        size_t a = Below(pages), b = Below(pages);
        if (pages > 0) std::swap_ranges(&bytes[a * kPage], &bytes[a * kPage] + kPage, &bytes[b * kPage]);
        return absl::StrCat(name, " pages ", a, " and ", b, " swapped");
      }
      case 4: {
        size_t page = Below(std::min(pages, donated->second.size() / kPage));
        if (pages > 0) bytes.replace(page * kPage, kPage, donated->second.substr(page * kPage, kPage));
        return absl::StrCat(name, " page ", page, " from ", from);
      }
      case 5:
        bytes = donated->second;
        return absl::StrCat(name, " replaced by ", donated->first, " of ", from);
      default:
        files->erase(name);
        return name + " removed";
    }
  }

  // A log of another folder beside a database that had none.
  std::string AddLog(Files* files) {
    bool older = Below(2) != 0;
    (*files)["lastro.db-wal"] = (older ? store_.middle_with_log : other_.end_with_log).at("lastro.db-wal");
    return older ? "with a log of an older time" : "with a log of another store";
  }

  // Damaged means: said so, with the file and what to do.
  void ExpectClear(const absl::Status& status, const std::string& folder) {
    ++refused_;
    std::string message(status.message());
    EXPECT_TRUE(absl::IsDataLoss(status) || absl::IsFailedPrecondition(status)) << status;
    EXPECT_TRUE(absl::StrContains(message, folder)) << "names no file: " << status;
    EXPECT_TRUE(absl::StrContains(message, "; ")) << "says not what to do: " << status;
  }

  void Look(const Files& files) {
    TempFolder folder;
    WriteFolder(files, folder.path());
    absl::StatusOr<std::unique_ptr<SqliteStore>> store =
        SqliteStore::Open({.folder = folder.path(), .index_after_chunks = kWorkloadIndexAfter});
    absl::Status refusal = store.status();
    if (store.ok()) {
      EXPECT_EQ(DifferenceOf(**store, store_.contents, &refusal), "");
      store->reset();
    }
    if (refusal.ok()) {
      ++worked_;
    } else {
      ExpectClear(refusal, folder.path());
      Mend(folder.path());
    }
  }

  // What the doctor calls healthy is: it has right documents, or those of an earlier commit when it said so.
  void Mend(const std::string& folder) {
    absl::StatusOr<DoctorReport> report =
        RunDoctor({.folder = folder, .repair = true, .drop_damaged = true}, CallContext());
    if (absl::IsNotFound(report.status())) return;  // the database itself was removed
    ASSERT_THAT(report, IsOk());
    if (!report->healthy()) return;
    ++mended_;
    absl::StatusOr<std::unique_ptr<SqliteStore>> store =
        SqliteStore::Open({.folder = folder, .index_after_chunks = kWorkloadIndexAfter});
    ASSERT_THAT(store, IsOk());
    EXPECT_THAT((*store)->CheckIntegrity(), IsOk());
    if (report->findings.at(0).problems > 0) return;  // commits were lost
    std::set<std::string> dropped;
    for (const DamagedDocument& document : report->documents) dropped.insert(document.uri);
    StoreContents left = store_.contents;
    for (auto& [collection, documents] : left) {
      std::erase_if(documents, [&](const auto& entry) { return dropped.count(entry.first) != 0; });
    }
    EXPECT_EQ(DifferenceOf(**store, left), "");
  }

  std::mt19937_64 random_;
  int rounds_ = 0;
  History store_, other_;
  int worked_ = 0, refused_ = 0, mended_ = 0;
};

TEST_F(DamageTest, NeverGivesAWrongAnswer) {
  for (int round = 0; round < rounds_ && !HasFailure(); ++round) {
    bool with_log = Below(2) != 0;
    Files files = with_log ? store_.end_with_log : store_.end;
    std::string what = !with_log && Below(16) == 0 ? AddLog(&files) : Damage(&files, with_log);
    SCOPED_TRACE(absl::StrCat("round ", round, with_log ? " (killed)" : " (closed)", ": ", what));
    Look(files);
  }
  std::printf("%d damaged stores: %d worked with right answers, %d refused, of which %d were mended\n", rounds_,
              worked_, refused_, mended_);
  EXPECT_GT(mended_, refused_ / 3);
  EXPECT_GT(worked_, rounds_ / 20);
  EXPECT_GT(refused_, rounds_ / 20);
}

// A write that is no commit leaves a log as well. What that holds, beside the store of a later time, is not taken for
// its state, nor put into the database: whether there were commits since or such writes only.
TEST(OlderLogTest, IsNoticedThoughItHoldsNoCommit) {
  for (const bool commits : {true, false}) {
    TempFolder folder;
    const std::string log_path = folder.path() + "/lastro.db-wal";
    std::string log;
    {
      StoreWorkload workload(folder.path());
      size_t step = 0;
      for (; workload.name(step) != "job"; ++step) ASSERT_THAT(workload.Run(step), IsOk()) << workload.name(step);
      workload.Close();  // without a log
      ASSERT_THAT(workload.Open(), IsOk());
      ASSERT_THAT(workload.Run(step), IsOk());
      log = lastro::ReadFile(log_path, 1u << 30).value();
      if (!commits) ASSERT_THAT(workload.Run(step), IsOk());
      for (++step; commits && step < workload.size(); ++step) ASSERT_THAT(workload.Run(step), IsOk());
    }
    ASSERT_GT(log.size(), kPage);
    std::ofstream(log_path, std::ios::binary) << log;
    EXPECT_TRUE(absl::IsDataLoss(SqliteStore::Open({.folder = folder.path()}).status())) << commits;
    fs::remove(log_path);
    EXPECT_THAT(SqliteStore::Open({.folder = folder.path()}), IsOk()) << "the log harmed the database";
  }
}

}  // namespace
}  // namespace lastro::retrieval::testing
