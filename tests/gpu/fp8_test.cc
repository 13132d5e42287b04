// Weights in FP8: the rounding against the numbers of the format, products against sums in double.
#include <algorithm>

#include "tests/gpu/backend_test_util.h"

namespace lastro::engine {
namespace {

std::unique_ptr<Backend> NewFp8(bool deterministic = false) {
  CudaBackendOptions options;
  options.fp8 = true;
  options.deterministic = deterministic;
  options.kernels_overlap = testing::TestsKernelsOverlap();
  options.memory_bytes = int64_t{1} << 30;
  auto backend = CudaBackend::Create(options);
  EXPECT_THAT(backend, testing::IsOk());
  return *std::move(backend);
}

// Every number of E4M3 that is not negative, in the order of its codes: 4 bits of exponent (bias 7), 3 of mantissa.
std::vector<float> E4m3Numbers() {
  std::vector<float> numbers;
  for (int exponent = 0; exponent < 16; ++exponent) {
    for (int mantissa = 0; mantissa < 8; ++mantissa) {
      if (exponent == 15 && mantissa == 7) continue;  // NaN
      numbers.push_back(exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                                      : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10));
    }
  }
  return numbers;
}

// The nearest of them, of two the one with the even code.
float Nearest(float x) {
  static const std::vector<float> numbers = E4m3Numbers();
  const float magnitude = std::min(std::abs(x), numbers.back());
  const size_t above =
      static_cast<size_t>(std::lower_bound(numbers.begin(), numbers.end(), magnitude) - numbers.begin());
  size_t code = above;
  if (above > 0) {
    const double down = static_cast<double>(magnitude) - static_cast<double>(numbers[above - 1]);
    const double up = static_cast<double>(numbers[above]) - static_cast<double>(magnitude);
    if (down < up || (down == up && above % 2 == 1)) code = above - 1;
  }
  return std::copysign(numbers[code], x);
}

std::vector<float> Rounded(const std::vector<float>& values, int64_t cols) {
  std::vector<float> rounded;
  for (size_t row = 0; row < values.size(); row += static_cast<size_t>(cols)) {
    float largest = 0;
    for (int64_t i = 0; i < cols; ++i) largest = std::max(largest, std::abs(values[row + static_cast<size_t>(i)]));
    const float scale = std::max(largest / 448.0f, std::numeric_limits<float>::min());
    for (int64_t i = 0; i < cols; ++i) {
      rounded.push_back(scale * Nearest(values[row + static_cast<size_t>(i)] / scale));
    }
  }
  return rounded;
}

// x W^T + bias.
std::vector<float> Product(const std::vector<float>& x, const std::vector<float>& w, const std::vector<float>& bias,
                           int64_t k) {
  std::vector<float> out;
  for (size_t row = 0; row < x.size(); row += static_cast<size_t>(k)) {
    for (size_t feature = 0; feature * static_cast<size_t>(k) < w.size(); ++feature) {
      double sum = bias.empty() ? 0 : bias[feature];
      for (size_t i = 0; i < static_cast<size_t>(k); ++i) {
        sum += static_cast<double>(x[row + i]) * w[feature * static_cast<size_t>(k) + i];
      }
      out.push_back(static_cast<float>(sum));
    }
  }
  return out;
}

double ErrorOf(const std::vector<float>& got, const std::vector<float>& want) {
  double error = 0, size = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    error += std::pow(static_cast<double>(got[i]) - want[i], 2);
    size += std::pow(static_cast<double>(want[i]), 2);
  }
  return std::sqrt(error / size);  // NaN is no small error
}

class CudaFp8 : public ::testing::Test {
 protected:
  std::vector<float> Random(int64_t count) {
    std::normal_distribution<float> normal(0, 1);
    std::vector<float> values(static_cast<size_t>(count));
    for (float& v : values) v = kernels::Bf16ToFloat(kernels::FloatToBf16(normal(random_)));
    return values;
  }

