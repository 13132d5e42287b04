// Lookups and products of the CUDA backend with weights of every stored type.
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
        // Of k terms; many rows of weights that are not bf16 are rounded to it.
        double scale = 0;
        for (float value : want) scale += value * value;
        scale = std::sqrt(scale / static_cast<double>(want.size()));
        for (DataType in_type : {DataType::kF32, type()}) {
          for (DataType out_type : {DataType::kF32, type()}) {
            const bool rounded = bf16();
            ExpectNear(run(cuda_, in_type, out_type), want, rounded ? 0x1p-7 : 1e-4, scale * (rounded ? 0.02 : 1e-4));
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
    ExpectNear(run(cuda_, type()), run(reference_, DataType::kF32), bf16() ? 0x1p-7 : 1e-4, bf16() ? 0.1 : 1e-3);
  }
}

LASTRO_INSTANTIATE_CUDA_TESTS(CudaWeights);

}  // namespace
}  // namespace lastro::engine
