#include "retrieval/dot_product.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "hwy/targets.h"
#include "retrieval/quantized_vectors.h"
#include "tests/test_util.h"

namespace lastro::retrieval {
namespace {

// Every instruction set of this machine.
struct Implementation {
  std::string name;
  int64_t target;  // 0: the plain versions
  SimdLimit limit;
};

std::vector<Implementation> Implementations() {
  std::vector<Implementation> all = {{"scalar", 0, SimdLimit::kScalar}};
  const int64_t supported = hwy::SupportedTargets();
  for (int64_t target : {HWY_AVX3, HWY_AVX2, HWY_SSE4, HWY_EMU128}) {
    // The portable target has no bit of its own in what the CPU supports.
    if ((supported & target) != 0 || target == HWY_EMU128) {
      all.push_back({hwy::TargetName(target), target, SimdLimit::kNoVnni});
    }
  }
  if ((supported & HWY_AVX3) != 0) all.push_back({"AVX3_VNNI", HWY_AVX3, SimdLimit::kNone});  // where the CPU has it
  return all;
}

class DotProductTest : public ::testing::TestWithParam<Implementation> {
 protected:
  void SetUp() override {
    SetSimdLimitForTest(GetParam().limit);
    if (GetParam().target == 0) return;
    hwy::SetSupportedTargetsForTest(GetParam().target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
  void TearDown() override {
    SetSimdLimitForTest(SimdLimit::kNone);
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().DeInit();
  }

  std::vector<float> RandomVector(size_t n) {
    std::uniform_real_distribution<float> uniform(-1, 1);
    std::vector<float> vector(n);
    for (float& x : vector) x = uniform(random_);
    return vector;
  }
  std::vector<float> UnitVector(size_t n) {
    std::vector<float> vector = RandomVector(n);
    double square = 0;
    for (float x : vector) square += static_cast<double>(x) * x;
    for (float& x : vector) x = static_cast<float>(x / std::sqrt(square));
    return vector;
  }

  std::mt19937_64 random_ = lastro::testing::SeededRandom(20240611);
};

// The error of a float sum of n products is below n * epsilon * sum of |products| (Higham, 2002, section 3.1).
TEST_P(DotProductTest, MatchesDoublePrecisionForAllTails) {
  for (size_t n = 0; n < 200; ++n) {
    std::vector<float> a = RandomVector(n), b = RandomVector(n);
    double exact = 0, magnitude = 0;
    for (size_t i = 0; i < n; ++i) {
      exact += static_cast<double>(a[i]) * b[i];
      magnitude += std::abs(static_cast<double>(a[i]) * b[i]);
    }
    double bound = static_cast<double>(n) * std::numeric_limits<float>::epsilon() * magnitude;
    EXPECT_NEAR(DotProduct(a.data(), b.data(), n), exact, bound) << n;
  }
}

// Against whole numbers, which leave no room for tolerance but the last rounding to floats.
TEST_P(DotProductTest, RowsMatchSumsOfWholeNumbers) {
  for (size_t stride : {64, 128, 384, 4096, 4160, 8192}) {
    constexpr size_t kRows = 23;  // groups of four and single ones
    HugeArray<uint8_t> codes;
    codes.Resize(kRows * stride);
    std::vector<float> scales;
    std::vector<int16_t> wide(stride), by_parity(stride);
    std::vector<int8_t> high(stride), low(stride);
    const bool extreme = random_() % 2 == 0;
    for (size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<uint8_t>(extreme ? 255 : 1 + random_() % 255);
    int64_t sum = 0;
    for (size_t i = 0; i < stride; ++i) {
      wide[i] = static_cast<int16_t>(extreme ? kMaxWide : static_cast<int>(random_() % (2 * kMaxWide + 1)) - kMaxWide);
      high[i] = static_cast<int8_t>((wide[i] + 64) >> 7);
      low[i] = static_cast<int8_t>(wide[i] - 128 * high[i]);
      by_parity[i % 2 * (stride / 2) + i / 2] = wide[i];
      sum += wide[i];
    }
    for (size_t row = 0; row < kRows; ++row) scales.push_back(static_cast<float>(row + 1));
    const CodeOperand operand = {by_parity.data(), high.data(), low.data(), sum, 0.5f};
    const CodeRows rows = {codes.data(), scales.data(), stride};
    auto expected = [&](size_t row) {
      int64_t total = 0;
      for (size_t i = 0; i < stride; ++i) total += int64_t{wide[i]} * (codes[row * stride + i] - 128);
      return 0.5f * scales[row] * static_cast<float>(total);
    };
    std::vector<float> range(kRows), listed(kRows);
    std::vector<uint32_t> indices;
    for (uint32_t row = kRows; row > 0; --row) indices.push_back((row * 7) % kRows);
    ScoreRange(operand, rows, 0, kRows, range.data());
    ScoreRows(operand, rows, indices.data(), kRows, listed.data());
    for (size_t i = 0; i < kRows; ++i) {
      EXPECT_FLOAT_EQ(range[i], expected(i)) << stride << " " << i;
      EXPECT_FLOAT_EQ(listed[i], expected(indices[i])) << stride << " " << i;
    }
    float last = 0;
    ScoreRange(operand, rows, kRows - 1, 1, &last);
    EXPECT_EQ(last, range[kRows - 1]);
  }
}

// The most, of either sign, that eight numbers which a lane of 16 bits sums up are together.
int LargestCoarseSum(const int8_t* numbers, size_t stride) {
  int largest = 0;
  for (size_t group = 0; group < stride; group += kCoarseGroup) {
    int positive[kCoarseVector / 2] = {}, negative[kCoarseVector / 2] = {};
    for (size_t i = group; i < std::min(group + kCoarseGroup, stride); ++i) {
      (numbers[i] > 0 ? positive : negative)[i % kCoarseVector / 2] += std::abs(numbers[i]);
    }
    largest = std::max({largest, *std::max_element(std::begin(positive), std::end(positive)),
                        *std::max_element(std::begin(negative), std::end(negative))});
  }
  return largest;
}

// Up to the largest that numbers and sums may be.
TEST_P(DotProductTest, CoarseRowsMatchSumsOfWholeNumbers) {
  for (size_t stride : {64, 128, 192, 384, 4160, 8192}) {
    for (int kind = 0; kind < 4; ++kind) {
      constexpr size_t kRows = 11;
      HugeArray<uint8_t> codes;
      codes.Resize(kRows * stride);
      for (size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<uint8_t>(kind < 2 ? 255 : 1 + random_() % 255);
      std::vector<int8_t> numbers(stride);
      for (size_t i = 0; i < stride; ++i) {
        const int sign = kind == 0 ? 1 : kind == 1 ? -1 : random_() % 2 == 0 ? 1 : -1;
        const bool alone = kind == 3 && i % kCoarseGroup < kCoarseVector && i % 2 == 0;
        numbers[i] = static_cast<int8_t>(sign * (kind < 3 ? 16 : alone ? 127 : 0));
      }
      ASSERT_LE(LargestCoarseSum(numbers.data(), stride), kMaxCoarseSum);
      std::vector<float> scales, scores(kRows);
      for (size_t row = 0; row < kRows; ++row) scales.push_back(static_cast<float>(row + 1));
      const int64_t sum = std::accumulate(numbers.begin(), numbers.end(), int64_t{0});
      ScoreRangeCoarsely({numbers.data(), sum, 0.5f}, {codes.data(), scales.data(), stride}, 1, kRows - 1,
                         scores.data());
      for (size_t row = 1; row < kRows; ++row) {
        int64_t total = 0;
        for (size_t i = 0; i < stride; ++i) total += int64_t{numbers[i]} * (codes[row * stride + i] - 128);
        EXPECT_EQ(scores[row - 1], 0.5f * scales[row] * static_cast<float>(total)) << stride << " " << kind;
      }
    }
  }
}

// What exact search rests on.
TEST_P(DotProductTest, ScoresOfCodesAreWithinTheirBounds) {
  for (int dimension : {1, 3, 8, 63, 64, 65, 384, 1000}) {
    QuantizedVectors vectors(dimension);
    std::vector<std::vector<float>> originals;
    for (int i = 0; i < 50; ++i) {
      originals.push_back(UnitVector(static_cast<size_t>(dimension)));
      if (i % 7 == 0) originals.back().assign(originals.back().size(), i % 2 ? 0.0f : 1 / std::sqrt(1.0f * dimension));
      if (i % 11 == 5) {
        std::fill(originals.back().begin(), originals.back().end(), 0.0f);
        originals.back()[0] = -1;
      }
      vectors.Append(originals.back().data());
    }
    RowOperand row_operand(vectors);
    for (int q = 0; q < 20; ++q) {
      const std::vector<float> values = q == 0 ? originals[0] : UnitVector(static_cast<size_t>(dimension));
      const QueryVector query(values);
      std::vector<float> scores(vectors.size()), coarse(vectors.size());
      ScoreRange(query.operand(), vectors.rows(), 0, vectors.size(), scores.data());
      ScoreRangeCoarsely(query.coarse_operand(), vectors.rows(), 0, vectors.size(), coarse.data());
      EXPECT_LE(LargestCoarseSum(query.coarse_operand().numbers, vectors.rows().stride), kMaxCoarseSum);
      EXPECT_LT(query.coarse_error(), 0.04f);
      for (size_t row = 0; row < vectors.size(); ++row) {
        const float exact = DotProduct(values.data(), originals[row].data(), values.size());
        EXPECT_LE(std::abs(scores[row] - exact), query.ErrorOf(vectors.error(row))) << dimension << " " << row;
        EXPECT_GE(coarse[row] + query.CoarseErrorOf(vectors.error(row)),
                  scores[row] + query.ErrorOf(vectors.error(row)))
            << dimension << " " << row;
      }
    }
    std::vector<float> decoded(originals[0].size());
    for (size_t row = 0; row < vectors.size(); ++row) {
      vectors.Decode(row, decoded.data());
      double square = 0, product = 0;
      for (size_t i = 0; i < decoded.size(); ++i) {
        square += (static_cast<double>(decoded[i]) - originals[row][i]) * (decoded[i] - originals[row][i]);
        product += static_cast<double>(decoded[i]) * decoded[i];
      }
      EXPECT_LE(std::sqrt(square), vectors.error(row) * 1.0001 + 1e-7);
      uint32_t self = static_cast<uint32_t>(row);
      float score = 0;
      ScoreRows(row_operand.Of(row), vectors.rows(), &self, 1, &score);
      EXPECT_NEAR(score, product, 1e-5);
    }
  }
}

TEST_P(DotProductTest, TheNearestColumnIsFound) {
  for (int round = 0; round < 50; ++round) {
    std::vector<float> columns = RandomVector(kPartNumbers * kPartColumns);
    const size_t wanted = random_() % kPartColumns;
    if (round % 5 == 0) std::fill(columns.begin(), columns.end(), 0.5f);  // all the same: the first
    std::vector<float> x(kPartNumbers);
    for (size_t k = 0; k < kPartNumbers; ++k) x[k] = columns[k * kPartColumns + wanted];
    EXPECT_EQ(NearestColumn(x.data(), columns.data()), round % 5 == 0 ? 0 : wanted);
    x = RandomVector(kPartNumbers);
    auto distance = [&](size_t i) {
      double sum = 0;
      for (size_t k = 0; k < kPartNumbers; ++k)
        sum += std::pow(static_cast<double>(x[k]) - columns[k * kPartColumns + i], 2);
      return sum;
    };
    double least = distance(0);
    for (size_t i = 1; i < kPartColumns; ++i) least = std::min(least, distance(i));
    EXPECT_NEAR(distance(NearestColumn(x.data(), columns.data())), least, 1e-5);
  }
}

INSTANTIATE_TEST_SUITE_P(Implementations, DotProductTest, ::testing::ValuesIn(Implementations()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace lastro::retrieval