  std::unique_ptr<LinearWeight> Load(Side& side, const std::vector<float>& w, int64_t k,
                                     const std::vector<float>& bias = {}) {
    const HostMatrix matrix = {DataType::kF32, reinterpret_cast<const uint8_t*>(w.data()),
                               static_cast<int64_t>(w.size()) / k, k};
    LinearHints hints;
    hints.fewer_bits = true;
    // In two parts, as maps of a layer are stacked.
    const int64_t half = matrix.rows / 2;
    auto weight = side->LoadLinear({matrix.Rows(0, half), matrix.Rows(half, matrix.rows - half)}, bias, hints);
    EXPECT_THAT(weight, testing::IsOk());
    return *std::move(weight);
  }

  std::vector<float> Multiply(Side& side, const LinearWeight& weight, const std::vector<float>& x, DataType in,
                              DataType out) {
    const int64_t rows = static_cast<int64_t>(x.size()) / weight.k();
    const MatrixView to = side.Empty(rows, weight.n(), out, 0);
    side->Linear(weight, side.Put(x, rows, weight.k(), in, 0), to);
    return side.Get(to);
  }

  Side cuda_{NewFp8()};
  std::mt19937_64 random_ = testing::SeededRandom(88);
};

// Rows that hold every number of the format, what lies halfway between two, and a little less and more.
TEST_F(CudaFp8, RoundsToTheNearestNumber) {
  const std::vector<float> numbers = E4m3Numbers();
  const int64_t k = 1024;
  std::vector<float> row;
  for (size_t i = 0; i < numbers.size(); ++i) {
    const float next = i + 1 < numbers.size() ? numbers[i + 1] : numbers[i], half = (numbers[i] + next) / 2;
    for (float x : {numbers[i], half, std::nextafter(half, 0.0f), std::nextafter(half, 500.0f)}) {
      row.push_back(x);
      row.push_back(-x);
    }
  }
  ASSERT_LE(row.size(), static_cast<size_t>(k));
  row.resize(static_cast<size_t>(k));
  std::vector<float> w;
  for (float factor : {1.0f, 0.25f, -64.0f}) {  // powers of two: scales are exact
    for (float x : row) w.push_back(factor * x);
  }
  w.resize(16 * static_cast<size_t>(k));  // and rows of zeros
  const std::unique_ptr<LinearWeight> weight = Load(cuda_, w, k);
  std::vector<float> got(w.size());
  for (int64_t i = 0; i < k; i += 4) {
    std::vector<float> x(static_cast<size_t>(4 * k));
    for (int64_t j = 0; j < 4; ++j) x[static_cast<size_t>(j * k + i + j)] = 1.0f;
    const std::vector<float> columns = Multiply(cuda_, *weight, x, DataType::kF32, DataType::kF32);
    for (int64_t j = 0; j < 4; ++j) {
      for (int64_t n = 0; n < 16; ++n) {
        got[static_cast<size_t>(n * k + i + j)] = columns[static_cast<size_t>(j * 16 + n)];
      }
    }
  }
  EXPECT_EQ(got, Rounded(w, k));
}

