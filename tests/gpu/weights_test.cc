// Lookups and products of the CUDA backend with weights of every stored type.
#include <numeric>
#include <tuple>

#include "engine/expert_routing.h"
#include "kernels/quant.h"
#include "tests/gpu/backend_test_util.h"
#include "tests/random_blocks.h"

namespace lastro::engine {
namespace {

constexpr DataType kStored[] = {DataType::kF32,  DataType::kBF16, DataType::kF16,  DataType::kQ4_0, DataType::kQ4_1,
                                DataType::kQ5_0, DataType::kQ5_1, DataType::kQ8_0, DataType::kQ2_K, DataType::kQ3_K,
                                DataType::kQ4_K, DataType::kQ5_K, DataType::kQ6_K, DataType::kMXFP4};

class CudaWeights : public CudaTest {
 protected:
  // Rows of any bytes whose scales are of a size that weights have.
  std::vector<uint8_t> RandomRows(DataType stored, int64_t elements) {
    if (kernels::IsQuantized(stored)) return testing::RandomBlocks(stored, elements, 0x1c00, random_);
    std::vector<uint8_t> rows(static_cast<size_t>(kernels::RowBytes(stored, elements)));
    for (int64_t i = 0; i < elements; ++i) {
      const float value = Random(1, 0.1f)[0];
      const uint16_t bits = stored == DataType::kF16 ? kernels::FloatToFp16(value) : kernels::FloatToBf16(value);
      if (stored == DataType::kF32) {
        std::memcpy(rows.data() + 4 * i, &value, 4);
      } else {
        std::memcpy(rows.data() + 2 * i, &bits, 2);
      }
    }
    return rows;
  }

