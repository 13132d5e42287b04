// Quantised blocks: against values of the reference implementation of the format (tests/golden/export_quant.py), and
// products against plain sums in double.
#include <cstring>
#include <limits>

#include "kernels/quant.h"
#include "tests/random_blocks.h"
#include "tests/unit/kernels/kernel_test_util.h"

namespace lastro::kernels {
namespace {

constexpr DataType kTypes[] = {DataType::kQ4_0, DataType::kQ4_1, DataType::kQ5_0, DataType::kQ5_1,
                               DataType::kQ8_0, DataType::kQ2_K, DataType::kQ3_K, DataType::kQ4_K,
                               DataType::kQ5_K, DataType::kQ6_K, DataType::kMXFP4};

class QuantKernel : public KernelTest {
 protected:
  // All that this implementation has.
  std::vector<const QuantKernels*> tables() const {
    if (GetParam().target == 0) return {&ReferenceQuantKernels()};
    return {&SimdQuantKernels(), &FastQuantKernels()};
  }

  std::vector<uint8_t> RandomBlocks(DataType type, int64_t elements) {
    return testing::RandomBlocks(type, elements, 0x2800, random_);
  }

  std::vector<float> Reference(const std::vector<uint8_t>& blocks, DataType type, int64_t elements) {
    std::vector<float> values(static_cast<size_t>(elements));
    ReferenceQuantKernels().dequantize(blocks.data(), type, elements, false, values.data());
    return values;
  }

  void ExpectGemv(const QuantKernels& quant, DataType type, const std::vector<uint8_t>& blocks, const GuardedMatrix& x,
                  int64_t n);
};

// Rows of quantised x with guards behind each array.
class GuardedRows {
 public:
  GuardedRows(int64_t rows, int64_t k, RowCode code) : rows_(rows), padded_(PaddedK(k)), code_(code) {
    codes_.assign(static_cast<size_t>(rows * padded_ * BytesOf(code) + kGuard), kByte);
    starts_.assign(static_cast<size_t>(rows * padded_ / 4 + kGuard), -31000);
    scales_.assign(static_cast<size_t>(rows * padded_ / kQuantGroup + kGuard), kSentinel);
    sums_.assign(static_cast<size_t>(rows * padded_ / kQuantSumGroup + kGuard), kSentinel);
  }
  QuantizedRows view() { return {codes_.data(), starts_.data(), scales_.data(), sums_.data(), padded_}; }
  int code(int64_t r, int64_t i) const {
    const size_t at = static_cast<size_t>(r * padded_ + i);
    if (code_ == RowCode::kInt8) return static_cast<int8_t>(codes_[at]);
    int16_t wide;
    std::memcpy(&wide, codes_.data() + 2 * at, sizeof(wide));
    return wide;
  }
  double at(int64_t r, int64_t i) const {
    return static_cast<double>(scales_[static_cast<size_t>(r * (padded_ / kQuantGroup) + i / kQuantGroup)]) *
           code(r, i);
  }
  double sum(int64_t r, int64_t group) const {
    return sums_[static_cast<size_t>(r * (padded_ / kQuantSumGroup) + group)];
  }
  int32_t start(int64_t r, int64_t dword) const { return starts_[static_cast<size_t>(r * (padded_ / 4) + dword)]; }
  int64_t padded() const { return padded_; }
  void ExpectGuardsIntact() const {
    for (size_t i = 1; i <= kGuard; ++i) {
      ASSERT_EQ(codes_[codes_.size() - i], kByte);
      ASSERT_EQ(starts_[starts_.size() - i], -31000);
      ASSERT_EQ(scales_[scales_.size() - i], kSentinel);
      ASSERT_EQ(sums_[sums_.size() - i], kSentinel);
    }
  }

