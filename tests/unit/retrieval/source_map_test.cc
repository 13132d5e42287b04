#include "retrieval/source_map.h"

#include "gtest/gtest.h"

namespace lastro::retrieval {
namespace {

// text:   [0,10) verbatim from 100; [10,14) is an entity of 9 bytes at 110; gap [14,16); [16,20) verbatim from 130
const std::vector<SourceSegment> kSegments = {{0, 10, 100, 10, true}, {10, 4, 110, 9, false}, {16, 4, 130, 4, true}};

void ExpectRange(uint64_t begin, uint64_t end, uint64_t source_begin, uint64_t source_end) {
  std::optional<SourceRange> range = MapToSource(kSegments, begin, end);
  ASSERT_TRUE(range.has_value()) << begin << ".." << end;
  EXPECT_EQ(range->begin, source_begin);
  EXPECT_EQ(range->end, source_end);
}

TEST(SourceMapTest, MapsWithinAVerbatimSegmentByteByByte) { ExpectRange(2, 5, 102, 105); }

TEST(SourceMapTest, TakesAChangedSegmentWhole) {
  ExpectRange(11, 12, 110, 119);
  ExpectRange(8, 12, 108, 119);
}

TEST(SourceMapTest, SpansSegmentsAndGaps) { ExpectRange(0, 18, 100, 132); }

TEST(SourceMapTest, RefusesEndsWithoutSourceAndEmptyRanges) {
  EXPECT_FALSE(MapToSource(kSegments, 15, 18).has_value());
  EXPECT_FALSE(MapToSource(kSegments, 0, 15).has_value());
  EXPECT_FALSE(MapToSource(kSegments, 14, 16).has_value());
  EXPECT_FALSE(MapToSource(kSegments, 3, 3).has_value());
  EXPECT_FALSE(MapToSource(kSegments, 5, 3).has_value());
  EXPECT_FALSE(MapToSource(kSegments, 18, 21).has_value());
  EXPECT_FALSE(MapToSource({}, 0, 1).has_value());
}

TEST(SourceMapTest, CoversSourcesThatAreOutOfOrder) {
  std::vector<SourceSegment> columns = {{0, 5, 50, 5, true}, {5, 5, 20, 5, true}};
  std::optional<SourceRange> range = MapToSource(columns, 2, 8);
  ASSERT_TRUE(range.has_value());
  EXPECT_EQ(range->begin, 20u);
  EXPECT_EQ(range->end, 55u);
}

}  // namespace
}  // namespace lastro::retrieval
