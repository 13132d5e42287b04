// Stops a store after each of its changes on the disk, in a simulation: the process dies there, or the power goes and
// takes what was not synced with it, whole or in part. What was acknowledged must be there, what was under way whole or
// not at all. Then the same life with a disk that is full or fails at one change or from there on.
//
// A part of all points is taken; LASTRO_EVERY_POINT=1 takes all.
#include <cstdlib>

#include "tests/crash/fault_disk.h"
#include "tests/crash/store_workload.h"

namespace lastro::retrieval::testing {
namespace {

using lastro::testing::DiskChange;
using lastro::testing::FaultDisk;
using lastro::testing::IsOk;
using lastro::testing::Loss;
using lastro::testing::SimulatedDisk;
using lastro::testing::TempFolder;

bool EveryPoint() { return std::getenv("LASTRO_EVERY_POINT") != nullptr; }

// In memory where there is such a folder: the test itself says what the disk loses.
void UseMemory() {
  if (access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", /*replace=*/0);
}

// What the store may hold while a step ran: `before` or `after`.
struct Moment {
  std::string step;
  size_t begin = 0, end = 0;  // changes made before it began, and when it was acknowledged
  StoreContents before, after;
};

class KillPointTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { UseMemory(); }

  // Runs the workload once and keeps its changes and moments.
  void Record() {
    TempFolder folder;
    root_ = folder.path();
    FaultDisk disk;
    StoreWorkload workload(root_);
    for (size_t step = 0; step < workload.size(); ++step) {
      Moment moment{workload.name(step), disk.made(), 0, workload.contents(), workload.ContentsAfter(step)};
      ASSERT_THAT(workload.Run(step), IsOk()) << moment.step;
      moment.end = disk.made();
      moments_.push_back(std::move(moment));
    }
    workload.Close();
    changes_ = disk.TakeChanges();
  }

  // Whether the disk is looked at after `made` changes: around each order the store gives, and now and then between.
  bool IsPoint(size_t made) const {
    if (EveryPoint() || made == changes_.size()) return true;
    auto orders = [&](size_t i) { return i < changes_.size() && changes_[i].kind != DiskChange::Kind::kWrite; };
    return orders(made) || (made > 0 && orders(made - 1)) || made % 4 == 0;
  }

  // The contents that the store may have after `made` changes.
  std::vector<const StoreContents*> Possible(size_t made) const {
    std::vector<const StoreContents*> possible;
    for (const Moment& moment : moments_) {
      if (moment.end <= made) possible = {&moment.after};
      if (moment.begin <= made && made < moment.end) {
        possible = {&moment.before, &moment.after};
        break;
      }
    }
    static const StoreContents nothing;
    if (possible.empty()) possible = {&nothing};
    return possible;
  }

  static std::string Check(const std::string& folder, const std::vector<const StoreContents*>& possible, bool go_on) {
    absl::StatusOr<std::unique_ptr<SqliteStore>> store =
        SqliteStore::Open({.folder = folder, .index_after_chunks = kWorkloadIndexAfter, .upkeep = kWorkloadUpkeep});
    if (!store.ok()) return store.status().ToString();
    if (absl::Status status = (*store)->CheckIntegrity(); !status.ok()) return status.ToString();
    if (std::filesystem::exists(folder + "/backup")) {  // then it is whole
      if (absl::Status status = CheckBackup(folder + "/backup").status(); !status.ok()) return status.ToString();
    }
    std::string difference;
    for (const StoreContents* contents : possible) {
      difference = DifferenceOf(**store, *contents);
      if (difference.empty()) return go_on ? GoOn(folder, *contents, *std::move(store)) : "";
    }
    return difference;
  }

  // The store takes new documents and keeps them.
  static std::string GoOn(const std::string& folder, StoreContents contents, std::unique_ptr<SqliteStore> store) {
    TestDocument test = MakeDocument("later", {"a later document"}, "later");
    if (absl::Status status = store->CreateCollection(MakeCollection("later")); !status.ok()) return status.ToString();
    if (absl::Status status = Put(*store, test).status(); !status.ok()) return status.ToString();
    contents["later"]["later"] = test;
    store.reset();
    return Check(folder, {&contents}, false);
  }

  std::string root_;
  std::vector<DiskChange> changes_;
  std::vector<Moment> moments_;
};

TEST_F(KillPointTest, KeepsWhatItAcknowledgedWhereverItStops) {
  ASSERT_NO_FATAL_FAILURE(Record());
  std::mt19937_64 random = lastro::testing::SeededRandom(20);
  SimulatedDisk disk(root_);
  size_t points = 0, checks = 0;
  for (size_t made = 0; made <= changes_.size() && !HasFailure(); ++made) {
    if (made > 0) disk.Apply(changes_[made - 1]);
    if (!IsPoint(made)) continue;
    ++points;
    std::vector<Loss> losses = {Loss::kNothing, Loss::kUnsynced, Loss::kSomeSectors};
    if (!EveryPoint()) losses = {losses[points % 3]};
    for (Loss loss : losses) {
      TempFolder folder;
      disk.WriteTo(folder.path(), loss, random);
      std::string wrong = Check(folder.path(), Possible(made), /*go_on=*/++checks % 16 == 0);
      EXPECT_EQ(wrong, "") << "after " << made << " of " << changes_.size() << " changes, loss "
                           << static_cast<int>(loss);
    }
  }
  std::printf("%zu changes on the disk, stopped at %zu of them, %zu disks looked at\n", changes_.size(), points,
              checks);
  EXPECT_GE(points, 500u);
}

// Cuts a restore over an old store short: the old one is there, or the backup's, or the store says that it is neither,
// and a second restore makes it the backup's.
TEST_F(KillPointTest, ARestoreThatIsCutShortIsNeverTakenForAStore) {
  TempFolder folder;
  const std::string data = folder / "data", backup = folder / "backup";
  TestDocument old_document = MakeDocument("old", {"an old document"}),
               lost = MakeDocument("lost", {"in the log only"});
  {
    std::unique_ptr<SqliteStore> store = OpenStore(data);
    ASSERT_THAT(store->CreateCollection(MakeCollection()), IsOk());
    ASSERT_THAT(Put(*store, old_document), IsOk());
    ASSERT_THAT(BackUp(data, backup, CallContext()), IsOk());
    ASSERT_THAT(Put(*store, lost), IsOk());
    // Killed: its log stays.
    std::filesystem::copy(data, folder / "killed", std::filesystem::copy_options::recursive);
  }
  const StoreContents of_backup = {{kCollection, {{"old", old_document}}}};
  const StoreContents of_old = {{kCollection, {{"old", old_document}, {"lost", lost}}}};
  std::filesystem::remove_all(data);
  std::filesystem::rename(folder / "killed", data);
  std::map<std::string, std::string> before;  // what the disk held before the restore, all of it synced
  for (const auto& entry : std::filesystem::directory_iterator(data)) {
    if (entry.is_regular_file())
      before[entry.path().string()] = lastro::ReadFile(entry.path().string(), 1 << 30).value();
  }
  FaultDisk disk;
  ASSERT_THAT(Restore(backup, data, /*replace=*/true, CallContext()), IsOk());
  std::vector<DiskChange> changes = disk.TakeChanges();
  ASSERT_GT(changes.size(), 8u);
  std::mt19937_64 random = lastro::testing::SeededRandom(8);
  int refused = 0;
  for (Loss loss : {Loss::kNothing, Loss::kUnsynced, Loss::kSomeSectors}) {
    SimulatedDisk simulated(data);
    for (const auto& [path, bytes] : before) simulated.Put(path, bytes);
    for (size_t made = 0; made <= changes.size(); ++made) {
      SCOPED_TRACE(absl::StrCat(made, " changes, loss ", static_cast<int>(loss)));
      if (made > 0) simulated.Apply(changes[made - 1]);
      TempFolder after;
      simulated.WriteTo(after.path(), loss, random);
      absl::StatusOr<std::unique_ptr<SqliteStore>> store = SqliteStore::Open({.folder = after.path()});
      if (store.ok()) {
        bool is_old = DifferenceOf(**store, of_old).empty();
        EXPECT_EQ(is_old ? "" : DifferenceOf(**store, of_backup), "");
        store->reset();
      } else {
        EXPECT_TRUE(absl::IsDataLoss(store.status())) << store.status();
        ++refused;
      }
      ASSERT_THAT(Restore(backup, after.path(), /*replace=*/true, CallContext()), IsOk());
      EXPECT_EQ(Check(after.path(), {&of_backup}, false), "");
    }
  }
  EXPECT_GT(refused, 0);
}

// A life in which the changes that `fails` picks fail with `error` until a step has failed. The step must have changed
// nothing, and succeed when it is tried again.
class FailingDiskTest : public KillPointTest {
 protected:
  void Live(int error, const std::function<bool(size_t number, const DiskChange& change)>& fails) {
    TempFolder folder;
    FaultDisk disk;
    std::atomic<bool> healed = false;
    disk.SetJudge(
        [&](size_t number, const DiskChange& change) { return !healed && fails(number, change) ? error : 0; });
    StoreWorkload workload(folder.path());
    for (size_t step = 0; step < workload.size() && !HasFailure(); ++step) {
      absl::Status status = workload.Run(step);
      if (status.ok()) continue;
      ++failures_;
      SCOPED_TRACE(absl::StrCat(workload.name(step), ": ", status.ToString()));
      EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr(folder.path())) << "names no file";
      EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("try again")) << "says not what to do";
      healed = true;
      if (workload.store() != nullptr) {
        EXPECT_EQ(DifferenceOf(*workload.store(), workload.contents()), "");
      }
      ASSERT_THAT(workload.Run(step), IsOk());
    }
    healed = true;
    EXPECT_EQ(DifferenceOf(*workload.store(), workload.contents()), "");
    workload.Close();
    EXPECT_EQ(Check(folder.path(), {&workload.contents()}, false), "");
  }

