// Products of many rows: the rounding of x to nearest, and products against plain sums in double.
#include <algorithm>
#include <cstring>
#include <limits>

#include "kernels/bfloat16.h"
#include "kernels/gemm.h"
#include "tests/random_blocks.h"
#include "tests/unit/kernels/kernel_test_util.h"

namespace lastro::kernels {
namespace {

constexpr DataType kTypes[] = {DataType::kBF16, DataType::kQ4_0, DataType::kQ4_1, DataType::kQ5_0,
                               DataType::kQ5_1, DataType::kQ8_0, DataType::kQ2_K, DataType::kQ3_K,
                               DataType::kQ4_K, DataType::kQ5_K, DataType::kQ6_K, DataType::kMXFP4};

// x as the products take it, with guards behind each array.
class GuardedBlocks {
 public:
  GuardedBlocks(int64_t rows, int64_t k, RowCode code)
      : padded_(PaddedK(k)), together_(IsTileCode(code) ? 16 : 8), code_(code) {
    const int64_t values = (rows + together_ - 1) / together_ * together_ * padded_;
    codes_.assign(static_cast<size_t>(values * BytesOf(code) + kGuard), kByte);
    scales_.assign(static_cast<size_t>(values / kQuantGroup + kGuard), kSentinel);
    sums_.assign(static_cast<size_t>(values / kQuantSumGroup + kGuard), kSentinel);
  }
  GemmRows view() { return {codes_.data(), scales_.data(), sums_.data(), padded_}; }

  // The layout of gemm.h, written down a second time.
  double at(int64_t row, int64_t k) const {
    if (code_ == RowCode::kTileBf16) {
      uint16_t bits;
      std::memcpy(&bits, codes_.data() + (((row / 16 * padded_ + k / 32 * 32) * 16 + row % 16 * 32) + k % 32) * 2, 2);
      return static_cast<double>(Bf16ToFloat(bits));
    }
    const double scale =
        scales_[static_cast<size_t>((row / together_ * (padded_ / 32) + k / 32) * together_ + row % together_)];
    if (code_ == RowCode::kTileInt8) {
      return scale * static_cast<int8_t>(
                         codes_[static_cast<size_t>((row / 16 * padded_ + k / 64 * 64) * 16 + row % 16 * 64 + k % 64)]);
    }
    const int64_t per_dword = 4 / BytesOf(code_);
    const int64_t dword = (row / 8 * (padded_ / per_dword) + k / per_dword) * 8 + row % 8;
    const uint8_t* from = codes_.data() + dword * 4 + k % per_dword * BytesOf(code_);
    if (code_ == RowCode::kInt8) return scale * (static_cast<int>(*from) - 128);
    int16_t value;
    std::memcpy(&value, from, sizeof(value));
    return scale * value;
  }
  double sum(int64_t row, int64_t group) const {
    return sums_[static_cast<size_t>((row / together_ * (padded_ / 16) + group) * together_ + row % together_)];
  }
  bool has_sums() const { return code_ != RowCode::kInt14 && code_ != RowCode::kTileBf16; }
  int64_t rows_for(int64_t rows) const { return (rows + together_ - 1) / together_ * together_; }
  // By how much a value of up to `largest` may be off.
  double error_of(double largest) const {
    return largest / (code_ == RowCode::kTileBf16 ? 256 : static_cast<double>(LimitOf(code_)));
  }
  int64_t padded() const { return padded_; }
  void ExpectGuardsIntact() const {
    for (size_t i = 1; i <= kGuard; ++i) {
      ASSERT_EQ(codes_[codes_.size() - i], kByte);
      ASSERT_EQ(scales_[scales_.size() - i], kSentinel);
      ASSERT_EQ(sums_[sums_.size() - i], kSentinel);
    }
  }

 private:
  static constexpr size_t kGuard = 40;
  static constexpr uint8_t kByte = 0xA7;
  int64_t padded_, together_;
  RowCode code_;
  std::vector<uint8_t> codes_;
  std::vector<float> scales_, sums_;
};

class GemmKernel : public KernelTest {
 protected:
  const GemmKernels& gemm() const { return GetParam().target == 0 ? ReferenceGemmKernels() : SimdGemmKernels(); }

