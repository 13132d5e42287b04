// Attention among the rows of a text, in integers, against textbook softmax in double: within what rounding may do, and
// exactly where numbers are such that it does nothing.
#include <algorithm>
#include <limits>

#include "kernels/packed_gemm.h"
#include "tests/unit/kernels/kernel_test_util.h"

namespace lastro::kernels {
namespace {

constexpr int64_t kDims[] = {32, 64};

class RowAttentionKernel : public KernelTest {
 protected:
  GuardedMatrix Attend(const GuardedMatrix& q, const GuardedMatrix& k, const GuardedMatrix& v, float scale) const {
    const PackedGemmKernels& kernels = GetParam().target == 0 ? ReferencePackedGemmKernels() : SimdPackedGemmKernels();
    GuardedMatrix out(q.rows(), q.cols());
    kernels.row_attention({q.in(), k.in(), v.in(), out.out(), q.rows(), q.cols() / k.cols(), k.cols(), scale});
    out.ExpectGuardsIntact();
    return out;
  }
  // Up to what an emulated instruction set gets through in a few seconds.
  static int64_t LongestText() { return GetParam().IsEmulated() ? 129 : 512; }
  static std::vector<int64_t> RowCounts() {
    std::vector<int64_t> counts = {1,  2,   7,   8,   9,   31,  32,  33,  64,  95, 96,
                                   97, 127, 128, 129, 161, 225, 256, 384, 509, 512};
    std::erase_if(counts, [](int64_t count) { return count > LongestText(); });
    return counts;
  }
  GuardedMatrix Random(int64_t rows, int64_t cols) { return GuardedMatrix::Random(rows, cols, random_); }
  // Whole numbers with the largest code in each group of 128 tokens of a component: rounding changes nothing.
  GuardedMatrix RandomWholeNumbers(int64_t rows, int64_t cols) {
    GuardedMatrix m(rows, cols);
    for (int64_t c = 0; c < cols; ++c) {
      for (int64_t t = 0; t < rows; ++t) m.at(t, c) = static_cast<float>(random_() % 8191) - 4095;
      for (int64_t t = 0; t < rows; t += 128) {
        m.at(t + static_cast<int64_t>(random_() % static_cast<uint64_t>(std::min<int64_t>(128, rows - t))), c) = 4095;
      }
    }
    return m;
  }
};

double Length(const GuardedMatrix& m, int64_t row, int64_t first, int64_t cols) {
  double squares = 0;
  for (int64_t c = first; c < first + cols; ++c) squares += std::pow(m.at(row, c), 2);
  return std::sqrt(squares);
}
double Largest(const GuardedMatrix& m, int64_t row, int64_t first, int64_t cols) {
  double largest = 0;
  for (int64_t c = first; c < first + cols; ++c) largest = std::max<double>(largest, std::abs(m.at(row, c)));
  return largest;
}

// The rounding of q and k changes a score by at most `score_error`, so a weight by that factor; those of the weights
// and of v add half a unit each.
void ExpectSoftmax(const GuardedMatrix& q, const GuardedMatrix& k, const GuardedMatrix& v, float scale,
                   const GuardedMatrix& out, int64_t row, int64_t head) {
  const int64_t rows = k.rows(), dim = k.cols(), first = head * dim;
  const double unit = 0.51 / 4095 * std::sqrt(static_cast<double>(dim));
  std::vector<double> weights;
  double score_error = 0, largest = -std::numeric_limits<double>::infinity();
  for (int64_t t = 0; t < rows; ++t) {
    double score = 0;
    for (int64_t c = 0; c < dim; ++c) score += static_cast<double>(q.at(row, first + c)) * k.at(t, c);
    weights.push_back(score * scale);
    largest = std::max(largest, weights.back());
    const double error =
        Largest(q, row, first, dim) * Length(k, t, 0, dim) + Length(q, row, first, dim) * Largest(k, t, 0, dim);
    score_error = std::max(score_error, 1.01 * unit * scale * error);
  }
  double sum = 0;
  for (double& weight : weights) sum += weight = std::exp(weight - largest);
  for (int64_t c = 0; c < dim; ++c) {
    double want = 0, weighted = 0, plain = 0, most = 0;
    for (int64_t t = 0; t < rows; ++t) {
      const double value = v.at(t, c), weight = weights[static_cast<size_t>(t)];
      want += weight / sum * value;
      weighted += weight / sum * std::abs(value);
      plain += std::abs(value);
      most = std::max(most, std::abs(value));
    }
    const double of_weights =
        0.52 / std::min(32767.0, 524000 / sum) / sum * (plain + static_cast<double>(rows) * weighted);
    const double tolerance = 2.1 * score_error * weighted + 1.1 * of_weights + 0.51 / 4095 * most + 1e-6 * most;
    ASSERT_NEAR(out.at(row, first + c), want, tolerance) << rows << " rows of " << dim << ": " << row << ", " << c;
  }
}

TEST_P(RowAttentionKernel, SoftmaxOfAllShapes) {
  for (int64_t dim : kDims) {
    for (int64_t rows : RowCounts()) {
      const int64_t group = 1 + static_cast<int64_t>(random_() % 3);
      const float scale = 1.0f / std::sqrt(static_cast<float>(dim));
      const GuardedMatrix q = Random(rows, group * dim), k = Random(rows, dim), v = Random(rows, dim);
      const GuardedMatrix out = Attend(q, k, v, scale);
      for (int64_t row = 0; row < rows; row += rows < 100 ? 1 : 7) {
        for (int64_t head = 0; head < group; ++head) ExpectSoftmax(q, k, v, scale, out, row, head);
      }
    }
  }
}

// Queries of nothing see all alike: the mean, in which every token counts once. Sums are the largest there are.
TEST_P(RowAttentionKernel, EqualWeightsGiveTheMean) {
  for (int64_t dim : kDims) {
    for (int64_t rows : RowCounts()) {
      const GuardedMatrix k = Random(rows, dim), v = RandomWholeNumbers(rows, dim);
      GuardedMatrix nothing(rows, 2 * dim);
      for (int64_t row = 0; row < rows; ++row) std::fill_n(&nothing.at(row, 0), 2 * dim, 0.0f);
      const GuardedMatrix out = Attend(nothing, k, v, 0.2f);
      for (int64_t c = 0; c < dim; ++c) {
        double mean = 0;
        for (int64_t t = 0; t < rows; ++t) mean += static_cast<double>(v.at(t, c)) / static_cast<double>(rows);
        ASSERT_NEAR(out.at(rows - 1, dim + c), mean, 4095 * 1e-6) << rows << " rows of " << dim;
        ASSERT_NEAR(out.at(0, c), mean, 4095 * 1e-6);
      }
    }
  }
}

TEST_P(RowAttentionKernel, EqualValuesComeBack) {
  const int64_t rows = LongestText();
  for (float value : {4095.0f, -4095.0f, 0.0f, 1e-30f}) {
    const GuardedMatrix q = Random(rows, 64), k = Random(rows, 64);
    GuardedMatrix v(rows, 64);
    for (int64_t t = 0; t < rows; ++t) std::fill_n(&v.at(t, 0), 64, value);
    const GuardedMatrix out = Attend(q, k, v, 0.125f);
    for (int64_t t = 0; t < rows; ++t) ASSERT_NEAR(out.at(t, t % 64), value, std::abs(value) * 1e-6);
  }
}

// Each query is far nearer to one key than to any other: of every place in every panel, among keys of any scale.
TEST_P(RowAttentionKernel, NearestKeyGivesItsValue) {
  for (int64_t dim : kDims) {
    for (int64_t rows : RowCounts()) {
      GuardedMatrix q(rows, dim), k = Random(rows, dim);
      const GuardedMatrix v = RandomWholeNumbers(rows, dim);
      for (int64_t row = 0; row < rows; ++row) {
        const double length = Length(k, row, 0, dim);
        for (int64_t c = 0; c < dim; ++c) k.at(row, c) /= static_cast<float>(length);
      }
      auto near = [&](int64_t row) { return (row * 5 + 3) % rows; };
      for (int64_t row = 0; row < rows; ++row) {
        for (int64_t c = 0; c < dim; ++c) q.at(row, c) = 1e5f * k.at(near(row), c);
      }
      const GuardedMatrix out = Attend(q, k, v, 0.1f);
      for (int64_t row = 0; row < rows; ++row) {
        for (int64_t c = 0; c < dim; ++c) ASSERT_NEAR(out.at(row, c), v.at(near(row), c), 4095 * 1e-6) << rows;
      }
    }
  }
}

// A query's result is its own, bit for bit, and so is that of a head.
TEST_P(RowAttentionKernel, QueriesDoNotMix) {
  constexpr int64_t kRows = 77, kDim = 32;
  const GuardedMatrix q = Random(kRows, 2 * kDim), k = Random(kRows, kDim), v = Random(kRows, kDim);
  GuardedMatrix others = Random(kRows, 2 * kDim);
  for (int64_t row : {0, 5, 63, 76}) std::copy_n(q.in().data + row * q.in().stride + kDim, kDim, &others.at(row, kDim));
  const GuardedMatrix one = Attend(q, k, v, 0.2f), two = Attend(others, k, v, 0.2f);
  for (int64_t row : {0, 5, 63, 76}) {
    for (int64_t c = kDim; c < 2 * kDim; ++c) ASSERT_EQ(one.at(row, c), two.at(row, c));
  }
}

// What is not finite does not become a number: of a query itself, of a key all, of a value its component.
TEST_P(RowAttentionKernel, InfinityAndNanStay) {
  constexpr int64_t kRows = 45, kDim = 32;
  for (float odd : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                    std::numeric_limits<float>::quiet_NaN()}) {
    const GuardedMatrix q = Random(kRows, kDim), k = Random(kRows, kDim), v = Random(kRows, kDim);
    GuardedMatrix bad_q = q, bad_k = k, bad_v = v;
    bad_q.at(11, 3) = bad_k.at(40, 7) = bad_v.at(20, 9) = odd;
    const GuardedMatrix of_q = Attend(bad_q, k, v, 0.2f), of_v = Attend(q, k, bad_v, 0.2f);
    const GuardedMatrix of_k = Attend(q, bad_k, v, 0.2f);
    for (int64_t row = 0; row < kRows; ++row) {
      for (int64_t c = 0; c < kDim; ++c) {
        ASSERT_EQ(std::isfinite(of_q.at(row, c)), row != 11) << odd;
        ASSERT_EQ(std::isfinite(of_v.at(row, c)), c != 9) << odd;
        // A key of infinities may be one that nobody looks at.
        ASSERT_TRUE(!std::isnan(odd) || !std::isfinite(of_k.at(row, c)));
      }
    }
  }
}

LASTRO_INSTANTIATE_KERNEL_TESTS(RowAttentionKernel);

}  // namespace
}  // namespace lastro::kernels
