// Row-wise kernels against the formulas in double.
#include <algorithm>
#include <bit>
#include <limits>

#include "kernels/bfloat16.h"
#include "tests/unit/kernels/kernel_test_util.h"

namespace lastro::kernels {
namespace {

class RowKernels : public KernelTest {};

TEST_P(RowKernels, ToF32IsExactForAllTypes) {
  for (int64_t n : TailSizes()) {
    std::vector<uint16_t> bits(static_cast<size_t>(n));
    for (uint16_t& b : bits) b = static_cast<uint16_t>(random_());
    for (DataType type : {DataType::kBF16, DataType::kF16}) {
      for (bool accumulate : {false, true}) {
        GuardedMatrix out(1, n);
        for (int64_t i = 0; i < n; ++i) out.at(0, i) = 1.0f;
        kernels().to_f32(bits.data(), type, n, accumulate, out.out().data);
        out.ExpectGuardsIntact();
        for (int64_t i = 0; i < n; ++i) {
          const uint16_t b = bits[static_cast<size_t>(i)];
          const float value = type == DataType::kBF16 ? Bf16ToFloat(b) : Fp16ToFloat(b);
          const float want = value + (accumulate ? 1.0f : 0.0f);
          if (std::isnan(want)) {
            EXPECT_TRUE(std::isnan(out.at(0, i)));
          } else {
            EXPECT_EQ(out.at(0, i), want) << b;
          }
        }
      }
    }
  }
}

TEST_P(RowKernels, ToF32CopiesF32) {
  const GuardedMatrix in = GuardedMatrix::Random(1, 37, random_);
  GuardedMatrix out(1, 37);
  kernels().to_f32(in.in().data, DataType::kF32, 37, false, out.out().data);
  out.ExpectGuardsIntact();
  for (int64_t i = 0; i < 37; ++i) EXPECT_EQ(out.at(0, i), in.at(0, i));
}

// The nearest of the two neighbours, ties to the even one, found without the trick the kernels use.
uint16_t NearestBf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint16_t down = static_cast<uint16_t>(bits >> 16), up = static_cast<uint16_t>(down + 1);
  const uint32_t rest = bits & 0xFFFF;
  if (rest != 0x8000) return rest > 0x8000 ? up : down;
  return down % 2 == 0 ? down : up;
}

TEST_P(RowKernels, ToBf16RoundsToNearestEven) {
  for (int64_t cols : TailSizes()) {
    GuardedMatrix in(2, cols);
    for (int64_t r = 0; r < 2; ++r) {
      for (int64_t c = 0; c < cols; ++c) {
        uint32_t bits = static_cast<uint32_t>(random_());
        if (c % 3 == 0) bits = (bits & 0xFFFF0000) | 0x8000;       // ties
        if (c % 7 == 5) bits = 0x7F800001 | (bits & 0x80000000u);  // NaN whose payload lies in the lost half
        in.at(r, c) = std::bit_cast<float>(bits);
      }
    }
    std::vector<uint16_t> out(static_cast<size_t>(2 * cols) + 4, 0xABCD);
    kernels().to_bf16(in.in(), 2, cols, out.data());
    for (int64_t i = 0; i < 2 * cols; ++i) {
      const float value = in.at(i / cols, i % cols);
      const uint16_t got = out[static_cast<size_t>(i)];
      if (std::isnan(value)) {
        EXPECT_TRUE(std::isnan(Bf16ToFloat(got)));
      } else {
        EXPECT_EQ(got, NearestBf16(value)) << value;
      }
    }
    for (int64_t i = 2 * cols; i < 2 * cols + 4; ++i) EXPECT_EQ(out[static_cast<size_t>(i)], 0xABCD);
  }
}

TEST_P(RowKernels, RmsNorm) {
  for (int64_t cols : TailSizes()) {
    const GuardedMatrix x = GuardedMatrix::Random(3, cols, random_, 2.0f), w = GuardedMatrix::Random(1, cols, random_);
    GuardedMatrix out(3, cols, 1);
    kernels().rms_norm(x.in(), w.in().data, 1e-5f, 3, cols, out.out());
    out.ExpectGuardsIntact();
    for (int64_t r = 0; r < 3; ++r) {
      double squares = 0;
      for (int64_t c = 0; c < cols; ++c) squares += static_cast<double>(x.at(r, c)) * x.at(r, c);
      const double factor = 1 / std::sqrt(squares / static_cast<double>(cols) + 1e-5);
      for (int64_t c = 0; c < cols; ++c) {
        const double want = x.at(r, c) * factor * w.at(0, c);
        ExpectClose(out.at(r, c), want, std::abs(want), 16);
      }
    }
  }
}

TEST_P(RowKernels, LayerNormWithAndWithoutBiasAlsoInPlace) {
  for (int64_t cols : TailSizes()) {
    GuardedMatrix x = GuardedMatrix::Random(3, cols, random_);
    for (int64_t c = 0; c < cols; ++c) x.at(0, c) += 100.0f;  // a mean far from zero: the one-pass formula would fail
    const GuardedMatrix w = GuardedMatrix::Random(1, cols, random_), b = GuardedMatrix::Random(1, cols, random_);
    for (const float* bias : {b.in().data, static_cast<const float*>(nullptr)}) {
      GuardedMatrix out = x;
      kernels().layer_norm(out.in(), w.in().data, bias, 1e-5f, 3, cols, out.out());
      out.ExpectGuardsIntact();
      for (int64_t r = 0; r < 3; ++r) {
        double mean = 0, variance = 0;
        for (int64_t c = 0; c < cols; ++c) mean += x.at(r, c) / static_cast<double>(cols);
        for (int64_t c = 0; c < cols; ++c) variance += std::pow(x.at(r, c) - mean, 2) / static_cast<double>(cols);
        const double factor = 1 / std::sqrt(variance + 1e-5);
        for (int64_t c = 0; c < cols; ++c) {
          const double add = bias != nullptr ? b.at(0, c) : 0.0;
          const double want = (x.at(r, c) - mean) * factor * w.at(0, c) + add;
          const double magnitude = (std::abs(x.at(r, c)) + std::abs(mean)) * factor * std::abs(w.at(0, c));
          ExpectClose(out.at(r, c), want, magnitude + std::abs(add) + std::abs(want), 16);
        }
      }
    }
  }
}

TEST_P(RowKernels, Add) {
  for (int64_t cols : TailSizes()) {
    const GuardedMatrix x = GuardedMatrix::Random(2, cols, random_), before = GuardedMatrix::Random(2, cols, random_);
    GuardedMatrix out = before;
    kernels().add(x.in(), 2, cols, out.out());
    out.ExpectGuardsIntact();
    for (int64_t r = 0; r < 2; ++r) {
      for (int64_t c = 0; c < cols; ++c) EXPECT_EQ(out.at(r, c), before.at(r, c) + x.at(r, c));
    }
  }
}

double Activation(ActivationKind kind, double x) {
  switch (kind) {
    case ActivationKind::kSilu:
      return x / (1 + std::exp(-x));
    case ActivationKind::kGeluErf:
      return x * 0.5 * std::erfc(-x / std::sqrt(2.0));
    case ActivationKind::kGeluTanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case ActivationKind::kRelu:
      return std::max(x, 0.0);
    case ActivationKind::kClampedSwiglu:
      return std::min(x, 7.0) / (1 + std::exp(-1.702 * std::min(x, 7.0)));
  }
  return 0;
}

TEST_P(RowKernels, ActivationsGatedAndPlain) {
  for (ActivationKind kind :
       {ActivationKind::kSilu, ActivationKind::kGeluErf, ActivationKind::kGeluTanh, ActivationKind::kRelu}) {
    for (int64_t cols : TailSizes()) {
      GuardedMatrix gate = GuardedMatrix::Random(2, cols, random_, 3.0f);
      gate.at(0, 0) = 200.0f;  // saturated on both sides
      gate.at(1, 0) = -200.0f;
      const GuardedMatrix up = GuardedMatrix::Random(2, cols, random_);
      for (bool gated : {false, true}) {
        GuardedMatrix out(2, cols);
        kernels().activate(kind, gate.in(), gated ? up.in() : ConstRows{nullptr, 0}, 2, cols, out.out());
        out.ExpectGuardsIntact();
        for (int64_t i = 0; i < 2 * cols; ++i) {
          const int64_t r = i / cols, c = i % cols;
          const double factor = gated ? up.at(r, c) : 1.0;
          const double want = Activation(kind, gate.at(r, c)) * factor;
          // Near zero the functions are differences of terms of about |x|.
          ExpectClose(out.at(r, c), want,
                      std::min<double>(std::abs(gate.at(r, c)), 8) * std::abs(factor) + std::abs(want), 8);
        }
      }
    }
  }
}

TEST_P(RowKernels, ClampedSwiglu) {
  for (int64_t cols : TailSizes()) {
    const GuardedMatrix gate = GuardedMatrix::Random(2, cols, random_, 6.0f);
    const GuardedMatrix up = GuardedMatrix::Random(2, cols, random_, 6.0f);
    GuardedMatrix out(2, cols);
    kernels().activate(ActivationKind::kClampedSwiglu, gate.in(), up.in(), 2, cols, out.out());
    out.ExpectGuardsIntact();
    for (int64_t i = 0; i < 2 * cols; ++i) {
      const double g = gate.at(i / cols, i % cols), u = std::clamp<double>(up.at(i / cols, i % cols), -7, 7) + 1;
      const double want = Activation(ActivationKind::kClampedSwiglu, g) * u;
      ExpectClose(out.at(i / cols, i % cols), want, std::min(std::abs(g), 8.0) * std::abs(u) + std::abs(want), 8);
    }
  }
}

TEST_P(RowKernels, Maps) {
  for (int64_t cols : TailSizes()) {
    GuardedMatrix before = GuardedMatrix::Random(2, cols, random_, 5.0f);
    before.at(1, 0) = 1000.0f;
    for (MapKind kind : {MapKind::kScale, MapKind::kClamp, MapKind::kSoftcap}) {
      GuardedMatrix x = before;
      kernels().map(kind, 3.5f, 2, cols, x.out());
      x.ExpectGuardsIntact();
      for (int64_t i = 0; i < 2 * cols; ++i) {
        const double value = before.at(i / cols, i % cols);
        const double want = kind == MapKind::kScale   ? 3.5 * value
                            : kind == MapKind::kClamp ? std::clamp(value, -3.5, 3.5)
                                                      : 3.5 * std::tanh(value / 3.5);
        ExpectClose(x.at(i / cols, i % cols), want, std::abs(want), 8);
      }
    }
  }
}

TEST_P(RowKernels, RopeRotatesHalvesAndLeavesTheRest) {
  for (int64_t head_dim : {2, 6, 12, 14, 32, 64, 80}) {
    for (int64_t rotary : {head_dim, head_dim / 4 * 2}) {
      if (rotary == 0) continue;
      const int64_t heads = 3, rows = 4, half = rotary / 2;
      std::vector<float> cos, sin;
      for (int64_t i = 0; i < rows * half; ++i) {
        const double angle = static_cast<double>(random_() % 10000) / 100;
        cos.push_back(static_cast<float>(std::cos(angle)));
        sin.push_back(static_cast<float>(std::sin(angle)));
      }
      const GuardedMatrix before = GuardedMatrix::Random(rows, heads * head_dim, random_);
      GuardedMatrix x = before;
      kernels().rope(cos.data(), sin.data(), rows, heads, head_dim, rotary, x.out());
      x.ExpectGuardsIntact();
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t h = 0; h < heads; ++h) {
          for (int64_t i = 0; i < half; ++i) {
            const int64_t a = h * head_dim + i, b = a + half;
            const double c = cos[static_cast<size_t>(r * half + i)], s = sin[static_cast<size_t>(r * half + i)];
            ExpectClose(x.at(r, a), before.at(r, a) * c - before.at(r, b) * s, 4, 2);
            ExpectClose(x.at(r, b), before.at(r, b) * c + before.at(r, a) * s, 4, 2);
          }
          for (int64_t i = rotary; i < head_dim; ++i) {
            EXPECT_EQ(x.at(r, h * head_dim + i), before.at(r, h * head_dim + i));
          }
        }
      }
    }
  }
}