  std::vector<uint8_t> RandomWeights(DataType type, int64_t elements) {
    if (type != DataType::kBF16) return testing::RandomBlocks(type, elements, 0x2800, random_);
    std::vector<uint8_t> weights(static_cast<size_t>(2 * elements));
    std::normal_distribution<float> normal;
    for (int64_t i = 0; i < elements; ++i) {
      const uint16_t bits = FloatToBf16(normal(random_));
      std::memcpy(weights.data() + 2 * i, &bits, sizeof(bits));
    }
    return weights;
  }

  static std::vector<float> Floats(const std::vector<uint8_t>& weights, DataType type, int64_t elements) {
    std::vector<float> values(static_cast<size_t>(elements));
    if (type == DataType::kBF16) {
      ReferenceKernels().to_f32(weights.data(), type, elements, false, values.data());
    } else {
      ReferenceQuantKernels().dequantize(weights.data(), type, elements, false, values.data());
    }
    return values;
  }

  void ExpectProduct(DataType type, int64_t rows, int64_t n, int64_t k) {
    ExpectProduct(type, RandomWeights(type, n * k), GuardedMatrix::Random(rows, k, random_), n);
  }
  void ExpectProduct(DataType type, const std::vector<uint8_t>& weights, const GuardedMatrix& x, int64_t n);
};

// Lengths around a chunk; of BF16 any.
std::vector<int64_t> Lengths(DataType type) {
  if (ShapeOf(type).elements == 256) return {256, 768};
  if (type == DataType::kBF16) return {1, 24, 33, 256, 500};
  return {32, 224, 256, 288, 544};
}

void GemmKernel::ExpectProduct(DataType type, const std::vector<uint8_t>& weights, const GuardedMatrix& x, int64_t n) {
  const int64_t rows = x.rows(), k = x.cols();
  SCOPED_TRACE(::testing::Message() << "type " << static_cast<int>(type) << ", " << rows << " x " << n << " x " << k);
  const std::vector<float> w = Floats(weights, type, n * k);
  const GuardedMatrix bias = GuardedMatrix::Random(1, n, random_);
  const RowCode code = gemm().code_for(type);
  GuardedBlocks rounded(rows, k, code);
  gemm().round_rows(x.in(), rows, k, code, rounded.view());
  const int64_t panels = (n + kGemmColumns - 1) / kGemmColumns, from = panels / 3;
  const float* b = random_() % 2 == 0 ? bias.in().data : nullptr;
  GuardedMatrix out(rows, n);
  gemm().gemm({weights.data(), type, b, rounded.view(), out.out(), rows, n, k}, from, panels);
  out.ExpectGuardsIntact();
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < n; ++i) {
      if (i < from * kGemmColumns) {
        ASSERT_EQ(out.at(r, i), kSentinel);
        continue;
      }
      // Of what x was rounded to: sums of floats round, and BF16 that is small beside its neighbours.
      double sum = b != nullptr ? b[i] : 0.0, magnitude = std::abs(sum), tolerance = 0;
      for (int64_t j = 0; j < k; ++j) {
        const double product = rounded.at(r, j) * w[static_cast<size_t>(i * k + j)];
        sum += product;
        magnitude += std::abs(product) + std::abs(w[static_cast<size_t>(i * k + j)]) * 0.1;
        if (type == DataType::kBF16) tolerance += std::abs(rounded.at(r, j)) * 8.0 / 8192 / 16;
      }
      ASSERT_NEAR(out.at(r, i), sum, tolerance + 100 * 1.2e-7 * magnitude) << r << ", " << i;
    }
  }
}

