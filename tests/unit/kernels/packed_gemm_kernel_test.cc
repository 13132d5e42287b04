// Products with packed weights: the rounding of both sides to nearest, and products against plain sums in double.
#include <algorithm>
#include <limits>

#include "kernels/packed_gemm.h"
#include "tests/unit/kernels/kernel_test_util.h"

namespace lastro::kernels {
namespace {

constexpr size_t kGuard = 40;
constexpr int16_t kGuardCode = 0x5AA5;

// x as the products take it, with guards behind each array.
class GuardedRows {
 public:
  GuardedRows(int64_t rows, int64_t k) : groups_(PackedGroups(k)), blocks_((rows + 7) / 8) {
    codes_.assign(static_cast<size_t>(blocks_ * groups_ * 8 * 128) + kGuard, kGuardCode);
    scales_.assign(static_cast<size_t>(blocks_ * groups_ * 8) + kGuard, kSentinel);
  }
  PackedRows view() { return {codes_.data(), scales_.data(), groups_}; }

  // The layout of packed_gemm.h, written down a second time.
  double scale(int64_t row, int64_t k) const {
    return scales_[static_cast<size_t>((row / 8 * groups_ + k / 128) * 8 + row % 8)];
  }
  double at(int64_t row, int64_t k) const {
    const int64_t group = (row / 8 * groups_ + k / 128) * 8 + row % 8;
    return scale(row, k) * codes_[static_cast<size_t>(group * 128 + k % 128)];
  }
  int64_t rows() const { return 8 * blocks_; }
  int64_t padded() const { return 128 * groups_; }
  void ExpectGuardsIntact() const {
    for (size_t i = 1; i <= kGuard; ++i) {
      ASSERT_EQ(codes_[codes_.size() - i], kGuardCode);
      ASSERT_EQ(scales_[scales_.size() - i], kSentinel);
    }
  }

 private:
  int64_t groups_, blocks_;
  std::vector<int16_t> codes_;
  std::vector<float> scales_;
};

class PackedGemmKernel : public KernelTest {
 protected:
  const PackedGemmKernels& packed() const {
    return GetParam().target == 0 ? ReferencePackedGemmKernels() : SimdPackedGemmKernels();
  }

  // W [n, k] as panels, and one more that nobody may read or write.
  std::vector<PackedWeights> Pack(const GuardedMatrix& w) const {
    const int64_t groups = PackedGroups(w.cols()), panels = (w.rows() + 31) / 32;
    PackedWeights guard;
    std::fill_n(guard.scales, kPackedColumns, kSentinel);
    std::fill_n(&guard.codes[0][0][0], kPackedGroup * kPackedColumns, kGuardCode);
    std::vector<PackedWeights> all(static_cast<size_t>(panels * groups + 1), guard);
    for (int64_t p = 0; p < panels; ++p) {
      const ConstRows from = {w.in().data + 32 * p * w.in().stride, w.in().stride};
      packed().pack_panel(from, std::min<int64_t>(32, w.rows() - 32 * p), w.cols(), all.data() + p * groups);
    }
    EXPECT_EQ(std::memcmp(&all.back(), &guard, sizeof(guard)), 0);
    return all;
  }
  static double ScaleAt(const std::vector<PackedWeights>& panels, int64_t k, int64_t feature, int64_t at) {
    return panels[static_cast<size_t>(feature / 32 * PackedGroups(k) + at / 128)].scales[feature % 32];
  }
  static double WeightAt(const std::vector<PackedWeights>& panels, int64_t k, int64_t feature, int64_t at) {
    const PackedWeights& group = panels[static_cast<size_t>(feature / 32 * PackedGroups(k) + at / 128)];
    return static_cast<double>(group.scales[feature % 32]) * group.codes[at % 128 / 2][feature % 32][at % 2];
  }

