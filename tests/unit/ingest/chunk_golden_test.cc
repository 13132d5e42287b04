// Golden chunks: every file in tests/golden/chunks that is not a .chunks file is read and chunked, and the result
// compared with the .chunks file beside it. Drop a file in, run once with LASTRO_UPDATE_GOLDENS=1, read what it wrote,
// commit both.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/sentence.h"
#include "ingest/chunker.h"
#include "ingest/reader.h"
#include "ingest/verify.h"
#include "retrieval/source_map.h"
#include "tests/test_util.h"
#include "tests/unit/ingest/fakes.h"

namespace lastro::ingest {
namespace {

std::string Slurp(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

// Headings, size, text, and the source bytes each sentence stands for.
std::string Describe(const retrieval::Chunk& chunk) {
  std::string text = absl::StrCat("== ", chunk.ordinal, " [", absl::StrJoin(chunk.headings, " > "), "] ", chunk.tokens,
                                  " tokens, ", chunk.segments.size(), " segments\n", chunk.text, "\n-- ");
  for (const TextRange& sentence : SplitSentences(chunk.text)) {
    auto range = retrieval::MapToSource(chunk.segments, sentence.begin, sentence.end);
    EXPECT_TRUE(range.has_value());
    if (range) absl::StrAppend(&text, sentence.begin, "-", sentence.end, "@", range->begin, "-", range->end, " ");
  }
  return text + "\n";
}

std::string DescribeFile(const std::filesystem::path& path) {
  std::string content = Slurp(path);
  absl::StatusOr<ReadResult> read = ReadContent(content, path.filename().string(), "", ReaderOptions(), CallContext());
  if (!read.ok()) return read.status().ToString();
  FakeEmbedder embedder;
  auto chunks = ChunkBlocks(read->blocks, ChunkerOptions{60}, &embedder, CallContext());
  if (!chunks.ok()) return chunks.status().ToString();
  EXPECT_THAT(VerifyChunks(*chunks, content), lastro::testing::IsOk());
  std::string text = absl::StrCat("title: ", read->title, "\nencoding: ", read->encoding, "\n");
  for (const retrieval::Chunk& chunk : *chunks) text += Describe(chunk);
  return text;
}

TEST(ChunkGoldenTest, FilesGiveTheChunksCommittedBesideThem) {
  std::filesystem::path folder = std::filesystem::path(LASTRO_SOURCE_DIR) / "tests/golden/chunks";
  bool update = std::getenv("LASTRO_UPDATE_GOLDENS") != nullptr;
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".chunks") continue;
    std::filesystem::path golden = entry.path().string() + ".chunks";
    std::string actual = DescribeFile(entry.path());
    if (update) std::ofstream(golden, std::ios::binary) << actual;
    EXPECT_EQ(Slurp(golden), actual) << entry.path();
    ++files;
  }
  EXPECT_GE(files, 5);
}

}  // namespace
}  // namespace lastro::ingest