TEST_P(GemmKernel, RoundRowsRoundsToNearest) {
  for (DataType type : {DataType::kQ8_0, DataType::kBF16}) {
    const RowCode code = gemm().code_for(type);
    for (int64_t k : {1, 31, 32, 33, 256, 300}) {
      for (int64_t rows : {1, 7, 8, 19}) {
        GuardedMatrix x = GuardedMatrix::Random(rows, k, random_);
        if (k > 32) std::fill_n(&x.at(0, 0), 32, 0.0f);  // a group without a scale
        GuardedBlocks out(rows, k, code);
        gemm().round_rows(x.in(), rows, k, code, out.view());
        out.ExpectGuardsIntact();
        for (int64_t r = 0; r < out.rows_for(rows); ++r) {
          for (int64_t i = 0; i < out.padded(); ++i) {
            const double want = r < rows && i < k ? x.at(r, i) : 0;
            ASSERT_NEAR(out.at(r, i), want, out.error_of(5.0)) << r << ", " << i;
          }
          for (int64_t g = 0; g < out.padded() / 16 && out.has_sums(); ++g) {
            double sum = 0, magnitude = 0;
            for (int64_t i = 16 * g; i < 16 * g + 16; ++i) {
              sum += out.at(r, i);
              magnitude += std::abs(out.at(r, i));
            }
            ExpectClose(out.sum(r, g), sum, magnitude, 8);
          }
        }
      }
    }
  }
}

TEST_P(GemmKernel, ProductsOfEveryType) {
  for (DataType type : kTypes) {
    for (int64_t k : Lengths(type)) {
      for (int64_t n : {1, 31, 33, 70}) ExpectProduct(type, 1 + static_cast<int64_t>(random_() % 20), n, k);
    }
  }
}

TEST_P(GemmKernel, MoreRowsThanOnePass) {
  ExpectProduct(DataType::kQ4_0, 1034, 33, 64);
  ExpectProduct(DataType::kBF16, 1034, 33, 40);
}

// Whole and partial blocks of rows, alone and in twos.
TEST_P(GemmKernel, AnyNumberOfRows) {
  for (int64_t rows : {1, 15, 16, 17, 31, 32, 33, 48, 65}) {
    for (DataType type : {DataType::kQ8_0, DataType::kQ4_K, DataType::kQ6_K, DataType::kBF16}) {
      ExpectProduct(type, rows, 161, 512);
    }
  }
}

// The largest codes there are on both sides: nothing overflows.
TEST_P(GemmKernel, LargestSums) {
  constexpr int64_t kK = 256, kN = 33;
  for (float sign : {1.0f, -1.0f}) {
    std::vector<uint16_t> weights(kN * kK, FloatToBf16(sign * 1.9921875f));
    GuardedMatrix x(3, kK), out(3, kN);
    for (int64_t r = 0; r < 3; ++r) std::fill_n(&x.at(r, 0), kK, 3.0f);
    const RowCode code = gemm().code_for(DataType::kBF16);
    GuardedBlocks rounded(3, kK, code);
    gemm().round_rows(x.in(), 3, kK, code, rounded.view());
    gemm().gemm({weights.data(), DataType::kBF16, nullptr, rounded.view(), out.out(), 3, kN, kK}, 0, 2);
    for (int64_t i = 0; i < kN; ++i) EXPECT_NEAR(out.at(2, i), sign * 1.9921875f * 3 * kK, 1e-3 * kK);

    std::vector<uint8_t> blocks(static_cast<size_t>(RowBytes(DataType::kQ8_0, kN * kK)), sign > 0 ? 127 : 128);
    for (size_t at = 0; at < blocks.size(); at += 34) blocks[at] = 0, blocks[at + 1] = 0x3C;  // scales of 1
    const RowCode byte = gemm().code_for(DataType::kQ8_0);
    GuardedBlocks bytes(3, kK, byte);
    gemm().round_rows(x.in(), 3, kK, byte, bytes.view());
    gemm().gemm({blocks.data(), DataType::kQ8_0, nullptr, bytes.view(), out.out(), 3, kN, kK}, 0, 2);
    for (int64_t i = 0; i < kN; ++i) EXPECT_NEAR(out.at(2, i), (sign > 0 ? 127 : -128) * 3.0 * kK, 0.1);
  }
}

