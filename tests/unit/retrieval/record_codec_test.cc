#include "retrieval/record_codec.h"

#include <limits>

#include "retrieval/byte_codec.h"
#include "tests/test_util.h"

namespace lastro::retrieval {
namespace {

using lastro::testing::IsOk;
using lastro::testing::StatusIs;
using ::testing::_;

TEST(ByteCodecTest, RoundTrips) {
  const uint64_t values[] = {0, 127, 128, 1u << 20, std::numeric_limits<uint64_t>::max()};
  const int64_t signed_values[] = {0, -1, 1, std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()};
  ByteWriter writer;
  for (uint64_t value : values) writer.Varint(value);
  for (int64_t value : signed_values) writer.Signed(value);
  writer.Double(-0.125);
  writer.String(std::string("a\0b", 3));
  std::string bytes = writer.Take();
  ByteReader reader(bytes);
  for (uint64_t value : values) EXPECT_EQ(reader.Varint(), value);
  for (int64_t value : signed_values) EXPECT_EQ(reader.Signed(), value);
  EXPECT_EQ(reader.Double(), -0.125);
  EXPECT_EQ(reader.String(), std::string("a\0b", 3));
  EXPECT_THAT(reader.Finish("x"), IsOk());
}

TEST(ByteCodecTest, FailsOnTruncatedAndOverlongInput) {
  ByteReader truncated("\x80");
  EXPECT_EQ(truncated.Varint(), 0u);
  EXPECT_THAT(truncated.Finish("x"), StatusIs(absl::StatusCode::kDataLoss, _));
  ByteReader overlong("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F");
  overlong.Varint();
  EXPECT_TRUE(overlong.failed());
  ByteReader text(
      "\x05"
      "abc");
  EXPECT_EQ(text.String(), "");
  EXPECT_TRUE(text.failed());
  ByteReader count(
      "\xFF\xFF\x03"
      "abc");
  EXPECT_EQ(count.Count(), 0u);
  EXPECT_TRUE(count.failed());
}

TEST(RecordCodecTest, KeepsMetadata) {
  Metadata metadata = {{"a", std::string("x")}, {"b", 1.5}, {"c", true}, {"d", false}, {"", std::string()}};
  ASSERT_OK_AND_ASSIGN(Metadata decoded, DecodeMetadata(EncodeMetadata(metadata)));
  EXPECT_EQ(decoded, metadata);
}

TEST(RecordCodecTest, KeepsHeadingsWhateverTheyHold) {
  Chunk written, chunk;
  written.headings = {"One\nline", "", "Two"};
  written.segments = {{0, 3, 9, 3, true}, {5, 2, 1, 40, false}};
  ASSERT_THAT(DecodeLayout(EncodeLayout(written), JoinHeadings(written.headings), &chunk), IsOk());
  EXPECT_EQ(chunk.headings, written.headings);
  EXPECT_TRUE(chunk.cells.empty());
  ASSERT_EQ(chunk.segments.size(), 2u);
  EXPECT_TRUE(chunk.segments[0].verbatim);
  EXPECT_EQ(chunk.segments[0].source_length, 3u);
  EXPECT_EQ(chunk.segments[1].source_length, 40u);
}

TEST(RecordCodecTest, KeepsCellsAndReadsLayoutsThatHaveNone) {
  Chunk written, chunk, old;
  written.headings = {"T"};
  written.segments = {{0, 3, 9, 3, true}};
  const std::string without = EncodeLayout(written);
  written.cells = {{0, 4, ""}, {7, 300, "Price\n€"}};
  const std::string layout = EncodeLayout(written);
  ASSERT_THAT(DecodeLayout(layout, "T", &chunk), IsOk());
  ASSERT_EQ(chunk.cells.size(), 2u);
  EXPECT_EQ(chunk.cells[0].column, "");
  EXPECT_EQ(chunk.cells[1].begin, 7u);
  EXPECT_EQ(chunk.cells[1].end, 300u);
  EXPECT_EQ(chunk.cells[1].column, "Price\n€");
  EXPECT_EQ(layout.substr(0, without.size()), without) << "what stores of schema version 4 hold";
  for (size_t size = without.size() + 1; size < layout.size(); ++size) {
    Chunk cut;
    EXPECT_THAT(DecodeLayout(layout.substr(0, size), "T", &cut), StatusIs(absl::StatusCode::kDataLoss, _)) << size;
  }
}

TEST(RecordCodecTest, RefusesDamagedRecords) {
  Job job;
  job.id = "j";
  job.problems = {{"a", "b"}};
  std::string bytes = EncodeJob(job);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_THAT(DecodeJob(bytes.substr(0, size)), StatusIs(absl::StatusCode::kDataLoss, _)) << size;
  }
  EXPECT_THAT(DecodeJob(bytes + "x"), StatusIs(absl::StatusCode::kDataLoss, _));
  Chunk written, chunk;
  written.headings = {"abc"};
  EXPECT_THAT(DecodeLayout(EncodeLayout(written), "ab", &chunk), StatusIs(absl::StatusCode::kDataLoss, _));
}

}  // namespace
}  // namespace lastro::retrieval
