// The matrix-vector product against plain sums in double.
#include "kernels/bfloat16.h"
#include "tests/unit/kernels/kernel_test_util.h"

namespace lastro::kernels {
namespace {

class GemvKernel : public KernelTest {};

struct Weights {
  std::vector<float> values;   // what the stored weights stand for
  std::vector<uint16_t> bf16;  // when stored so
  const void* data(DataType type) const {
    return type == DataType::kF32 ? static_cast<const void*>(values.data()) : bf16.data();
  }
};

Weights RandomWeights(int64_t n, int64_t k, DataType type, std::mt19937_64& random) {
  Weights weights;
  std::normal_distribution<float> normal;
  for (int64_t i = 0; i < n * k; ++i) {
    float value = normal(random);
    if (type == DataType::kBF16) {
      weights.bf16.push_back(FloatToBf16(value));
      value = Bf16ToFloat(weights.bf16.back());
    }
    weights.values.push_back(value);
  }
  return weights;
}

TEST_P(GemvKernel, Gemv) {
  for (DataType type : {DataType::kF32, DataType::kBF16}) {
    for (int64_t k : TailSizes()) {
      for (int64_t rows = 1; rows <= kMaxGemvRows; ++rows) {
        const int64_t n = 1 + static_cast<int64_t>(random_() % 21);
        const Weights weights = RandomWeights(n, k, type, random_);
        const GuardedMatrix x = GuardedMatrix::Random(rows, k, random_), bias = GuardedMatrix::Random(1, n, random_);
        // Only the features [from, to) may be written.
        const int64_t from = n / 3, to = n - n / 5;
        for (const float* b : {bias.in().data, static_cast<const float*>(nullptr)}) {
          GuardedMatrix out(rows, n);
          kernels().gemv({weights.data(type), type, b, x.in(), out.out(), rows, k}, from, to);
          out.ExpectGuardsIntact();
          for (int64_t r = 0; r < rows; ++r) {
            for (int64_t i = 0; i < n; ++i) {
              if (i < from || i >= to) {
                EXPECT_EQ(out.at(r, i), kSentinel);
                continue;
              }
              double sum = b != nullptr ? b[i] : 0.0, magnitude = std::abs(sum);
              for (int64_t j = 0; j < k; ++j) {
                const double term = static_cast<double>(x.at(r, j)) * weights.values[static_cast<size_t>(i * k + j)];
                sum += term;
                magnitude += std::abs(term);
              }
              ExpectClose(out.at(r, i), sum, magnitude, 8);
            }
          }
        }
      }
    }
  }
}

LASTRO_INSTANTIATE_KERNEL_TESTS(GemvKernel);

}  // namespace
}  // namespace lastro::kernels
