#include "retrieval/row_ids.h"

#include <map>

#include "tests/test_util.h"

namespace lastro::retrieval {
namespace {

using lastro::testing::IsOk;
using lastro::testing::StatusIs;

// Documents of a few chunks; now and then ids that others took lie between.
class RowIdsTest : public ::testing::Test {
 protected:
  RowIdsTest() {
    int64_t chunk = 5;
    for (int64_t document = 10; document < 400; document += 1 + static_cast<int64_t>(random_() % 3)) {
      for (size_t i = 0, count = 1 + random_() % 6; i < count; ++i) {
        if (random_() % 9 == 0) chunk += 2;
        ids_.Append(chunk, document);
        expected_.push_back({chunk++, document});
      }
    }
  }

  std::string Written() const {
    std::string bytes;
    ids_.Write([&](absl::string_view part) { bytes.append(part.data(), part.size()); });
    return bytes;
  }

  std::mt19937_64 random_ = lastro::testing::SeededRandom(7);
  RowIds ids_;
  std::vector<std::pair<int64_t, int64_t>> expected_;
};

TEST_F(RowIdsTest, KnowsWhatEachRowIs) {
  ASSERT_EQ(ids_.size(), expected_.size());
  for (uint32_t row = 0; row < expected_.size(); ++row) {
    EXPECT_EQ(ids_.ChunkOf(row), expected_[row].first);
    EXPECT_EQ(ids_.RunOf(row).document, expected_[row].second);
  }
}

TEST_F(RowIdsTest, FindsTheRowsOfFewAndManyDocuments) {
  for (size_t share : {100, 50, 4, 1}) {
    DocumentSet documents = {-1, 1000000};
    for (const auto& [chunk, document] : expected_) {
      if (static_cast<size_t>(document) % share == 0) documents.insert(document);
    }
    std::vector<bool> found(expected_.size());
    uint32_t end = 0;
    for (const RowRange& range : ids_.RowsOfDocuments(documents)) {
      EXPECT_TRUE(range.begin > end || (range.begin == 0 && end == 0)) << "ranges touch or go back";
      end = range.end;
      for (uint32_t row = range.begin; row < range.end; ++row) found[row] = true;
    }
    for (size_t row = 0; row < expected_.size(); ++row) {
      EXPECT_EQ(found[row], documents.contains(expected_[row].second)) << row;
    }
  }
  EXPECT_TRUE(ids_.RowsOfDocuments({}).empty());
}

TEST_F(RowIdsTest, PartsCanBeAppended) {
  RowIds parts;
  parts.Append(ids_, {3, 40});
  parts.Append(ids_, {100, static_cast<uint32_t>(ids_.size())});
  for (uint32_t row = 0; row < parts.size(); ++row) {
    EXPECT_EQ(parts.ChunkOf(row), expected_[row < 37 ? row + 3 : row - 37 + 100].first);
  }
}

TEST_F(RowIdsTest, ComesBackTheSame) {
  const std::string bytes = Written();
  IndexReader again(bytes);
  RowIds read;
  ASSERT_THAT(RowIds::Read(&again, ids_.size(), &read), IsOk());
  EXPECT_THAT(again.Finish(), IsOk());
  for (uint32_t row = 0; row < expected_.size(); ++row) EXPECT_EQ(read.ChunkOf(row), expected_[row].first);
}

TEST_F(RowIdsTest, RefusesWhatIsNotInOrder) {
  const std::string bytes = Written();
  for (size_t at = 0; at < bytes.size(); ++at) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x80);
    IndexReader reader(damaged);
    RowIds read;
    if (!RowIds::Read(&reader, ids_.size(), &read).ok()) continue;
    // What is taken must be usable.
    for (uint32_t row = 0; row < read.size(); ++row) EXPECT_GE(read.ChunkOf(row), 0);
    for (uint32_t row = 1; row < read.size(); ++row) EXPECT_GT(read.ChunkOf(row), read.ChunkOf(row - 1));
  }
  IndexReader reader(absl::string_view(bytes).substr(0, bytes.size() / 2));
  RowIds read;
  EXPECT_THAT(RowIds::Read(&reader, ids_.size(), &read),
              StatusIs(absl::StatusCode::kInvalidArgument, ::testing::HasSubstr("ends too early")));
}

}  // namespace
}  // namespace lastro::retrieval