// Few rows meet the weights as they are; many are rounded too, or, where the device has no such product, meet the
// weights in bf16.
TEST_F(CudaFp8, Products) {
  for (const auto& [n, k] : {std::pair<int64_t, int64_t>{32, 256}, {16, 16}, {48, 528}, {64, 4112}}) {
    const std::vector<float> w = Random(n * k), bias = Random(n), rounded = Rounded(w, k);
    for (bool with_bias : {false, true}) {
      const std::vector<float> some_bias = with_bias ? bias : std::vector<float>();
      const std::unique_ptr<LinearWeight> weight = Load(cuda_, w, k, some_bias);
      for (int64_t rows : {1, 2, 4, 5, 8, 33}) {
        const std::vector<float> x = Random(rows * k);
        const std::vector<float> exact = Product(x, rounded, some_bias, k);
        const std::vector<float> of_codes = Product(Rounded(x, k), rounded, some_bias, k);
        for (DataType in : {DataType::kF32, DataType::kBF16}) {
          for (DataType out : {DataType::kF32, DataType::kBF16}) {
            SCOPED_TRACE(::testing::Message()
                         << n << " of " << k << ", " << rows << " rows, types " << static_cast<int>(in)
                         << static_cast<int>(out) << (with_bias ? ", bias" : ""));
            const std::vector<float> got = Multiply(cuda_, *weight, x, in, out);
            const double stored = out == DataType::kBF16 ? 0x1p-8 : 1e-6;
            if (rows <= 4) {
              EXPECT_LE(ErrorOf(got, exact), stored);
              continue;
            }
            EXPECT_LE(std::min(ErrorOf(got, of_codes), ErrorOf(got, exact)), 0x1p-8);
#ifdef LASTRO_CUDA_EMULATOR
            // It has products in FP8 for results in bf16.
            EXPECT_LE(ErrorOf(got, out == DataType::kBF16 ? of_codes : exact), 0x1p-8);
            EXPECT_GT(ErrorOf(of_codes, exact), 0x1p-7);
#endif
          }
        }
      }
    }
  }
}

TEST_F(CudaFp8, WhatIsNotFiniteStaysInItsRow) {
  const int64_t n = 16, k = 64, rows = 6;
  const std::unique_ptr<LinearWeight> weight = Load(cuda_, Random(n * k), k);
  for (float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    std::vector<float> x = Random(rows * k);
    x[2 * k + 5] = bad;
    for (DataType out : {DataType::kF32, DataType::kBF16}) {
      const std::vector<float> got = Multiply(cuda_, *weight, x, DataType::kF32, out);
      for (int64_t i = 0; i < rows * n; ++i) {
        EXPECT_EQ(std::isfinite(got[static_cast<size_t>(i)]), i / n != 2) << "row " << i / n << " of " << bad;
      }
    }
  }
}

TEST_F(CudaFp8, HalfTheMemoryAndOnlyWhereAsked) {
  const int64_t n = 512, k = 1024;
  const std::vector<float> w = Random(n * k);
  const auto used = [&](bool fewer_bits, int64_t rows) {
    const int64_t before = static_cast<CudaBackend&>(*cuda_).free_bytes();
    LinearHints hints;
    hints.fewer_bits = fewer_bits;
    auto weight =
        cuda_->LoadLinear({HostMatrix{DataType::kF32, reinterpret_cast<const uint8_t*>(w.data()), rows, k}}, {}, hints);
    EXPECT_THAT(weight, testing::IsOk());
    return before - static_cast<CudaBackend&>(*cuda_).free_bytes();
  };
  EXPECT_EQ(used(true, n), n * k + 4 * n);
  EXPECT_EQ(used(false, n), 2 * n * k);
  EXPECT_GE(used(true, 8), 2 * 8 * k);  // sizes that the products do not take stay in bf16
}

TEST_F(CudaFp8, DeterministicRowsDoNotDependOnEachOther) {
  Side side(NewFp8(true));
  const int64_t n = 32, k = 256, rows = 20;
  const std::unique_ptr<LinearWeight> weight = Load(side, Random(n * k), k);
  const std::vector<float> x = Random(rows * k);
  const std::vector<float> all = Multiply(side, *weight, x, DataType::kBF16, DataType::kF32);
  for (int64_t row : {0, 7, 19}) {
    const std::vector<float> alone =
        Multiply(side, *weight, {x.begin() + row * k, x.begin() + (row + 1) * k}, DataType::kBF16, DataType::kF32);
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(), all.begin() + row * n)) << "row " << row;
  }
}

}  // namespace
}  // namespace lastro::engine