  // Stored rows of so many columns, rounded to the activations' type.
  std::vector<uint8_t> Narrow(DataType stored, const std::vector<uint8_t>& rows, int64_t cols) {
    const auto count = static_cast<int64_t>(rows.size()) / kernels::RowBytes(stored, cols);
    auto table = reference_->LoadTable({stored, rows.data(), count, cols});
    EXPECT_THAT(table, testing::IsOk());
    std::vector<int32_t> ids(static_cast<size_t>(count));
    std::iota(ids.begin(), ids.end(), 0);
    const MatrixView all = reference_.Empty(count, cols, DataType::kF32, 0);
    reference_->Embed(**table, ids, false, all);
    std::vector<uint8_t> bytes;
    for (float value : reference_.Get(all)) {
      const uint16_t bits = NarrowBits(value, type());
      bytes.push_back(static_cast<uint8_t>(bits & 0xff));
      bytes.push_back(static_cast<uint8_t>(bits >> 8));
    }
    return bytes;
  }
};

TEST_P(CudaWeights, LookUpsOfEveryStoredType) {
  const std::vector<int32_t> ids = {4, 0, 4, 2};
  for (DataType stored : kStored) {
    for (int64_t cols : {int64_t{256}, int64_t{512}, int64_t{33}}) {
      if (cols % kernels::ShapeOf(stored).elements != 0) continue;
      SCOPED_TRACE(::testing::Message() << "type " << static_cast<int>(stored) << ", " << cols << " columns");
      const std::vector<uint8_t> rows = RandomRows(stored, 5 * cols);
      const std::vector<float> before = Random(4 * cols);
      for (bool accumulate : {false, true}) {
        auto run = [&](Side& side) {
          auto table = side->LoadTable({stored, rows.data(), 5, cols});
          EXPECT_THAT(table, testing::IsOk());
          const MatrixView out = side.Put(before, 4, cols, DataType::kF32);
          side->Embed(**table, ids, accumulate, out);
          return side.Get(out);
        };
        ExpectNear(run(cuda_), run(reference_), 1e-6, 1e-7);
      }
    }
  }
}

TEST_P(CudaWeights, ProductsOfEveryStoredType) {
  for (DataType stored : kStored) {
    for (const auto& [n, k] : {std::pair<int64_t, int64_t>{24, 256}, {5, 512}, {13, 33}, {40, 72}}) {
      if (k % kernels::ShapeOf(stored).elements != 0) continue;
      const std::vector<uint8_t> rows = RandomRows(stored, n * k);
      const std::vector<float> bias = Random(n);
      for (int64_t count : {1, 2, 4, 5, 8, 9, 33}) {
        const bool with_bias = count % 2 == 1;
        SCOPED_TRACE(::testing::Message()
                     << "type " << static_cast<int>(stored) << ", " << n << " of " << k << ", " << count << " rows");
        const std::vector<float> x = Random(count * k);
        auto run = [&, n = n, k = k](Side& side, DataType in_type, DataType out_type) {
          auto weight = side->LoadLinear({HostMatrix{stored, rows.data(), n, k}},
                                         with_bias ? bias : std::vector<float>(), LinearHints{true, false});
          EXPECT_THAT(weight, testing::IsOk());
          const MatrixView in = side.Put(x, count, k, in_type, 0), out = side.Empty(count, n, out_type, 0);
          side->Linear(**weight, in, out);
          return side.Get(out);
        };
        const std::vector<float> want = run(reference_, DataType::kF32, DataType::kF32);
        // Of k terms; many rows meet weights that are rounded to their type.
        double scale = 0;
        for (float value : want) scale += value * value;
        scale = std::sqrt(scale / static_cast<double>(want.size()));
        for (DataType in_type : {DataType::kF32, type()}) {
          for (DataType out_type : {DataType::kF32, type()}) {
            ExpectNear(run(cuda_, in_type, out_type), want, Allowed(0x1p-7, 1e-4), scale * Allowed(0.02, 1e-4));
          }
        }
      }
    }
  }
}

// A mix of types, as Q4_K_M has for q, k and v.
TEST_P(CudaWeights, StackedPartsOfDifferentTypes) {
  const int64_t k = 256;
  const std::pair<DataType, int64_t> parts[] = {{DataType::kQ4_K, 16}, {DataType::kF32, 8}, {DataType::kQ6_K, 8}};
  std::vector<std::vector<uint8_t>> rows;
  std::vector<HostMatrix> matrices;
  for (const auto& [stored, n] : parts) rows.push_back(RandomRows(stored, n * k));
  for (size_t i = 0; i < rows.size(); ++i) matrices.push_back({parts[i].first, rows[i].data(), parts[i].second, k});
  const std::vector<float> bias = Random(32);
  for (int64_t count : {3, 20}) {
    const std::vector<float> x = Random(count * k);
    auto run = [&](Side& side, DataType stored) {
      auto weight = side->LoadLinear(matrices, bias, LinearHints{true, false});
      EXPECT_THAT(weight, testing::IsOk());
      const MatrixView in = side.Put(x, count, k, stored, 0), out = side.Empty(count, 32, DataType::kF32, 0);
      side->Linear(**weight, in, out);
      return side.Get(out);
    };
    ExpectNear(run(cuda_, type()), run(reference_, DataType::kF32), Allowed(0x1p-7, 1e-4), Allowed(0.1, 1e-3));
  }
}

// Against the host's routing and the reference's maps, of weights in one piece and in two.
TEST_P(CudaWeights, MixturesOfExperts) {
  for (DataType stored : {DataType::kBF16, DataType::kQ8_0, DataType::kMXFP4}) {
    // Of weights without blocks, sizes that no tile divides.
    const int64_t hidden = kernels::IsQuantized(stored) ? 256 : 104, inner = kernels::IsQuantized(stored) ? 256 : 88;
    for (const auto& [experts, per_token, rows] :
         {std::tuple<int64_t, int64_t, int64_t>{4, 2, 1}, {33, 4, 8}, {3, 3, 2}, {1, 1, 5}, {33, 4, 9}, {2, 1, 129}}) {
      if (!narrow() && rows > kernels::cuda::kMaxFewRows) continue;  // fp32 is not gathered by expert
      SCOPED_TRACE(::testing::Message() << "type " << static_cast<int>(stored) << ", " << per_token << " of "
                                        << experts);
      std::vector<std::vector<uint8_t>> in, out;
      for (int64_t e = 0; e < experts; ++e) {
        in.push_back(RandomRows(stored, 2 * inner * hidden));
        out.push_back(RandomRows(stored, hidden * inner));
      }
      // Small enough for fp16: the experts' weights are larger than a model's.
      const std::vector<float> bias = Random(2 * inner, 0.125f), x = Random(rows * hidden, 0.125f);
      std::vector<float> logits = Random(rows * experts);
      if (experts > 3) logits[1] = logits[3] = std::nanf("");
      const auto load = [&, experts = experts](Side& side, DataType type) {
        std::vector<ExpertWeights> weights;
        for (size_t e = 0; e < static_cast<size_t>(experts); ++e) {
          const HostMatrix all = {type, in[e].data(), 2 * inner, hidden};
          weights.push_back({*side->LoadLinear({all.Rows(0, inner), all.Rows(inner, inner)}, bias, {true, false}),
                             *side->LoadLinear({HostMatrix{type, out[e].data(), hidden, inner}}, {}, {true, false})});
        }
        return weights;
      };
      const std::vector<ExpertWeights> weights = load(cuda_, stored);
      const bool rounded = rows > kernels::cuda::kMaxFewRows;  // weights are, where they meet many rows
      if (rounded) {
        for (std::vector<uint8_t>& all : in) all = Narrow(stored, all, hidden);
        for (std::vector<uint8_t>& all : out) all = Narrow(stored, all, inner);
      }
      const std::vector<ExpertWeights> plain = load(reference_, rounded ? type() : stored);
      ASSERT_GE(cuda_->most_mixed_rows(weights), rows);
      const MatrixView mixed = cuda_.Empty(rows, hidden, DataType::kF32);
      cuda_->MixExperts(cuda_.Put(logits, rows, experts, DataType::kF32), per_token, weights, ActivationKind::kSilu,
                        true, cuda_.Put(x, rows, hidden, type()), mixed);
      const std::vector<float> got = cuda_.Get(mixed);

      std::vector<float> want(static_cast<size_t>(rows * hidden));
      const std::vector<ExpertRows> routed = RouteToExperts(logits, experts, per_token);
      for (size_t e = 0; e < routed.size(); ++e) {
        for (size_t i = 0; i < routed[e].rows.size(); ++i) {
          const int64_t row = routed[e].rows[i];
          const MatrixView from =
              reference_.Put({x.begin() + row * hidden, x.begin() + (row + 1) * hidden}, 1, hidden, DataType::kF32, 0);
          const MatrixView mlp = reference_.Empty(1, 2 * inner, DataType::kF32, 0),
                           activated = reference_.Empty(1, inner, DataType::kF32, 0);
          const MatrixView to = reference_.Empty(1, hidden, DataType::kF32, 0);
          reference_->Linear(*plain[e].in, from, mlp);
          reference_->Activation(ActivationKind::kSilu, true, mlp, activated);
          reference_->Linear(*plain[e].out, activated, to);
          const std::vector<float> y = reference_.Get(to);
          for (int64_t col = 0; col < hidden; ++col)
            want[static_cast<size_t>(row * hidden + col)] += routed[e].factors[i] * y[static_cast<size_t>(col)];
        }
      }
      // The reference rounds what meets quantised weights, twice, and gate and up are multiplied in between: of many
      // rows single numbers may be far off, a row as a whole is not.
      const double tolerance = Allowed(0.02, kernels::IsQuantized(stored) ? 1e-3 : 1e-4);
      double scale = 0;
      for (float value : want) scale += std::isnan(value) ? 0 : value * value;
      scale = std::sqrt(scale / static_cast<double>(want.size()));
      if (!rounded) ExpectNear(got, want, tolerance, scale * tolerance);
      for (int64_t row = 0; row < rows; ++row) {
        double error = 0, size = 0;
        for (int64_t i = row * hidden; i < (row + 1) * hidden; ++i) {
          const double wanted = want[static_cast<size_t>(i)];
          error += std::pow(got[static_cast<size_t>(i)] - wanted, 2);
          size += std::pow(wanted, 2);
        }
        EXPECT_LE(std::sqrt(error), tolerance * std::sqrt(size)) << "row " << row;
      }
    }
  }
}

LASTRO_INSTANTIATE_CUDA_TESTS(CudaWeights);

}  // namespace
}  // namespace lastro::engine