  GuardedMatrix Product(const GuardedMatrix& x, const GuardedMatrix& w, const float* bias = nullptr,
                        int64_t first_panel = 0) {
    GuardedRows rounded(x.rows(), x.cols());
    packed().round_rows(x.in(), x.rows(), x.cols(), rounded.view());
    const std::vector<PackedWeights> panels = Pack(w);
    GuardedMatrix out(x.rows(), w.rows());
    packed().gemm({panels.data(), bias, rounded.view(), out.out(), x.rows(), w.rows()}, first_panel,
                  (w.rows() + 31) / 32);
    out.ExpectGuardsIntact();
    return out;
  }
  void ExpectProduct(int64_t rows, int64_t n, int64_t k);
};

constexpr int64_t kLengths[] = {1, 2, 31, 127, 128, 129, 300, 384, 385, 512, 900};

TEST_P(PackedGemmKernel, RoundRowsRoundsToNearest) {
  for (int64_t k : kLengths) {
    for (int64_t rows : {1, 7, 8, 19}) {
      GuardedMatrix x = GuardedMatrix::Random(rows, k, random_);
      if (k > 128) std::fill_n(&x.at(0, 0), 128, 0.0f);  // a group without a scale
      GuardedRows out(rows, k);
      packed().round_rows(x.in(), rows, k, out.view());
      out.ExpectGuardsIntact();
      for (int64_t r = 0; r < out.rows(); ++r) {
        for (int64_t i = 0; i < out.padded(); ++i) {
          const double want = r < rows && i < k ? x.at(r, i) : 0;
          ASSERT_LE(out.scale(r, i), 6.0 / 4095);
          ASSERT_NEAR(out.at(r, i), want, out.scale(r, i) * 0.501) << r << ", " << i;
        }
      }
    }
  }
}

// Of wider rows one group after the other.
TEST_P(PackedGemmKernel, RoundRowsGroupByGroup) {
  constexpr int64_t kRows = 19, kK = 300;
  const GuardedMatrix x = GuardedMatrix::Random(kRows, kK, random_);
  GuardedRows whole(kRows, kK), parts(kRows, kK);
  packed().round_rows(x.in(), kRows, kK, whole.view());
  for (int64_t g : {2, 0, 1}) {
    const ConstRows from = {x.in().data + 128 * g, x.in().stride};
    packed().round_rows(from, kRows, std::min<int64_t>(128, kK - 128 * g), FromGroup(parts.view(), g));
  }
  parts.ExpectGuardsIntact();
  for (int64_t r = 0; r < whole.rows(); ++r) {
    for (int64_t i = 0; i < whole.padded(); ++i) ASSERT_EQ(parts.at(r, i), whole.at(r, i)) << r << ", " << i;
  }
}

TEST_P(PackedGemmKernel, PackPanelRoundsToNearest) {
  for (int64_t k : kLengths) {
    for (int64_t n : {1, 31, 32, 45}) {
      const GuardedMatrix w = GuardedMatrix::Random(n, k, random_);
      const std::vector<PackedWeights> panels = Pack(w);
      for (int64_t f = 0; f < (n + 31) / 32 * 32; ++f) {
        for (int64_t i = 0; i < PackedGroups(k) * 128; ++i) {
          const double want = f < n && i < k ? w.at(f, i) : 0, scale = ScaleAt(panels, k, f, i);
          ASSERT_LE(scale, 6.0 / 4095);
          ASSERT_NEAR(WeightAt(panels, k, f, i), want, scale * 0.501) << f << ", " << i;
        }
      }
    }
  }
}

// What the header says of a group beside BF16, also of numbers as unlike as can be.
TEST_P(PackedGemmKernel, ErrorOfAGroupIsBelowThatOfItsLargestInBf16) {
  for (float exponent : {0.0f, 2.0f, 6.0f}) {
    GuardedMatrix x(8, 128);
    std::normal_distribution<float> normal;
    for (int64_t r = 0; r < 8; ++r) {
      for (int64_t i = 0; i < 128; ++i) x.at(r, i) = normal(random_) * std::exp(exponent * normal(random_));
    }
    GuardedRows out(8, 128);
    packed().round_rows(x.in(), 8, 128, out.view());
    for (int64_t r = 0; r < 8; ++r) {
      double squares = 0, largest = 0;
      for (int64_t i = 0; i < 128; ++i) {
        const double value = x.at(r, i), error = out.at(r, i) - value;
        squares += error * error;
        largest = std::max(largest, std::abs(value));
      }
      EXPECT_LE(std::sqrt(squares), 1.4e-3 * largest);
    }
  }
}

void PackedGemmKernel::ExpectProduct(int64_t rows, int64_t n, int64_t k) {
  SCOPED_TRACE(::testing::Message() << rows << " x " << n << " x " << k);
  const GuardedMatrix x = GuardedMatrix::Random(rows, k, random_), w = GuardedMatrix::Random(n, k, random_);
  const GuardedMatrix bias = GuardedMatrix::Random(1, n, random_);
  const float* b = random_() % 2 == 0 ? bias.in().data : nullptr;
  const int64_t from = (n + 31) / 32 / 3;
  const GuardedMatrix out = Product(x, w, b, from);
  GuardedRows rounded(rows, k);
  packed().round_rows(x.in(), rows, k, rounded.view());
  const std::vector<PackedWeights> panels = Pack(w);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < n; ++i) {
      if (i < from * 32) {
        ASSERT_EQ(out.at(r, i), kSentinel);
        continue;
      }
      double sum = b != nullptr ? b[i] : 0.0, magnitude = std::abs(sum);
      for (int64_t j = 0; j < k; ++j) {
        const double product = rounded.at(r, j) * WeightAt(panels, k, i, j);
        sum += product;
        magnitude += std::abs(product);
      }
      ASSERT_NEAR(out.at(r, i), sum, 10 * 1.2e-7 * magnitude) << r << ", " << i;
    }
  }
}

