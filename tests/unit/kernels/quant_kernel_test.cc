// Quantised blocks: against values of the reference implementation of the format (tests/golden/export_quant.py), and
// products against plain sums in double.
#include <cstring>

#include "kernels/quant.h"
#include "tests/unit/kernels/kernel_test_util.h"

namespace lastro::kernels {
namespace {

constexpr DataType kTypes[] = {DataType::kQ4_0, DataType::kQ4_1, DataType::kQ5_0, DataType::kQ5_1,
                               DataType::kQ8_0, DataType::kQ2_K, DataType::kQ3_K, DataType::kQ4_K,
                               DataType::kQ5_K, DataType::kQ6_K, DataType::kMXFP4};

class QuantKernel : public KernelTest {
 protected:
  const QuantKernels& quant() const { return QuantKernelsOf(kernels()); }

  // Any bytes are a block, but for its F16 numbers and exponent, which must be of a size that weights have.
  std::vector<uint8_t> RandomBlocks(DataType type, int64_t elements) {
    const BlockShape shape = ShapeOf(type);
    std::vector<uint8_t> blocks(static_cast<size_t>(RowBytes(type, elements)));
    for (uint8_t& byte : blocks) byte = static_cast<uint8_t>(random_());
    for (size_t at = 0; at < blocks.size(); at += static_cast<size_t>(shape.bytes)) {
      for (size_t offset : HalvesOf(type)) {
        const uint16_t half = static_cast<uint16_t>(random_() % 0x2800 | (random_() % 2) << 15);  // some subnormal
        std::memcpy(blocks.data() + at + offset, &half, 2);
      }
      if (type == DataType::kMXFP4) blocks[at] = static_cast<uint8_t>(110 + random_() % 20);
    }
    return blocks;
  }

  static std::vector<size_t> HalvesOf(DataType type) {
    switch (type) {
      case DataType::kQ4_1:
      case DataType::kQ5_1:
      case DataType::kQ4_K:
      case DataType::kQ5_K:
        return {0, 2};
      case DataType::kQ2_K:
        return {80, 82};
      case DataType::kQ3_K:
        return {108};
      case DataType::kQ6_K:
        return {208};
      case DataType::kMXFP4:
        return {};
      default:
        return {0};
    }
  }

  std::vector<float> Reference(const std::vector<uint8_t>& blocks, DataType type, int64_t elements) {
    std::vector<float> values(static_cast<size_t>(elements));
    ReferenceQuantKernels().dequantize(blocks.data(), type, elements, false, values.data());
    return values;
  }
};

// Rows of quantised x with guards behind each array.
class GuardedRows {
 public:
  GuardedRows(int64_t rows, int64_t k) : rows_(rows), padded_(PaddedK(k)) {
    values_.assign(static_cast<size_t>(rows * padded_ + kGuard), int16_t{-31000});
    scales_.assign(static_cast<size_t>(rows * padded_ / kQuantGroup + kGuard), kSentinel);
    sums_.assign(static_cast<size_t>(rows * padded_ / kQuantSumGroup + kGuard), kSentinel);
  }
  QuantizedRows view() { return {values_.data(), scales_.data(), sums_.data(), padded_}; }
  double at(int64_t r, int64_t i) const {
    return static_cast<double>(scales_[static_cast<size_t>(r * (padded_ / kQuantGroup) + i / kQuantGroup)]) *
           values_[static_cast<size_t>(r * padded_ + i)];
  }
  double sum(int64_t r, int64_t group) const {
    return sums_[static_cast<size_t>(r * (padded_ / kQuantSumGroup) + group)];
  }
  int64_t padded() const { return padded_; }
  void ExpectGuardsIntact() const {
    for (int64_t i = 0; i < kGuard; ++i) {
      ASSERT_EQ(values_[values_.size() - 1 - static_cast<size_t>(i)], -31000);
      ASSERT_EQ(scales_[scales_.size() - 1 - static_cast<size_t>(i)], kSentinel);
      ASSERT_EQ(sums_[sums_.size() - 1 - static_cast<size_t>(i)], kSentinel);
    }
  }