// The same of every format: neither do sums in 16 bits.
TEST_P(GemmKernel, LargestSumsOfEveryType) {
  constexpr int64_t kK = 512, kN = 33;
  GuardedMatrix x(3, kK);
  for (int64_t i = 0; i < kK; ++i) x.at(0, i) = 3, x.at(1, i) = -3, x.at(2, i) = i % 2 == 0 ? 3 : -3;
  for (DataType type : kTypes) {
    if (type == DataType::kBF16) continue;
    for (uint8_t byte : testing::kEvenBytes) {
      SCOPED_TRACE(static_cast<int>(byte));
      ExpectProduct(type, testing::EvenBlocks(type, kN * kK, byte), x, kN);
    }
  }
}

// What is not finite on either side does not become a number.
TEST_P(GemmKernel, InfinityAndNanOfXStay) {
  constexpr int64_t kK = 64, kN = 3;
  for (DataType type : {DataType::kQ8_0, DataType::kQ4_1, DataType::kBF16}) {
    for (float odd : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
      const std::vector<uint8_t> weights = RandomWeights(type, kN * kK);
      GuardedMatrix x = GuardedMatrix::Random(3, kK, random_), out(3, kN);
      x.at(1, random_() % kK) = odd;
      const RowCode code = gemm().code_for(type);
      GuardedBlocks rounded(3, kK, code);
      gemm().round_rows(x.in(), 3, kK, code, rounded.view());
      gemm().gemm({weights.data(), type, nullptr, rounded.view(), out.out(), 3, kN, kK}, 0, 1);
      for (int64_t i = 0; i < kN; ++i) {
        EXPECT_TRUE(std::isfinite(out.at(0, i)));
        EXPECT_FALSE(std::isfinite(out.at(1, i)));
        EXPECT_TRUE(std::isfinite(out.at(2, i)));
      }
    }
  }
}

TEST_P(GemmKernel, InfinityAndNanOfWeightsStay) {
  constexpr int64_t kK = 64, kN = 3;
  for (float odd : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    std::vector<uint16_t> weights(kN * kK, FloatToBf16(0.5f));
    weights[kK + 7] = FloatToBf16(odd);
    GuardedMatrix x = GuardedMatrix::Random(2, kK, random_), out(2, kN);
    const RowCode code = gemm().code_for(DataType::kBF16);
    GuardedBlocks rounded(2, kK, code);
    gemm().round_rows(x.in(), 2, kK, code, rounded.view());
    gemm().gemm({weights.data(), DataType::kBF16, nullptr, rounded.view(), out.out(), 2, kN, kK}, 0, 1);
    for (int64_t r = 0; r < 2; ++r) {
      EXPECT_TRUE(std::isfinite(out.at(r, 0)));
      EXPECT_FALSE(std::isfinite(out.at(r, 1)));
      EXPECT_TRUE(std::isfinite(out.at(r, 2)));
    }
  }
}

// A row's result is its own, bit for bit.
TEST_P(GemmKernel, RowsDoNotMix) {
  constexpr int64_t kRows = 21, kK = 288, kN = 40;
  for (DataType type : {DataType::kQ4_0, DataType::kBF16}) {
    const std::vector<uint8_t> weights = RandomWeights(type, kN * kK);
    const GuardedMatrix x = GuardedMatrix::Random(kRows, kK, random_);
    const RowCode code = gemm().code_for(type);
    auto product = [&](int64_t first, int64_t rows) {
      GuardedBlocks rounded(rows, kK, code);
      GuardedMatrix out(rows, kN);
      gemm().round_rows({x.in().data + first * x.in().stride, x.in().stride}, rows, kK, code, rounded.view());
      gemm().gemm({weights.data(), type, nullptr, rounded.view(), out.out(), rows, kN, kK}, 0, 2);
      return out;
    };
    const GuardedMatrix all = product(0, kRows);
    for (int64_t r = 0; r < kRows; ++r) {
      const GuardedMatrix one = product(r, 1);
      for (int64_t i = 0; i < kN; ++i) ASSERT_EQ(all.at(r, i), one.at(0, i));
    }
  }
}