TEST_P(PackedGemmKernel, ProductsOfAllShapes) {
  for (int64_t k : kLengths) {
    for (int64_t n : {1, 31, 32, 33, 100}) ExpectProduct(1 + static_cast<int64_t>(random_() % 20), n, k);
  }
}

TEST_P(PackedGemmKernel, AnyNumberOfRows) {
  for (int64_t rows : {1, 7, 8, 9, 16, 33}) ExpectProduct(rows, 70, 520);
}

// The largest codes there are on both sides: nothing overflows.
TEST_P(PackedGemmKernel, LargestSums) {
  constexpr int64_t kK = 256, kN = 33;
  GuardedMatrix x(3, kK), w(kN, kK);
  for (float sign : {1.0f, -1.0f}) {
    for (int64_t r = 0; r < 3; ++r) std::fill_n(&x.at(r, 0), kK, 3.0f);
    for (int64_t f = 0; f < kN; ++f) std::fill_n(&w.at(f, 0), kK, sign * 1.75f);
    const GuardedMatrix out = Product(x, w);
    for (int64_t i = 0; i < kN; ++i) EXPECT_NEAR(out.at(2, i), sign * 1.75f * 3 * kK, 1e-5 * kK);
  }
}

// What is not finite on either side does not become a number.
TEST_P(PackedGemmKernel, InfinityAndNanStay) {
  constexpr int64_t kK = 200, kN = 3;
  for (float odd : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                    std::numeric_limits<float>::quiet_NaN()}) {
    GuardedMatrix x = GuardedMatrix::Random(3, kK, random_), w = GuardedMatrix::Random(kN, kK, random_);
    GuardedMatrix bad_x = x, bad_w = w;
    bad_x.at(1, static_cast<int64_t>(random_() % kK)) = odd;
    bad_w.at(1, static_cast<int64_t>(random_() % kK)) = odd;
    const GuardedMatrix of_x = Product(bad_x, w), of_w = Product(x, bad_w);
    for (int64_t r = 0; r < 3; ++r) {
      for (int64_t i = 0; i < kN; ++i) {
        EXPECT_EQ(std::isfinite(of_x.at(r, i)), r != 1);
        EXPECT_EQ(std::isfinite(of_w.at(r, i)), i != 1);
      }
    }
  }
}

// Numbers so small that their scale is no longer exact are nothing.
TEST_P(PackedGemmKernel, TinyNumbersAreZero) {
  GuardedMatrix x(1, 128), w = GuardedMatrix::Random(3, 128, random_);
  std::fill_n(&x.at(0, 0), 128, 1e-39f);
  const GuardedMatrix out = Product(x, w);
  for (int64_t i = 0; i < 3; ++i) EXPECT_EQ(out.at(0, i), 0.0f);
}

// A row's result is its own, bit for bit.
TEST_P(PackedGemmKernel, RowsDoNotMix) {
  constexpr int64_t kRows = 21, kK = 900, kN = 40;
  const GuardedMatrix x = GuardedMatrix::Random(kRows, kK, random_), w = GuardedMatrix::Random(kN, kK, random_);
  const GuardedMatrix all = Product(x, w);
  for (int64_t r = 0; r < kRows; ++r) {
    GuardedMatrix row(1, kK);
    std::copy_n(&x.in().data[r * x.in().stride], kK, &row.at(0, 0));
    const GuardedMatrix one = Product(row, w);
    for (int64_t i = 0; i < kN; ++i) ASSERT_EQ(all.at(r, i), one.at(0, i));
  }
}

LASTRO_INSTANTIATE_KERNEL_TESTS(PackedGemmKernel);

}  // namespace
}  // namespace lastro::kernels
