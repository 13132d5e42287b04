#include "base/file_system.h"

#include <cerrno>
#include <fstream>

#include "base/file.h"
#include "tests/test_util.h"

namespace lastro {
namespace {

using ::lastro::testing::IsOk;
using ::lastro::testing::StatusIs;
using ::testing::HasSubstr;

TEST(FileSystem, WritesWhereItIsTold) {
  testing::TempFolder folder;
  FileSystem& files = FileSystem::Current();
  ASSERT_THAT(files.MakeFolder(folder / "a"), IsOk());
  ASSERT_THAT(files.MakeFolder(folder / "a"), IsOk()) << "it is there already";
  ASSERT_OK_AND_ASSIGN(std::unique_ptr<OutputFile> file, files.Create(folder / "a/f", 0600));
  ASSERT_THAT(file->WriteAt("world", 6), IsOk());
  ASSERT_THAT(file->WriteAt("hello ", 0), IsOk());
  ASSERT_THAT(file->Sync(), IsOk());
  ASSERT_THAT(files.Rename(folder / "a/f", folder / "a/g"), IsOk());
  ASSERT_THAT(files.SyncFile(folder / "a/g"), IsOk());
  ASSERT_THAT(files.SyncFolder(folder / "a"), IsOk());
  EXPECT_EQ(ReadFile(folder / "a/g", 100).value(), "hello world");
  ASSERT_OK_AND_ASSIGN(file, files.Create(folder / "a/g", 0600));
  EXPECT_EQ(ReadFile(folder / "a/g", 100).value(), "");
}

TEST(FileSystem, ErrorsNameThePath) {
  testing::TempFolder folder;
  FileSystem& files = FileSystem::Current();
  EXPECT_THAT(files.Create(folder / "no/f", 0600), StatusIs(absl::StatusCode::kNotFound, HasSubstr("no/f")));
  EXPECT_THAT(files.Rename(folder / "x", folder / "y"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("/x")));
  EXPECT_THAT(files.Remove(folder / "x"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("/x")));
  EXPECT_THAT(files.MakeFolder(folder / "x/y"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("x/y")));
  EXPECT_THAT(files.SyncFolder(folder / "x"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("/x")));
  EXPECT_THAT(files.SyncFile(folder / "x"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("/x")));
}

TEST(FileSystem, RemovesTreesAndNotWhatLinksPointTo) {
  testing::TempFolder folder;
  std::filesystem::create_directories(folder / "tree/deep/er");
  std::filesystem::create_directories(folder / "kept");
  std::ofstream(folder / "tree/deep/f") << "x";
  std::ofstream(folder / "kept/f") << "x";
  std::filesystem::create_directory_symlink(folder / "kept", folder / "tree/link");
  ASSERT_THAT(RemoveTree(folder / "tree"), IsOk());
  EXPECT_FALSE(std::filesystem::exists(folder / "tree"));
  EXPECT_TRUE(std::filesystem::exists(folder / "kept/f"));
  EXPECT_THAT(RemoveTree(folder / "tree"), IsOk()) << "nothing to remove";
}

// Every write of a file that is replaced atomically can fail; the old content is then there and nothing else.
class FullDisk : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<OutputFile>> Create(const std::string& path, int) override { return Full(path); }
  absl::Status SyncFile(const std::string& path) override { return Full(path); }
  absl::Status Rename(const std::string& from, const std::string&) override { return Full(from); }
  absl::Status Remove(const std::string& path) override { return System().Remove(path); }
  absl::Status MakeFolder(const std::string& path) override { return Full(path); }
  absl::Status SyncFolder(const std::string& path) override { return Full(path); }

 private:
  static absl::Status Full(const std::string& path) { return ErrnoToStatus(ENOSPC, "write " + path); }
};

TEST(FileSystem, ATestCanPutAnotherInItsPlace) {
  testing::TempFolder folder;
  ASSERT_THAT(WriteFileAtomically(folder / "f", "old"), IsOk());
  FullDisk full;
  FileSystem::ReplaceForTesting(&full);
  EXPECT_THAT(WriteFileAtomically(folder / "f", "new"),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("free some disk space")));
  FileSystem::ReplaceForTesting(nullptr);
  EXPECT_EQ(ReadFile(folder / "f", 100).value(), "old");
  ASSERT_THAT(WriteFileAtomically(folder / "f", "new"), IsOk());
}

}  // namespace
}  // namespace lastro
