// Quantising to blocks: the error on Gaussian rows against what the formats give elsewhere, and awkward blocks.
#include "kernels/block_quantizer.h"

#include <cmath>

#include "kernels/bfloat16.h"
#include "kernels/quant.h"
#include "tests/unit/kernels/kernel_test_util.h"

namespace lastro::kernels {
namespace {

std::vector<float> RoundTrip(DataType type, const std::vector<float>& x) {
  const int64_t n = static_cast<int64_t>(x.size());
  std::vector<uint8_t> blocks(static_cast<size_t>(RowBytes(type, n)));
  QuantizeBlocks(type, x.data(), n, blocks.data());
  std::vector<float> values(x.size());
  ReferenceQuantKernels().dequantize(blocks.data(), type, n, false, values.data());
  return values;
}

double Rmse(const std::vector<float>& a, const std::vector<float>& b) {
  double squares = 0;
  for (size_t i = 0; i < a.size(); ++i)
    squares += (static_cast<double>(a[i]) - b[i]) * (static_cast<double>(a[i]) - b[i]);
  return std::sqrt(squares / static_cast<double>(a.size()));
}

struct Bound {
  DataType type;
  double rmse;  // of standard normal deviates, at most
};
// Q4_0, Q8_0, MXFP4: what the reference quantiser gives (tests/golden/gguf/rmse.json). It has none for the others: what
// the search gives, and two percent.
constexpr Bound kBounds[] = {{DataType::kQ4_0, 0.0858}, {DataType::kQ8_0, 0.00536}, {DataType::kMXFP4, 0.1152},
                             {DataType::kQ4_K, 0.0727}, {DataType::kQ5_K, 0.0365},  {DataType::kQ6_K, 0.0175}};

TEST(BlockQuantizerTest, ErrorOnGaussianRows) {
  std::mt19937_64 random = testing::SeededRandom(5);
  std::normal_distribution<float> normal;
  std::vector<float> x(64 * 1024);
  for (float& value : x) value = normal(random);
  for (const Bound& bound : kBounds) {
    const double rmse = Rmse(RoundTrip(bound.type, x), x);
    RecordProperty("rmse_of_type_" + std::to_string(static_cast<int>(bound.type)), std::to_string(rmse));
    EXPECT_LE(rmse, bound.rmse) << "type " << static_cast<int>(bound.type);
  }
}

TEST(BlockQuantizerTest, AwkwardBlocks) {
  for (const Bound& bound : kBounds) {
    SCOPED_TRACE(static_cast<int>(bound.type));
    for (float scale : {0.0f, 1e-9f, 1e-4f, 1.0f, 1e3f}) {
      for (int shape = 0; shape < 4; ++shape) {
        std::vector<float> x(512);
        for (size_t i = 0; i < x.size(); ++i) {
          const float ramp = static_cast<float>(i % 32) / 31;
          const float shapes[] = {1.0f, ramp + 3, -ramp, i % 37 == 5 ? 9.0f : 0.01f * ramp};
          x[i] = scale * shapes[shape];
        }
        const std::vector<float> values = RoundTrip(bound.type, x);
        for (size_t i = 0; i < x.size(); ++i) {
          ASSERT_TRUE(std::isfinite(values[i]));
          ASSERT_LE(std::abs(values[i] - x[i]), 0.3f * scale * 9 + 1e-7f) << "shape " << shape << " scale " << scale;
        }
      }
    }
  }
}

TEST(BlockQuantizerTest, Fp16RoundsToNearestEven) {
  for (uint32_t half = 0; half < 0x7C00; ++half) {
    const float value = Fp16ToFloat(static_cast<uint16_t>(half));
    ASSERT_EQ(FloatToFp16(value), half);
    ASSERT_EQ(FloatToFp16(-value), half | 0x8000);
    if (half == 0x7BFF) continue;
    const float next = Fp16ToFloat(static_cast<uint16_t>(half + 1)), middle = value + (next - value) / 2;
    ASSERT_EQ(FloatToFp16(middle), half % 2 == 0 ? half : half + 1);
    ASSERT_EQ(FloatToFp16(std::nextafter(middle, 0.0f)), half);
    ASSERT_EQ(FloatToFp16(std::nextafter(middle, 1e9f)), half + 1);
  }
  EXPECT_EQ(FloatToFp16(65519.0f), 0x7BFF);
  EXPECT_EQ(FloatToFp16(65520.0f), 0x7C00);
  EXPECT_EQ(FloatToFp16(-INFINITY), 0xFC00);
  EXPECT_TRUE(std::isnan(Fp16ToFloat(FloatToFp16(NAN))));
}

}  // namespace
}  // namespace lastro::kernels
