// Routing to experts, and MXFP4 decoding, against values worked out by hand.
#include <cmath>
#include <limits>

#include "engine/expert_routing.h"
#include "engine/mxfp4.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/quant.h"

namespace lastro::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatEq;

TEST(ExpertRoutingTest, BestLogitsWeightedBySoftmax) {
  const float ln2 = std::log(2.0f);
  const std::vector<ExpertRows> routed = RouteToExperts({0.0f, ln2, -5.0f, 3.0f, 3.0f, 3.0f}, 3, 2);
  ASSERT_EQ(routed.size(), 3u);
  EXPECT_THAT(routed[0].rows, ElementsAre(0, 1));
  EXPECT_THAT(routed[0].factors, ElementsAre(FloatEq(1.0f / 3), FloatEq(0.5f)));
  EXPECT_THAT(routed[1].rows, ElementsAre(0, 1));  // the tie of row 1 goes to the lower indices
  EXPECT_THAT(routed[1].factors, ElementsAre(FloatEq(2.0f / 3), FloatEq(0.5f)));
  EXPECT_THAT(routed[2].rows, ElementsAre());
}

TEST(ExpertRoutingTest, LargeAndNotANumberLogits) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<ExpertRows> routed = RouteToExperts({1e30f, nan, 1e30f}, 3, 2);
  EXPECT_THAT(routed[0].factors, ElementsAre(0.5f));
  EXPECT_THAT(routed[2].factors, ElementsAre(0.5f));
  EXPECT_THAT(routed[1].rows, ElementsAre());
}

TEST(Mxfp4Test, BlocksHoldTheSameNumbers) {
  uint8_t run[kMxfp4RunBytes];
  for (int i = 0; i < kMxfp4RunBytes; ++i) run[i] = static_cast<uint8_t>((2 * i % 16) | ((2 * i + 1) % 16 << 4));
  const float magnitudes[] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
  for (int scale : {3, 100, 127, 130, 250}) {
    uint8_t block[kMxfp4BlockBytes];
    RepackMxfp4Run(run, static_cast<uint8_t>(scale), block);
    float values[kMxfp4Run];
    kernels::QuantKernelsOf(kernels::ReferenceKernels())
        .dequantize(block, kernels::DataType::kMXFP4, kMxfp4Run, false, values);
    for (int i = 0; i < kMxfp4Run; ++i) {
      const float want = (i % 16 < 8 ? 1.0f : -1.0f) * std::ldexp(magnitudes[i % 8], scale - 127);
      EXPECT_EQ(values[i], want) << i << " scale " << scale;
    }
  }
}

}  // namespace
}  // namespace lastro::engine