TEST_P(RowKernels, MeanRowsAndL2Normalize) {
  for (int64_t cols : TailSizes()) {
    GuardedMatrix x = GuardedMatrix::Random(5, cols, random_);
    GuardedMatrix mean(1, cols);
    kernels().mean_rows(x.in(), 5, cols, mean.out().data);
    mean.ExpectGuardsIntact();
    for (int64_t c = 0; c < cols; ++c) {
      double sum = 0, magnitude = 0;
      for (int64_t r = 0; r < 5; ++r) sum += x.at(r, c), magnitude += std::abs(x.at(r, c));
      ExpectClose(mean.at(0, c), sum / 5, magnitude / 5, 8);
    }
    const GuardedMatrix before = x;
    kernels().l2_normalize(5, cols, x.out());
    x.ExpectGuardsIntact();
    for (int64_t r = 0; r < 5; ++r) {
      double squares = 0;
      for (int64_t c = 0; c < cols; ++c) squares += static_cast<double>(before.at(r, c)) * before.at(r, c);
      for (int64_t c = 0; c < cols; ++c) ExpectClose(x.at(r, c), before.at(r, c) / std::sqrt(squares), 1, 8);
    }
  }
}

TEST_P(RowKernels, L2NormalizeLeavesZeroAtZero) {
  GuardedMatrix x(1, 20);
  for (int64_t c = 0; c < 20; ++c) x.at(0, c) = 0;
  kernels().l2_normalize(1, 20, x.out());
  for (int64_t c = 0; c < 20; ++c) EXPECT_EQ(x.at(0, c), 0.0f);
}

