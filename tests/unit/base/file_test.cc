#include "base/file.h"

#include <sys/stat.h>

#include <fstream>

#include "base/hash.h"
#include "tests/test_util.h"

namespace lastro {
namespace {

using ::lastro::testing::IsOk;
using ::lastro::testing::StatusIs;
using ::testing::HasSubstr;

TEST(File, WritesAtomicallyAndReadsBack) {
  testing::TempFolder folder;
  const std::string path = folder / "a";
  ASSERT_THAT(WriteFileAtomically(path, "one"), IsOk());
  ASSERT_THAT(WriteFileAtomically(path, std::string("tw\0o", 4)), IsOk());
  EXPECT_EQ(ReadFile(path, 100).value(), std::string("tw\0o", 4));
  int entries = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder.path())) ++entries;
  EXPECT_EQ(entries, 1) << "temporary files are left";
}

TEST(File, ErrorsNameThePath) {
  testing::TempFolder folder;
  EXPECT_THAT(ReadFile(folder / "none", 10), StatusIs(absl::StatusCode::kNotFound, HasSubstr("/none")));
  EXPECT_THAT(ReadFile(folder.path(), 10),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not a regular file")));
  ASSERT_THAT(WriteFileAtomically(folder / "big", "12345"), IsOk());
  EXPECT_THAT(ReadFile(folder / "big", 4), StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("5 bytes")));
  EXPECT_THAT(WriteFileAtomically(folder / "no/such", "x"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no/such")));
}

TEST(File, FifosDoNotHang) {
  testing::TempFolder folder;
  ASSERT_EQ(mkfifo((folder / "fifo").c_str(), 0600), 0);
  EXPECT_THAT(ReadFile(folder / "fifo", 10), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("fifo")));
  EXPECT_THAT(MappedFile::Open(folder / "fifo"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("fifo")));
}

TEST(File, MapsWholeFiles) {
  testing::TempFolder folder;
  ASSERT_THAT(WriteFileAtomically(folder / "m", "mapped"), IsOk());
  ASSERT_THAT(WriteFileAtomically(folder / "empty", ""), IsOk());
  ASSERT_OK_AND_ASSIGN(MappedFile file, MappedFile::Open(folder / "m"));
  MappedFile moved = std::move(file);
  EXPECT_EQ(std::string(moved.bytes().begin(), moved.bytes().end()), "mapped");
  ASSERT_OK_AND_ASSIGN(MappedFile empty, MappedFile::Open(folder / "empty"));
  EXPECT_TRUE(empty.bytes().empty());
}

// Kilobytes in memory of the map that `address` is in.
int64_t ResidentKb(const void* address) {
  std::ifstream maps("/proc/self/smaps");
  bool inside = false;
  for (std::string line; std::getline(maps, line);) {
    unsigned long begin, end;
    long kb;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2) {
      const auto at = reinterpret_cast<uintptr_t>(address);
      inside = begin <= at && at < end;
    } else if (inside && std::sscanf(line.c_str(), "Rss: %ld kB", &kb) == 1) {
      return kb;
    }
  }
  return -1;
}

TEST(MappedFile, ForgottenPagesLeaveMemoryAndComeBack) {
  testing::TempFolder folder;
  constexpr size_t kSize = 64 << 12;
  std::string content(kSize, '\0');
  for (size_t i = 0; i < kSize; ++i) content[i] = static_cast<char>(i * 31 + i / 4096);
  ASSERT_THAT(WriteFileAtomically(folder / "m", content), IsOk());
  ASSERT_OK_AND_ASSIGN(MappedFile file, MappedFile::Open(folder / "m"));
  auto same = [&] { return std::memcmp(file.bytes().data(), content.data(), kSize) == 0; };
  EXPECT_TRUE(same());
  EXPECT_EQ(ResidentKb(file.bytes().data()), kSize / 1024);
  file.Forget(file.bytes().subspan(1, 2 * 4096));  // one whole page
  EXPECT_EQ(ResidentKb(file.bytes().data()), kSize / 1024 - 4);
  file.Forget(file.bytes());
  EXPECT_EQ(ResidentKb(file.bytes().data()), 0);
  file.Forget(file.bytes().subspan(7, 5));
  EXPECT_TRUE(same());
}

TEST(Hash, MatchesPublishedVectors) {  // FIPS 180-4 examples
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  Sha256 pieces;
  pieces.Update("a");
  pieces.Update("bc");
  EXPECT_EQ(pieces.FinishHex(), Sha256Hex("abc"));
}

}  // namespace
}  // namespace lastro
