// ALiBi slopes and T5 buckets against values worked out by hand.
#include "engine/position_bias.h"

#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lastro::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatEq;

TEST(AlibiTest, PowersOfTwoAgreeInBothConventions) {
  EXPECT_THAT(BloomAlibiSlopes(4), ElementsAre(0.25f, 0.0625f, 0x1p-6f, 0x1p-8f));
  EXPECT_EQ(BloomAlibiSlopes(4), MptAlibiSlopes(4, 8));
}

TEST(AlibiTest, OtherCountsDiffer) {
  // BLOOM: those of 4, then the odd ones of 8. MPT: those of 8, the 2nd, 4th, ... first.
  EXPECT_THAT(BloomAlibiSlopes(6), ElementsAre(0.25f, 0.0625f, 0x1p-6f, 0x1p-8f, 0x1p-1f, 0x1p-3f));
  EXPECT_THAT(MptAlibiSlopes(6, 8), ElementsAre(0x1p-2f, 0x1p-4f, 0x1p-6f, 0x1p-8f, 0x1p-1f, 0x1p-3f));
  EXPECT_THAT(MptAlibiSlopes(5, 8), ElementsAre(0x1p-2f, 0x1p-4f, 0x1p-6f, 0x1p-8f, 0x1p-1f));
  EXPECT_THAT(MptAlibiSlopes(1, 8), ElementsAre(0x1p-8f));
}

TEST(AlibiTest, TableIsByDistance) {
  Architecture a;
  a.heads = 2;
  a.max_tokens = 5;
  a.alibi_slopes = {0.5f, 0.1f};
  const PositionBias table = AlibiTable(a);
  ASSERT_EQ(table.values.size(), 10u);
  EXPECT_FALSE(table.absolute);
  EXPECT_EQ(table.values[static_cast<size_t>(table.zero)], 0.0f);
  EXPECT_EQ(table.values[static_cast<size_t>(table.zero - 3)], -1.5f);
  EXPECT_EQ(table.values[static_cast<size_t>(table.stride + table.zero - 4)], -0.4f);
}

TEST(AlibiTest, FalconRoundsToBf16AndScales) {
  Architecture a;
  a.heads = 1;
  a.max_tokens = 300;
  a.alibi_slopes = {0.1f};
  a.alibi_bf16 = true;
  a.attention_scale = 0.5;
  const PositionBias table = AlibiTable(a);
  EXPECT_TRUE(table.absolute);
  // bf16(0.1) = 0.10009765625; 299 is a tie between 298 and 300, the even one of which is 300; the product 30.029
  // rounds to 30.
  EXPECT_EQ(table.values[299], 15.0f);
}

// One head whose weight is the bucket's number.
std::vector<float> Buckets(const PositionBias& table, std::initializer_list<int64_t> distances) {
  std::vector<float> buckets;
  for (int64_t d : distances) buckets.push_back(table.values[static_cast<size_t>(table.zero + d)]);
  return buckets;
}

TEST(RelativeBiasTest, BucketsOfBothKinds) {
  Architecture a;
  a.heads = 1;
  a.max_tokens = 400;
  a.relative_bias = RelativeBias{};
  std::vector<float> weights;
  for (int i = 0; i < 32; ++i) weights.push_back(static_cast<float>(i));
  a.causal = true;
  EXPECT_THAT(Buckets(RelativeBiasTable(a, weights), {0, -1, -15, -16, -20, -127, -128, -399}),
              ElementsAre(0, 1, 15, 16, 17, 31, 31, 31));
  a.causal = false;
  EXPECT_THAT(Buckets(RelativeBiasTable(a, weights), {0, -1, -7, -8, -399, 1, 7, 8, 399}),
              ElementsAre(0, 1, 7, 8, 15, 17, 23, 24, 31));
}

}  // namespace
}  // namespace lastro::engine