LASTRO_INSTANTIATE_KERNEL_TESTS_WITH_TILES(GemmKernel);

// The same integers in the same order: whoever takes x in bytes, and fuses multiplications and additions, has the same
// results to the last bit.
TEST(GemmOfBytes, EqualsOnEveryInstructionSet) {
  std::vector<Implementation> all = Implementations();
  std::erase_if(all, [](const Implementation& one) { return one.target != HWY_AVX2 && one.target != HWY_AVX3; });
  if (all.size() < 2) GTEST_SKIP() << "this CPU has one such instruction set at most";
  std::mt19937_64 random = testing::SeededRandom(20261129);
  constexpr int64_t kRows = 21, kN = 70;
  for (DataType type : kTypes) {
    if (type == DataType::kBF16) continue;
    const int64_t k = ShapeOf(type).elements == 256 ? 768 : 544;
    const std::vector<uint8_t> weights = testing::RandomBlocks(type, kN * k, 0x2800, random);
    const GuardedMatrix x = GuardedMatrix::Random(kRows, k, random);
    std::vector<GuardedMatrix> products;
    for (const Implementation& one : all) {
      Use(one);
      const GemmKernels& gemm = SimdGemmKernels();
      if (gemm.code_for(type) != RowCode::kInt8) continue;
      GuardedBlocks rounded(kRows, k, RowCode::kInt8);
      products.emplace_back(kRows, kN);
      gemm.round_rows(x.in(), kRows, k, RowCode::kInt8, rounded.view());
      gemm.gemm({weights.data(), type, nullptr, rounded.view(), products.back().out(), kRows, kN, k}, 0, 3);
    }
    for (const GuardedMatrix& product : products) {
      for (int64_t r = 0; r < kRows; ++r) {
        for (int64_t i = 0; i < kN; ++i) ASSERT_EQ(product.at(r, i), products[0].at(r, i)) << static_cast<int>(type);
      }
    }
  }
  UseTheBest();
}

// The same integers in the same order: tiles give the results of AVX-512 VNNI to the last bit.
TEST(GemmOnTiles, EqualsVnni) {
  if (kBestVnni != Vnni::kAvx512) GTEST_SKIP() << "this CPU has no AVX-512 VNNI";
  std::mt19937_64 random = testing::SeededRandom(20261128);
  constexpr int64_t kRows = 37, kN = 100;
  for (DataType type : kTypes) {
    if (type == DataType::kBF16) continue;
    const int64_t k = ShapeOf(type).elements == 256 ? 768 : 544;
    const std::vector<uint8_t> weights = testing::RandomBlocks(type, kN * k, 0x2800, random);
    const GuardedMatrix x = GuardedMatrix::Random(kRows, k, random);
    auto product = [&](TileUse use) {
      SetTilesForTest(use);
      const GemmKernels& gemm = SimdGemmKernels();
      const RowCode code = gemm.code_for(type);
      EXPECT_EQ(IsTileCode(code), use != TileUse::kNone);
      GuardedBlocks rounded(kRows, k, code);
      GuardedMatrix out(kRows, kN);
      gemm.round_rows(x.in(), kRows, k, code, rounded.view());
      gemm.gemm({weights.data(), type, nullptr, rounded.view(), out.out(), kRows, kN, k}, 0, 4);
      return out;
    };
    const GuardedMatrix want = product(TileUse::kNone), got = product(TileUse::kEmulated);
    for (int64_t r = 0; r < kRows; ++r) {
      for (int64_t i = 0; i < kN; ++i) {
        ASSERT_EQ(got.at(r, i), want.at(r, i)) << static_cast<int>(type) << ": " << r << ", " << i;
      }
    }
  }
  SetTilesForTest(TileUse::kHardware);
}

}  // namespace
}  // namespace lastro::kernels