 private:
  static constexpr size_t kGuard = 40;
  static constexpr uint8_t kByte = 0xA7;
  int64_t rows_, padded_;
  RowCode code_;
  std::vector<uint8_t> codes_;
  std::vector<int32_t> starts_;
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
        tables().front()->dequantize(blocks.data(), type, n, accumulate, out.out().data);
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
  for (const QuantKernels* quant : tables()) {
    const double step = 1.0 / static_cast<double>(LimitOf(quant->code));
    for (int64_t k : {32, 64, 256, 288, 512}) {
      for (int64_t rows : {1, 3}) {
        GuardedMatrix x = GuardedMatrix::Random(rows, k, random_);
        for (int64_t i = 0; i < 32; ++i) x.at(0, i) = 0;  // a group without a scale
        GuardedRows out(rows, k, quant->code);
        quant->quantize_rows(x.in(), rows, k, out.view());
        out.ExpectGuardsIntact();
        for (int64_t r = 0; r < rows; ++r) {
          for (int64_t i = 0; i < out.padded(); ++i) {
            const double want = i < k ? x.at(r, i) : 0;
            EXPECT_NEAR(out.at(r, i), want, 5.0 * step) << i;  // normal deviates stay below 10
          }
          for (int64_t g = 0; g < out.padded() / kQuantSumGroup; ++g) {
            double sum = 0, magnitude = 0;
            for (int64_t i = 0; i < kQuantSumGroup; ++i) {
              sum += out.at(r, g * kQuantSumGroup + i);
              magnitude += std::abs(out.at(r, g * kQuantSumGroup + i));
            }
            ExpectClose(out.sum(r, g), sum, magnitude, 8);
          }
          for (int64_t i = 0; i < out.padded() && quant->code == RowCode::kInt8; i += 4) {
            const int sum = out.code(r, i) + out.code(r, i + 1) + out.code(r, i + 2) + out.code(r, i + 3);
            EXPECT_EQ(out.start(r, i / 4), -128 * sum);
          }
        }
      }
    }
  }
}

TEST_P(QuantKernel, InfinityAndNanStay) {
  constexpr int64_t kK = 288, kN = 5;
  for (const QuantKernels* quant : tables()) {
    for (DataType type : {DataType::kQ8_0, DataType::kQ4_0, DataType::kQ4_1}) {
      for (float odd : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
        const std::vector<uint8_t> blocks = RandomBlocks(type, kN * kK);
        GuardedMatrix x = GuardedMatrix::Random(2, kK, random_), out(2, kN);
        x.at(1, static_cast<int64_t>(random_() % kK)) = odd;
        GuardedRows quantized(2, kK, quant->code);
        quant->quantize_rows(x.in(), 2, kK, quantized.view());
        quant->quant_gemv({blocks.data(), type, nullptr, quantized.view(), out.out(), 2, kK}, 0, kN);
        for (int64_t i = 0; i < kN; ++i) {
          EXPECT_TRUE(std::isfinite(out.at(0, i)));
          EXPECT_FALSE(std::isfinite(out.at(1, i)));
        }
      }
    }
  }
}

void QuantKernel::ExpectGemv(const QuantKernels& quant, DataType type, const std::vector<uint8_t>& blocks,
                             const GuardedMatrix& x, int64_t n) {
  const int64_t rows = x.rows(), k = x.cols();
  SCOPED_TRACE(::testing::Message() << "type " << static_cast<int>(type) << " k " << k << " rows " << rows);
  const std::vector<float> weights = Reference(blocks, type, n * k);
  const GuardedMatrix bias = GuardedMatrix::Random(1, n, random_);
  GuardedRows quantized(rows, k, quant.code);
  quant.quantize_rows(x.in(), rows, k, quantized.view());
  const int64_t from = n / 3, to = n - n / 5;
  for (const float* b : {bias.in().data, static_cast<const float*>(nullptr)}) {
    GuardedMatrix out(rows, n);
    quant.quant_gemv({blocks.data(), type, b, quantized.view(), out.out(), rows, k}, from, to);
    out.ExpectGuardsIntact();
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t i = 0; i < n; ++i) {
        if (i < from || i >= to) {
          EXPECT_EQ(out.at(r, i), kSentinel);
          continue;
        }
        // Of what x was rounded to: only sums of floats round. Minima cancel with codes.
        double sum = b != nullptr ? b[i] : 0.0, magnitude = std::abs(sum), largest = 0;
        for (int64_t j = 0; j < k; ++j) {
          const double w = weights[static_cast<size_t>(i * k + j)];
          sum += quantized.at(r, j) * w;
          magnitude += std::abs(quantized.at(r, j) * w);
          largest = std::max(largest, std::abs(w));
        }
        EXPECT_NEAR(out.at(r, i), sum, 64 * 1.2e-7 * (magnitude + 30 * largest));
      }
    }
  }
}

TEST_P(QuantKernel, QuantGemv) {
  for (const QuantKernels* quant : tables()) {
    for (DataType type : kTypes) {
      for (int64_t k : Lengths(type)) {
        for (int64_t rows = 1; rows <= kMaxGemvRows; ++rows) {
          const int64_t n = 1 + static_cast<int64_t>(random_() % 11);
          ExpectGemv(*quant, type, RandomBlocks(type, n * k), GuardedMatrix::Random(rows, k, random_), n);
        }
      }
    }
  }
}

// The largest codes there are on both sides: nothing overflows.
TEST_P(QuantKernel, LargestSums) {
  constexpr int64_t kK = 512, kN = 3;
  GuardedMatrix x(3, kK);
  for (int64_t i = 0; i < kK; ++i) x.at(0, i) = 3, x.at(1, i) = -3, x.at(2, i) = i % 2 == 0 ? 3 : -3;
  for (const QuantKernels* quant : tables()) {
    for (DataType type : kTypes) {
      for (uint8_t byte : testing::kEvenBytes) {
        SCOPED_TRACE(static_cast<int>(byte));
        ExpectGemv(*quant, type, testing::EvenBlocks(type, kN * kK, byte), x, kN);
      }
    }
  }
}

LASTRO_INSTANTIATE_KERNEL_TESTS(QuantKernel);

}  // namespace
}  // namespace lastro::kernels
