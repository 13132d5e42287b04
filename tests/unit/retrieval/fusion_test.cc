#include "retrieval/fusion.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lastro::retrieval {
namespace {

std::vector<int64_t> Ids(const std::vector<ScoredChunk>& chunks) {
  std::vector<int64_t> ids;
  for (const ScoredChunk& chunk : chunks) ids.push_back(chunk.chunk);
  return ids;
}

TEST(FusionTest, HybridIsAConvexCombination) {
  std::vector<ScoredChunk> chunks = {{1, 1, 0.8, 0}, {2, 1, 0.5, 6}, {3, 1, -0.5, 3}};
  ScoreAndSort({.dense_weight = 0.25}, &chunks);
  EXPECT_THAT(Ids(chunks), ::testing::ElementsAre(2, 3, 1));
  EXPECT_DOUBLE_EQ(chunks[0].score, 0.25 * 0.5 + 0.75);
  EXPECT_DOUBLE_EQ(chunks[1].score, 0.75 * 0.5);
  EXPECT_DOUBLE_EQ(chunks[2].score, 0.25 * 0.8);
}

TEST(FusionTest, DenseAndLexicalScoresLieInTheUnitInterval) {
  std::vector<ScoredChunk> chunks = {{1, 1, 1.0000001, 4}, {2, 1, -1, 8}, {3, 1, 0, 0}};
  ScoreAndSort({.mode = SearchMode::kDense}, &chunks);
  EXPECT_THAT(Ids(chunks), ::testing::ElementsAre(1, 3, 2));
  EXPECT_EQ(chunks[0].score, 1);
  EXPECT_EQ(chunks[2].score, 0);
  ScoreAndSort({.mode = SearchMode::kLexical}, &chunks);
  EXPECT_THAT(Ids(chunks), ::testing::ElementsAre(2, 1, 3));
  EXPECT_EQ(chunks[1].score, 0.5);
}

// Ranks by meaning and by words; 0: not found.
ScoredChunk Ranked(int64_t id, int dense, int lexical) {
  ScoredChunk chunk{id, 1};
  chunk.dense_rank = dense;
  chunk.lexical_rank = lexical;
  return chunk;
}

TEST(FusionTest, ReciprocalRanksAddUp) {
  std::vector<ScoredChunk> chunks = {Ranked(1, 1, 0), Ranked(2, 2, 2), Ranked(3, 0, 1)};
  ScoreAndSort({.fusion = Fusion::kReciprocalRank, .dense_weight = 0.4, .rrf_k = 9}, &chunks);
  EXPECT_THAT(Ids(chunks), ::testing::ElementsAre(2, 3, 1));
  EXPECT_DOUBLE_EQ(chunks[0].score, 10.0 / 11);  // 10 times the weights over 9 + 2
  EXPECT_DOUBLE_EQ(chunks[1].score, 0.6);
  EXPECT_DOUBLE_EQ(chunks[2].score, 0.4);
  EXPECT_EQ(chunks[2].rank, 3);
}

TEST(FusionTest, BreaksTiesByChunkId) {
  std::vector<ScoredChunk> chunks = {{9, 1, 0.5, 0}, {3, 1, 0.5, 0}, {5, 1, 0.5, 0}};
  ScoreAndSort({}, &chunks);
  EXPECT_THAT(Ids(chunks), ::testing::ElementsAre(3, 5, 9));
}

TEST(FusionTest, CapsChunksPerDocument) {
  std::vector<ScoredChunk> chunks = {{1, 7}, {2, 7}, {3, 7}, {4, 8}, {5, 9}};
  EXPECT_THAT(Ids(SelectTop(chunks, 3, 0)), ::testing::ElementsAre(1, 2, 3));
  EXPECT_THAT(Ids(SelectTop(chunks, 3, 1)), ::testing::ElementsAre(1, 4, 5));
  EXPECT_THAT(Ids(SelectTop(chunks, 9, 2)), ::testing::ElementsAre(1, 2, 4, 5));
}

}  // namespace
}  // namespace lastro::retrieval