 private:
  static constexpr int64_t kGuard = 40;
  int64_t rows_, padded_;
  std::vector<int16_t> values_;
  std::vector<float> scales_, sums_;
};

// Lengths around a chunk, in whole blocks.
std::vector<int64_t> Lengths(DataType type) {
  if (ShapeOf(type).elements == 256) return {256, 512, 1280};
  return {32, 64, 96, 224, 256, 288, 480, 512, 544};
}

TEST_P(QuantKernel, DequantizeIsTheDefinition) {
  for (DataType type : kTypes) {
    for (int64_t n : Lengths(type)) {
      const std::vector<uint8_t> blocks = RandomBlocks(type, n);
      const std::vector<float> want = Reference(blocks, type, n);
      GuardedMatrix out(1, n);
      for (bool accumulate : {false, true}) {
        quant().dequantize(blocks.data(), type, n, accumulate, out.out().data);
        out.ExpectGuardsIntact();
        for (int64_t i = 0; i < n; ++i) {
          const double value = want[static_cast<size_t>(i)];
          // d * scale and m * minimum are rounded before they are added.
          ExpectClose(out.at(0, i), accumulate ? 2 * value : value, std::abs(value) + 70, accumulate ? 16 : 8);
        }
      }
    }
  }
}

TEST_P(QuantKernel, QuantizeRowsRoundsToNearest) {
  for (int64_t k : {32, 64, 256, 288, 512}) {
    for (int64_t rows : {1, 3}) {
      GuardedMatrix x = GuardedMatrix::Random(rows, k, random_);
      for (int64_t i = 0; i < 32; ++i) x.at(0, i) = 0;  // a group without a scale
      GuardedRows out(rows, k);
      quant().quantize_rows(x.in(), rows, k, out.view());
      out.ExpectGuardsIntact();
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t i = 0; i < out.padded(); ++i) {
          const double want = i < k ? x.at(r, i) : 0;
          EXPECT_NEAR(out.at(r, i), want, 5.0 / 32767) << i;  // normal deviates stay below 10
        }
        for (int64_t g = 0; g < out.padded() / kQuantSumGroup; ++g) {
          double sum = 0, magnitude = 0;
          for (int64_t i = 0; i < kQuantSumGroup; ++i) {
            sum += out.at(r, g * kQuantSumGroup + i);
            magnitude += std::abs(out.at(r, g * kQuantSumGroup + i));
          }
          ExpectClose(out.sum(r, g), sum, magnitude, 8);
        }
      }
    }
  }
}

TEST_P(QuantKernel, QuantGemv) {
  for (DataType type : kTypes) {
    for (int64_t k : Lengths(type)) {
      for (int64_t rows = 1; rows <= kMaxGemvRows; ++rows) {
        const int64_t n = 1 + static_cast<int64_t>(random_() % 7);
        const std::vector<uint8_t> blocks = RandomBlocks(type, n * k);
        const std::vector<float> weights = Reference(blocks, type, n * k);
        const GuardedMatrix x = GuardedMatrix::Random(rows, k, random_), bias = GuardedMatrix::Random(1, n, random_);
        GuardedRows quantized(rows, k);
        quant().quantize_rows(x.in(), rows, k, quantized.view());
        const int64_t from = n / 3, to = n - n / 5;
        for (const float* b : {bias.in().data, static_cast<const float*>(nullptr)}) {
          GuardedMatrix out(rows, n);
          quant().quant_gemv({blocks.data(), type, b, quantized.view(), out.out(), rows, k}, from, to);
          out.ExpectGuardsIntact();
          for (int64_t r = 0; r < rows; ++r) {
            for (int64_t i = 0; i < n; ++i) {
              if (i < from || i >= to) {
                EXPECT_EQ(out.at(r, i), kSentinel);
                continue;
              }
              // In double over the floats of x: the rounding of x to 16 bits counts as error.
              double sum = b != nullptr ? b[i] : 0.0, magnitude = std::abs(sum), largest = 0;
              for (int64_t j = 0; j < k; ++j) {
                const double w = weights[static_cast<size_t>(i * k + j)];
                sum += x.at(r, j) * w;
                magnitude += std::abs(x.at(r, j) * w);
                largest = std::max(largest, std::abs(w));
              }
              // 16 bits of a group whose largest is below 6: half a step on each side; minima cancel with codes.
              const double tolerance = 6.0 / 65534 * largest * std::sqrt(static_cast<double>(k)) * 4 +
                                       64 * 1.2e-7 * (magnitude + 30 * largest);
              EXPECT_NEAR(out.at(r, i), sum, tolerance) << "type " << static_cast<int>(type) << " k " << k;
            }
          }
        }
      }
    }
  }
}

LASTRO_INSTANTIATE_KERNEL_TESTS(QuantKernel);

}  // namespace
}  // namespace lastro::kernels
