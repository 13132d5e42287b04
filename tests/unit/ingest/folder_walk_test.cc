#include "ingest/folder_walk.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "ingest/format.h"
#include "ingest/glob.h"
#include "tests/test_util.h"

namespace lastro::ingest {
namespace {

using ::lastro::testing::IsOk;
using ::lastro::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class FolderWalkTest : public ::testing::Test {
 protected:
  FolderWalkTest() { root_ = *CanonicalFolder(temp_.path()); }

  void Write(const std::string& name, const std::string& content = "text") {
    std::filesystem::create_directories(std::filesystem::path(temp_ / name).parent_path());
    std::ofstream(temp_ / name) << content;
  }

  WalkResult Walk(WalkOptions options = {}) {
    absl::StatusOr<WalkResult> result = WalkFolder(root_, options, CallContext());
    EXPECT_TRUE(result.ok()) << result.status();
    return *result;
  }

  static std::vector<std::string> Uris(const WalkResult& result) {
    std::vector<std::string> uris;
    for (const FoundFile& file : result.files) uris.push_back(file.uri);
    return uris;
  }

  lastro::testing::TempFolder temp_;
  std::string root_;
};

TEST_F(FolderWalkTest, SortedWithoutHidden) {
  for (const char* name : {"b.txt", "a/z.md", "a/.hidden", ".git/config", "é.txt", "a.txt"}) Write(name);
  WalkResult result = Walk();
  EXPECT_THAT(Uris(result), ElementsAre("a.txt", "a/z.md", "b.txt", "é.txt"));
  EXPECT_THAT(result.problems, IsEmpty());
  EXPECT_EQ(result.files[0].size_bytes, 4u);
}

TEST_F(FolderWalkTest, LinksStayInside) {
  lastro::testing::TempFolder outside;
  std::ofstream(outside / "secret.txt") << "secret";
  Write("d/in.txt");
  std::filesystem::create_symlink(outside / "secret.txt", temp_ / "out.txt");
  std::filesystem::create_symlink(temp_ / "d/in.txt", temp_ / "link.txt");
  std::filesystem::create_directory_symlink(temp_ / "d", temp_ / "dirlink");
  std::filesystem::create_directory_symlink(temp_.path(), temp_ / "d/loop");
  std::filesystem::create_symlink("nowhere", temp_ / "broken.txt");
  WalkResult result = Walk();
  EXPECT_THAT(Uris(result), ElementsAre("d/in.txt", "link.txt"));
  ASSERT_THAT(result.problems, SizeIs(2));
  EXPECT_THAT(ReadFolderFile(root_, "link.txt", 100), IsOk());
  EXPECT_THAT(ReadFolderFile(root_, "out.txt", 100), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("folder")));
  EXPECT_THAT(
      ReadFolderFile(root_, "../" + std::filesystem::path(outside.path()).filename().string() + "/secret.txt", 100),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("folder")));
}

TEST_F(FolderWalkTest, SpecialFilesAreReportedWithoutHanging) {
  ASSERT_EQ(mkfifo((temp_ / "pipe.txt").c_str(), 0600), 0);
  Write("a.txt");
  WalkResult result = Walk();
  EXPECT_THAT(Uris(result), ElementsAre("a.txt"));
  ASSERT_THAT(result.problems, SizeIs(1));
  EXPECT_THAT(result.problems[0].reason, HasSubstr("pipe"));
  EXPECT_THAT(ReadFolderFile(root_, "pipe.txt", 100),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("regular")));
}

TEST_F(FolderWalkTest, NamesThatAreNoUtf8) {
  Write("bad\xFFname.txt");
  WalkResult result = Walk();
  EXPECT_THAT(result.files, IsEmpty());
  ASSERT_THAT(result.problems, SizeIs(1));
  EXPECT_THAT(result.problems[0].reason, HasSubstr("UTF-8"));
  EXPECT_EQ(result.problems[0].uri, "bad\uFFFDname.txt");
}

