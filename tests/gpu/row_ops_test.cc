// Work on rows of the CUDA backend against the reference kernels: every type, tail size and stride.
#include <algorithm>

#include "tests/gpu/backend_test_util.h"

namespace lastro::engine {
namespace {

class CudaRowOps : public CudaTest {
 protected:
  // Of the residual stream, and of activations.
  std::vector<DataType> types() const {
    return narrow() ? std::vector<DataType>{DataType::kF32, type()} : std::vector<DataType>{DataType::kF32};
  }
};

constexpr int64_t kCols[] = {1, 7, 32, 33, 64, 1000, 4096};

TEST_P(CudaRowOps, Norms) {
  for (int64_t cols : kCols) {
    const std::vector<float> weight = Random(cols), bias = Random(cols), x = Random(3 * cols, 2.0f);
    for (DataType from : types()) {
      for (DataType to : types()) {
        for (int kind = 0; kind < 3; ++kind) {
          SCOPED_TRACE(::testing::Message() << cols << " columns, kind " << kind);
          auto run = [&](Side& side, DataType from_type, DataType to_type) {
            const MatrixView in = side.Put(x, 3, cols, from_type), out = side.Empty(3, cols, to_type);
            const NormParams params = {side.Vector(weight), kind == 2 ? side.Vector(bias) : nullptr, 1e-5f, kind == 0};
            side->Norm(params, in, out);
            return side.Get(out);
          };
          ExpectRounded(run(cuda_, from, to), run(reference_, DataType::kF32, DataType::kF32), to);
        }
      }
    }
  }
}

// Into a matrix of its own, over the branch, and over the residual stream.
TEST_P(CudaRowOps, SumsAndNormsInOnePass) {
  for (int64_t cols : kCols) {
    const std::vector<float> weight = Random(cols), x = Random(3 * cols), added = Random(3 * cols);
    for (DataType from : types()) {
      for (int where = 0; where < 3; ++where) {
        SCOPED_TRACE(::testing::Message() << cols << " columns, into " << where);
        auto run = [&](Side& side, DataType branch_type) {
          const MatrixView hidden = side.Put(x, 3, cols, DataType::kF32),
                           branch = side.Put(added, 3, cols, branch_type);
          const MatrixView out = where == 0 ? side.Empty(3, cols, branch_type) : where == 1 ? branch : hidden;
          side->AddNorm(branch, {side.Vector(weight), nullptr, 1e-5f, true}, hidden, out);
          return std::pair(side.Get(out), side.Get(hidden));
        };
        const auto got = run(cuda_, from), want = run(reference_, DataType::kF32);
        ExpectRounded(got.first, want.first, where == 2 ? DataType::kF32 : from);
        ExpectRounded(got.second, want.second, DataType::kF32);
      }
    }
  }
}

TEST_P(CudaRowOps, NormsOfHeadsInPlace) {
  for (int64_t width : {8, 33, 64, 128}) {
    const std::vector<float> weight = Random(width), x = Random(5 * 3 * width);
    auto run = [&](Side& side, DataType stored) {
      const MatrixView m = side.Put(x, 5, 3 * width, stored);
      side->NormHeads({side.Vector(weight), nullptr, 1e-6f, true}, width, m);
      return side.Get(m);
    };
    ExpectRounded(run(cuda_, type()), run(reference_, DataType::kF32), type());
  }
}

TEST_P(CudaRowOps, Activations) {
  for (int64_t cols : {1, 31, 64, 129}) {
    const std::vector<float> x = Random(4 * 2 * cols, 4.0f);
    for (ActivationKind kind : {ActivationKind::kSilu, ActivationKind::kGeluErf, ActivationKind::kGeluTanh,
                                ActivationKind::kRelu, ActivationKind::kClampedSwiglu}) {
      for (bool gated : {false, true}) {
        if (kind == ActivationKind::kClampedSwiglu && !gated) continue;
        SCOPED_TRACE(::testing::Message() << cols << " columns, kind " << static_cast<int>(kind) << gated);
        auto run = [&](Side& side, DataType stored) {
          const MatrixView in = side.Put(x, 4, 2 * cols, stored);
          const MatrixView out = side.Empty(4, gated ? cols : 2 * cols, stored);
          side->Activation(kind, gated, in, out);
          return side.Get(out);
        };
        ExpectRounded(run(cuda_, type()), run(reference_, DataType::kF32), type());
      }
    }
  }
}

TEST_P(CudaRowOps, SumsMapsAndZeros) {
  for (int64_t cols : kCols) {
    const std::vector<float> x = Random(3 * cols), y = Random(3 * cols);
    for (DataType from : types()) {
      auto run = [&](Side& side, DataType from_type) {
        const MatrixView in = side.Put(x, 3, cols, from_type), sum = side.Put(y, 3, cols, DataType::kF32);
        side->Add(in, sum);
        return side.Get(sum);
      };
      EXPECT_EQ(run(cuda_, from), run(reference_, DataType::kF32));
    }
    for (MapKind kind : {MapKind::kScale, MapKind::kClamp, MapKind::kSoftcap}) {
      auto run = [&](Side& side, DataType stored) {
        const MatrixView m = side.Put(x, 3, cols, stored);
        side->Map(kind, 0.75f, m);
        return side.Get(m);
      };
      ExpectRounded(run(cuda_, type()), run(reference_, DataType::kF32), type());
    }
    const MatrixView m = cuda_.Put(x, 3, cols, type());
    cuda_->Clear(m);
    EXPECT_EQ(cuda_.Get(m), std::vector<float>(x.size(), 0.0f));
  }
}

TEST_P(CudaRowOps, RotaryAnglesOfLatePositions) {
  const std::vector<int32_t> positions = {0, 1, 17, 4095, 131071, 1 << 20};
  const std::vector<float> frequencies = {1.0f, 0.3162277f, 1e-2f, 3.1e-5f};
  auto run = [&](Side& side) {
    const MatrixView cos = side.Empty(6, 4, DataType::kF32, 0), sin = side.Empty(6, 4, DataType::kF32, 0);
    side->RotaryAngles(positions, frequencies, 1.25, cos, sin);
    return std::pair(side.Get(cos), side.Get(sin));
  };
  const auto got = run(cuda_), want = run(reference_);
  ExpectNear(got.first, want.first, 0, 1e-6);
  ExpectNear(got.second, want.second, 0, 1e-6);
  EXPECT_NEAR(want.first[4 * 4], 1.25 * std::cos(131071.0), 1e-6);
}

TEST_P(CudaRowOps, RotaryPositions) {
  for (const auto& [head_dim, rotary] : {std::pair<int64_t, int64_t>{8, 8}, {64, 64}, {80, 32}, {6, 2}}) {
    const int64_t rows = 7, heads = 3;
    const std::vector<float> angles = Random(rows * rotary / 2), x = Random(rows * heads * head_dim);
    std::vector<float> cosines, sines;
    for (float angle : angles) cosines.push_back(std::cos(angle)), sines.push_back(std::sin(angle));
    auto run = [&, head_dim = head_dim, rotary = rotary](Side& side, DataType stored) {
      const MatrixView cos = side.Put(cosines, rows, rotary / 2, DataType::kF32, 0);
      const MatrixView sin = side.Put(sines, rows, rotary / 2, DataType::kF32, 0);
      const MatrixView m = side.Put(x, rows, heads * head_dim, stored);
      side->Rope(cos, sin, head_dim, m);
      return side.Get(m);
    };
    const std::vector<float> got = run(cuda_, type());
    ExpectNear(got, run(reference_, DataType::kF32), Allowed(0x1p-8, 1e-6), 1e-6);
  }
}

TEST_P(CudaRowOps, GatherAndScatter) {
  const std::vector<int32_t> rows = {4, 0, 2};
  const std::vector<float> factors = {0.5f, -2.0f, 0.25f};
  for (int64_t cols : {1, 33, 64}) {
    const std::vector<float> x = Random(5 * cols), some = Random(3 * cols);
    auto gather = [&](Side& side, DataType stored) {
      const MatrixView in = side.Put(x, 5, cols, stored), out = side.Empty(3, cols, stored);
      side->GatherRows(in, rows, out);
      return side.Get(out);
    };
    EXPECT_EQ(gather(cuda_, type()), gather(reference_, DataType::kF32));
    auto scatter = [&](Side& side, DataType stored) {
      const MatrixView in = side.Put(some, 3, cols, stored), out = side.Put(x, 5, cols, DataType::kF32);
      side->AddScaledRows(in, rows, factors, out);
      return side.Get(out);
    };
    ExpectNear(scatter(cuda_, type()), scatter(reference_, DataType::kF32), 1e-6, 1e-6);
  }
}

TEST_P(CudaRowOps, Pooling) {
  std::vector<SequenceSpan> sequences;
  for (const auto& [first, rows] : {std::pair<int64_t, int64_t>{0, 3}, {3, 1}, {4, 40}}) {
    sequences.push_back({first, rows, 0, {}});
  }
  for (int64_t cols : {1, 33, 384, 1500}) {
    const std::vector<float> x = Random(44 * cols);
    for (Pooling pooling : {Pooling::kMean, Pooling::kCls, Pooling::kLast}) {
      for (bool normalize : {false, true}) {
        auto run = [&](Side& side) {
          const MatrixView in = side.Put(x, 44, cols, DataType::kF32), out = side.Empty(3, cols, DataType::kF32);
          side->Pool(pooling, normalize, sequences, in, out);
          return side.Get(out);
        };
        ExpectNear(run(cuda_), run(reference_), 1e-5, 1e-6);
      }
    }
  }
}

LASTRO_INSTANTIATE_CUDA_TESTS(CudaRowOps);

}  // namespace
}  // namespace lastro::engine
