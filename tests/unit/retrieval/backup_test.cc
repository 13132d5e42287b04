#include "retrieval/backup.h"

#include <fstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/unit/retrieval/store_fixture.h"

namespace lastro::retrieval::testing {
namespace {

using lastro::testing::IsOk;
using lastro::testing::StatusIs;
using ::testing::_;
using ::testing::HasSubstr;
using ::testing::Not;

class BackupTest : public StoreTest {
 protected:
  void PutSome(int from, int to) {
    for (int i = from; i < to; ++i) {
      ASSERT_THAT(Put(*store_, absl::StrCat("doc", i), {absl::StrCat("text number", i)}), IsOk());
    }
  }
  const std::string backup_ = folder_ / "backup";
  const std::string data_ = folder_ / "restored";
};

TEST_F(BackupTest, ComesBackWhole) {
  PutSome(0, 20);
  ASSERT_OK_AND_ASSIGN(BackupManifest made, BackUp(folder_.path(), backup_ + "/", CallContext()));
  EXPECT_EQ(made.documents, 20);
  EXPECT_EQ(made.chunks, 20);
  EXPECT_EQ(made.commit, store_->commit());
  PutSome(20, 25);
  EXPECT_THAT(BackUp(folder_.path(), backup_, CallContext()),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("backup")));
  ASSERT_OK_AND_ASSIGN(BackupManifest restored, Restore(backup_, data_, false, CallContext()));
  EXPECT_EQ(restored.sha256, made.sha256);
  std::unique_ptr<SqliteStore> store = OpenStore(data_);
  EXPECT_THAT(store->CheckIntegrity(), IsOk());
  EXPECT_EQ(store->DocumentStates(kCollection)->size(), 20u);
  EXPECT_EQ(Found(*store, SearchMode::kLexical, "number7"), std::vector<std::string>{"text number7"});
  EXPECT_EQ(Found(*store, SearchMode::kDense, "text number7").at(0), "text number7");
}

TEST_F(BackupTest, HasBothSetsOfVectors) {
  PutSome(0, 9);
  const VectorSet model = OtherModel();
  ASSERT_THAT(store_->BeginReembedding(kCollection, model), IsOk());
  ASSERT_THAT(FillOther(*store_, model, 4), IsOk());
  ASSERT_THAT(BackUp(folder_.path(), backup_, CallContext()), IsOk());
  ASSERT_THAT(store_->DropVectors(kCollection, model.fingerprint), IsOk());
  ASSERT_THAT(Restore(backup_, data_, false, CallContext()), IsOk());
  std::unique_ptr<SqliteStore> store = OpenStore(data_);
  ASSERT_OK_AND_ASSIGN(Reembedding state, store->GetReembedding(kCollection));
  ASSERT_TRUE(state.other.has_value());
  EXPECT_EQ(state.other->vectors, 4);
  EXPECT_EQ(FillOther(*store, model).value(), 5);
  ASSERT_THAT(store->SwitchVectors(kCollection, model.fingerprint), IsOk());
  EXPECT_THAT(store->CheckIntegrity(), IsOk());
}

TEST_F(BackupTest, IsOfAnOlderVersionBeforeItIsUpgraded) {
  PutSome(0, 9);
  store_.reset();
  {
    ASSERT_OK_AND_ASSIGN(std::unique_ptr<Database> db, Database::Open(folder_ / "lastro.db", false));
    MakeVersion3(*db);
  }
  ASSERT_OK_AND_ASSIGN(BackupManifest made, BackUp(folder_.path(), backup_, CallContext()));
  EXPECT_EQ(made.documents, 9);
  {
    ASSERT_OK_AND_ASSIGN(std::unique_ptr<Database> db, Database::Open(folder_ / "lastro.db", true));
    EXPECT_EQ(db->QueryInt("PRAGMA user_version").value(), 3) << "the store itself was changed";
  }
  ASSERT_THAT(Restore(backup_, data_, false, CallContext()), IsOk());
  std::unique_ptr<SqliteStore> store = OpenStore(data_);
  EXPECT_THAT(store->CheckIntegrity(), IsOk());
  EXPECT_EQ(Found(*store, SearchMode::kDense, "text number7").at(0), "text number7");
}

TEST_F(BackupTest, IsOfOneCommitWhileOthersWrite) {
  PutSome(0, 5);
  std::thread writer([this] { PutSome(5, 60); });
  absl::StatusOr<BackupManifest> made = BackUp(folder_.path(), backup_, CallContext());
  writer.join();
  ASSERT_THAT(made, IsOk());
  EXPECT_EQ(made->documents, made->commit - 1) << "one commit made the collection, each other one document";
  EXPECT_THAT(CheckBackup(backup_), IsOk());
}

TEST_F(BackupTest, RestoreRefusesAStoreThatIsThere) {
  PutSome(0, 3);
  ASSERT_THAT(BackUp(folder_.path(), backup_, CallContext()), IsOk());
  PutSome(3, 6);
  EXPECT_THAT(Restore(backup_, folder_.path(), true, CallContext()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("pid")));
  store_.reset();
  EXPECT_THAT(Restore(backup_, folder_.path(), false, CallContext()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("--replace")));
  Reopen();
  EXPECT_EQ(store_->DocumentStates(kCollection)->size(), 6u);
  store_.reset();
  ASSERT_THAT(Restore(backup_, folder_.path(), true, CallContext()), IsOk());
  Reopen();
  EXPECT_EQ(store_->DocumentStates(kCollection)->size(), 3u);
  PutSome(10, 12);
  EXPECT_THAT(store_->CheckIntegrity(), IsOk());
}

TEST_F(BackupTest, WhatARollbackLeftDoesNotReachIntoTheRestored) {
  PutSome(0, 3);
  ASSERT_THAT(BackUp(folder_.path(), backup_, CallContext()), IsOk());
  std::filesystem::create_directories(data_);
  std::ofstream(data_ + "/lastro.db-journal") << "of another database";
  ASSERT_THAT(Restore(backup_, data_, false, CallContext()), IsOk());
  EXPECT_FALSE(std::filesystem::exists(data_ + "/lastro.db-journal"));
  EXPECT_EQ(OpenStore(data_)->DocumentStates(kCollection)->size(), 3u);
}

TEST_F(BackupTest, ADamagedBackupIsRefusedAndChangesNothing) {
  PutSome(0, 3);
  ASSERT_THAT(BackUp(folder_.path(), backup_, CallContext()), IsOk());
  std::fstream(backup_ + "/lastro.db", std::ios::in | std::ios::out | std::ios::binary).seekp(9000).write("x", 1);
  EXPECT_THAT(CheckBackup(backup_), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("lastro.db")));
  EXPECT_THAT(Restore(backup_, data_, false, CallContext()), StatusIs(absl::StatusCode::kDataLoss, _));
  EXPECT_FALSE(std::filesystem::exists(data_ + "/lastro.db"));
  std::ofstream(backup_ + "/manifest.json") << "{\"format\":2}";
  EXPECT_THAT(Restore(backup_, data_, false, CallContext()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("format 2")));
  std::ofstream(backup_ + "/manifest.json") << "{}}";
  EXPECT_FALSE(Restore(backup_, data_, false, CallContext()).ok());
  EXPECT_THAT(Restore(folder_ / "none", data_, false, CallContext()), StatusIs(absl::StatusCode::kNotFound, _));
}

TEST_F(BackupTest, ADamagedStoreGivesNoBackup) {
  PutSome(0, 30);
  store_.reset();
  std::fstream(folder_ / "lastro.db", std::ios::in | std::ios::out | std::ios::binary)
      .seekp(9 * 8192 + 5000)
      .write("x", 1);
  EXPECT_THAT(BackUp(folder_.path(), backup_, CallContext()),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("doctor")));
  EXPECT_FALSE(std::filesystem::exists(backup_));
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
    EXPECT_THAT(entry.path().string(), Not(HasSubstr("partial")));
  }
  EXPECT_THAT(BackUp(folder_ / "none", backup_, CallContext()), StatusIs(absl::StatusCode::kNotFound, _));
}

}  // namespace
}  // namespace lastro::retrieval::testing