TEST_F(FolderWalkTest, DepthAndNumberAreLimited) {
  Write("a/b/c/deep.txt");
  Write("a/top.txt");
  WalkResult result = Walk({100, 2});
  EXPECT_THAT(Uris(result), ElementsAre("a/top.txt"));
  EXPECT_THAT(result.unseen_folders, ElementsAre("a/b/c"));
  for (int i = 0; i < 5; ++i) Write("f" + std::to_string(i) + ".txt");
  result = Walk({3, 64});
  EXPECT_THAT(result.files, SizeIs(3));
  EXPECT_TRUE(result.truncated);
}

TEST_F(FolderWalkTest, UnreadableFolderIsAProblem) {
  if (geteuid() == 0) GTEST_SKIP() << "root reads everything";
  Write("closed/a.txt");
  Write("open.txt");
  std::filesystem::permissions(temp_ / "closed", std::filesystem::perms::none);
  WalkResult result = Walk();
  std::filesystem::permissions(temp_ / "closed", std::filesystem::perms::owner_all);
  EXPECT_THAT(Uris(result), ElementsAre("open.txt"));
  EXPECT_THAT(result.unseen_folders, ElementsAre("closed"));
}

TEST_F(FolderWalkTest, MissingFoldersAndFiles) {
  EXPECT_THAT(CanonicalFolder(temp_ / "none"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
  Write("a.txt");
  EXPECT_THAT(CanonicalFolder(temp_ / "a.txt"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not a folder")));
  EXPECT_THAT(ReadFolderFile(root_, "none.txt", 10), StatusIs(absl::StatusCode::kNotFound, HasSubstr("open")));
  EXPECT_THAT(ReadFolderFile(root_, "a.txt", 3), StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("4 bytes")));
  ASSERT_OK_AND_ASSIGN(FileContent content, ReadFolderFile(root_, "a.txt", 4));
  EXPECT_EQ(content.bytes, "text");
}

TEST(GlobTest, Patterns) {
  EXPECT_TRUE(MatchesGlob("*.md", "a/b/c.md"));
  EXPECT_TRUE(MatchesGlob("a/*.md", "a/c.md"));
  EXPECT_FALSE(MatchesGlob("a/*.md", "a/b/c.md"));
  EXPECT_TRUE(MatchesGlob("a/**/*.md", "a/c.md"));
  EXPECT_TRUE(MatchesGlob("a/**/*.md", "a/b/d/c.md"));
  EXPECT_FALSE(MatchesGlob("a/**/*.md", "ab/c.md"));
  EXPECT_TRUE(MatchesGlob("**", "a/b"));
  EXPECT_TRUE(MatchesGlob("/a/**", "a/b/c"));
  EXPECT_TRUE(MatchesGlob("?.txt", "x/a.txt"));
  EXPECT_FALSE(MatchesGlob("?.txt", "ab.txt"));
  EXPECT_FALSE(MatchesGlob("", "a"));
  std::string stars, path(2000, 'a');
  for (int i = 0; i < 200; ++i) stars += "*a";
  EXPECT_FALSE(MatchesGlob(stars + "b", path));
}

TEST(FormatTest, ByExtensionMediaTypeAndName) {
  EXPECT_EQ(*DetectFormat("a/B.MD", "", false), Format::kMarkdown);
  EXPECT_EQ(*DetectFormat("a.htm", "", false), Format::kHtml);
  EXPECT_EQ(*DetectFormat("a.bin", "text/plain; charset=utf-8", false), Format::kPlainText);
  EXPECT_EQ(*DetectFormat("a.cc", "", true), Format::kPlainText);
  EXPECT_THAT(DetectFormat("a.cc", "", false), StatusIs(absl::StatusCode::kUnimplemented, HasSubstr(".cc")));
  EXPECT_THAT(DetectFormat("dir.md/README", "", false),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("without")));
  EXPECT_THAT(DetectFormat("a.md", "image/png", false), StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("media")));
}

}  // namespace
}  // namespace lastro::ingest