TEST_P(RowKernels, LogSumExp) {
  for (int64_t n : {1, 2, 15, 16, 17, 100, 1023, 1025, 8192, 33000}) {
    GuardedMatrix x = GuardedMatrix::Random(1, n, random_, 5.0f);
    for (float offset : {0.0f, 300.0f, -300.0f}) {  // exp alone would overflow or vanish
      double sum = 0;
      for (int64_t i = 0; i < n; ++i) {
        x.at(0, i) += offset;
        sum += std::exp(static_cast<double>(x.at(0, i)) - offset);
      }
      ExpectClose(kernels().log_sum_exp(x.in().data, n), std::log(sum) + offset, 1, 100);
      for (int64_t i = 0; i < n; ++i) x.at(0, i) -= offset;
    }
    x.at(0, n / 2) = std::nanf("");
    EXPECT_TRUE(std::isnan(kernels().log_sum_exp(x.in().data, n)));
  }
}

TEST_P(RowKernels, LogSumExpOfInfinities) {
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<float> x = {-inf, 2.0f, -inf};
  EXPECT_NEAR(kernels().log_sum_exp(x.data(), 3), 2.0, 1e-6);
}

LASTRO_INSTANTIATE_KERNEL_TESTS(RowKernels);

}  // namespace
}  // namespace lastro::kernels