  size_t CountChanges() {
    Record();
    return changes_.size();
  }
  size_t Stride() const { return EveryPoint() ? 1 : 29; }

  size_t failures_ = 0;
};

TEST_F(FailingDiskTest, OneChangeFails) {
  size_t count = CountChanges();
  for (size_t at = 0; at < count && !HasFailure(); at += Stride()) {
    SCOPED_TRACE(absl::StrCat("change ", at));
    Live(EIO, [at](size_t number, const DiskChange&) { return number == at; });
  }
  std::printf("%zu calls failed\n", failures_);
  EXPECT_GT(failures_, 10u);
}

TEST_F(FailingDiskTest, TheDiskIsFull) {
  size_t count = CountChanges();
  for (size_t at = 0; at < count && !HasFailure(); at += Stride()) {
    SCOPED_TRACE(absl::StrCat("change ", at));
    Live(ENOSPC, [at](size_t number, const DiskChange& change) {
      using Kind = DiskChange::Kind;
      bool takes_space =
          change.kind == Kind::kWrite || change.kind == Kind::kCreate || change.kind == Kind::kMakeFolder;
      return number >= at && takes_space;
    });
  }
  std::printf("%zu calls failed\n", failures_);
  EXPECT_GT(failures_, 10u);
}

}  // namespace
}  // namespace lastro::retrieval::testing
