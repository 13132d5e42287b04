// The CPU backend's operations against plain double-precision references: SIMD with oneDNN and scalar, fp32 and bf16.
#include "engine/cpu_backend.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <thread>

#include "engine/onednn_matmul.h"
#include "kernels/bfloat16.h"
#include "kernels/block_quantizer.h"
#include "kernels/cpu_features.h"
#include "kernels/quant.h"
#include "tests/test_util.h"

namespace lastro::engine {
namespace {

constexpr float kSentinel = -54321.0f;

struct Setup {
  const char* name;
  bool scalar, bf16;
  kernels::TileUse tiles = kernels::TileUse::kNone;
};

std::vector<Setup> Setups() {
  std::vector<Setup> setups = {{"simd_fp32", false, false},
                               {"simd_bf16", false, true},
                               {"scalar_fp32", true, false},
                               {"scalar_bf16", true, true}};
  if (kernels::VnniInUse() == kernels::Vnni::kAvx512) {
    setups.push_back({"emulated_amx_bf16", false, true, kernels::TileUse::kEmulated});
  }
  if (kernels::TilesInUse() == kernels::TileUse::kHardware) {
    setups.push_back({"amx_bf16", false, true, kernels::TileUse::kHardware});
  }
  return setups;
}

class CpuBackendTest : public ::testing::TestWithParam<Setup> {
 protected:
  void SetUp() override { kernels::SetTilesForTest(GetParam().tiles); }
  void TearDown() override { kernels::SetTilesForTest(kernels::TileUse::kHardware); }
  CpuBackend NewBackend(int threads = 3) const {
    CpuBackendOptions options;
    options.threads = threads;
    options.bf16 = GetParam().bf16;
    return CpuBackend(options, GetParam().scalar ? kernels::ReferenceKernels() : kernels::SimdKernels());
  }
  std::vector<float> Random(int64_t count, float scale = 1.0f) {
    std::normal_distribution<float> normal(0, scale);
    std::vector<float> values(static_cast<size_t>(count));
    for (float& v : values) v = normal(random_);
    return values;
  }
  std::mt19937_64 random_ = testing::SeededRandom(99);
};

HostMatrix Host(const std::vector<float>& values, int64_t rows) {
  return {DataType::kF32, reinterpret_cast<const uint8_t*>(values.data()), rows,
          static_cast<int64_t>(values.size()) / rows};
}

MatrixView View(std::vector<float>& values, int64_t rows, int64_t cols) { return {values.data(), rows, cols, cols}; }

// x [rows, k] times the rows of w [n, k], with the largest sum of |terms| in `magnitude`.
double Product(const std::vector<float>& x, const std::vector<float>& w, int64_t r, int64_t n, int64_t k,
               double* magnitude) {
  double sum = 0;
  *magnitude = 0;
  for (int64_t j = 0; j < k; ++j) {
    const double term = static_cast<double>(x[static_cast<size_t>(r * k + j)]) * w[static_cast<size_t>(n * k + j)];
    sum += term;
    *magnitude += std::abs(term);
  }
  return sum;
}

TEST_P(CpuBackendTest, LinearOverRowsShapesPartsAndHints) {
  CpuBackend backend = NewBackend();
  struct Shape {
    int64_t k, n1, n2;
  };
  for (const Shape& shape :
       {Shape{40, 56, 24}, Shape{37, 5, 1}, Shape{64, 64, 64}, Shape{1, 3, 2}, Shape{130, 33, 0}}) {
    const int64_t k = shape.k, n = shape.n1 + shape.n2;
    const std::vector<float> w = Random(n * k), bias = Random(n);
    std::vector<HostMatrix> parts = {{DataType::kF32, reinterpret_cast<const uint8_t*>(w.data()), shape.n1, k}};
    if (shape.n2 > 0) {
      parts.push_back({DataType::kF32, reinterpret_cast<const uint8_t*>(w.data() + shape.n1 * k), shape.n2, k});
    }
    for (LinearHints hints : {LinearHints{true, true}, LinearHints{false, true}, LinearHints{true, false}}) {
      for (bool with_bias : {true, false}) {
        ASSERT_OK_AND_ASSIGN(auto weight, backend.LoadLinear(parts, with_bias ? bias : std::vector<float>(), hints));
        for (int64_t rows : {1, 2, 4, 5, 17, 31, 32, 33, 65, 300, 400}) {
          std::vector<float> x = Random(rows * k), out(static_cast<size_t>(rows * n + 8), kSentinel);
          backend.Linear(*weight, View(x, rows, k), View(out, rows, n));
          for (size_t i = out.size() - 8; i < out.size(); ++i) ASSERT_EQ(out[i], kSentinel);
          for (int64_t r = 0; r < rows; ++r) {
            for (int64_t i = 0; i < n; ++i) {
              double magnitude;
              const double want = Product(x, w, r, i, k, &magnitude) + (with_bias ? bias[static_cast<size_t>(i)] : 0);
              // fp32: rounding of k sums. bf16: 8 bits for each factor.
              const double tolerance = magnitude * (GetParam().bf16 ? 0x1p-8 * 2.1 : 1e-6) + 1e-6;
              ASSERT_NEAR(out[static_cast<size_t>(r * n + i)], want, tolerance)
                  << "k " << k << " n " << n << " rows " << rows << " at " << r << ", " << i;
            }
          }
        }
      }
    }
  }
}

// 16-bit and unaligned sources give what their values say.
TEST_P(CpuBackendTest, LinearFromSixteenBitAndUnalignedSources) {
  CpuBackend backend = NewBackend();
  const int64_t n = 19, k = 24;
  const std::vector<float> exact = [&] {
    std::vector<float> values = Random(n * k);
    for (float& v : values) v = std::round(v * 16) / 16;  // exact in fp16 and bf16
    return values;
  }();
  std::vector<uint8_t> bf16(static_cast<size_t>(n * k * 2) + 1), f32(static_cast<size_t>(n * k * 4) + 1);
  for (size_t i = 0; i < exact.size(); ++i) {
    const uint16_t bits = kernels::FloatToBf16(exact[i]);
    std::memcpy(&bf16[1 + 2 * i], &bits, 2);
    std::memcpy(&f32[1 + 4 * i], &exact[i], 4);
  }
  for (const HostMatrix& source :
       {HostMatrix{DataType::kBF16, bf16.data() + 1, n, k}, HostMatrix{DataType::kF32, f32.data() + 1, n, k}}) {
    ASSERT_OK_AND_ASSIGN(auto weight, backend.LoadLinear({source}, {}, LinearHints{true, true}));
    ASSERT_OK_AND_ASSIGN(auto table, backend.LoadTable(source));
    std::vector<float> x(static_cast<size_t>(k), 0.0f), out(static_cast<size_t>(n)), row(static_cast<size_t>(k));
    x[7] = 1.0f;
    backend.Linear(*weight, View(x, 1, k), View(out, 1, n));
    for (int64_t i = 0; i < n; ++i) EXPECT_EQ(out[static_cast<size_t>(i)], exact[static_cast<size_t>(i * k + 7)]);
    backend.Embed(*table, {11}, false, View(row, 1, k));
    for (int64_t j = 0; j < k; ++j) EXPECT_EQ(row[static_cast<size_t>(j)], exact[static_cast<size_t>(11 * k + j)]);
    // An encoder's may be rounded, on a scale per row.
    ASSERT_OK_AND_ASSIGN(auto encoders, backend.LoadLinear({source}, {}, LinearHints{false, true}));
    backend.Linear(*encoders, View(x, 1, k), View(out, 1, n));
    for (int64_t i = 0; i < n; ++i) {
      EXPECT_NEAR(out[static_cast<size_t>(i)], exact[static_cast<size_t>(i * k + 7)], 4.0 / 4095);
    }
  }
}

TEST_P(CpuBackendTest, EachLaneRunsOnce) {
  EXPECT_TRUE(NewBackend(1).lanes().empty());
  CpuBackend backend = NewBackend(3);
  ASSERT_EQ(backend.lanes().size(), 3u);
  for (int round = 0; round < 50; ++round) {
    std::atomic<int> runs[3] = {};
    backend.OnLanes([&](size_t lane) { ++runs[lane]; });
    for (const std::atomic<int>& count : runs) EXPECT_EQ(count, 1);
  }
}

// A row's result is the same bits whatever rows are beside it: answers do not depend on the company of a request.
TEST_P(CpuBackendTest, LinearOfEncodersDoesNotDependOnTheBatch) {
  CpuBackend backend = NewBackend();
  const int64_t n = 72, k = 96, rows = 300;
  const std::vector<float> w = Random(n * k);
  ASSERT_OK_AND_ASSIGN(auto weight, backend.LoadLinear({Host(w, n)}, {}, LinearHints{false, true}));
  std::vector<float> x = Random(rows * k), all(static_cast<size_t>(rows * n)), some(static_cast<size_t>(rows * n));
  backend.Linear(*weight, View(x, rows, k), View(all, rows, n));
  for (int64_t count : {1, 3, 7, 33, 100}) {
    backend.Linear(*weight, View(x, count, k), View(some, count, n));
    EXPECT_EQ(0, std::memcmp(all.data(), some.data(), static_cast<size_t>(count * n) * sizeof(float))) << count;
  }
}

TEST_P(CpuBackendTest, AttentionOfPackedSequencesEqualsOneByOne) {
  CpuBackend backend = NewBackend();
  const int64_t heads = 6, kv_heads = 2, width = 10;
  const std::vector<int64_t> lengths = {3, 40, 1, 16, 130};
  int64_t rows = 0;
  std::vector<SequenceSpan> sequences;
  for (int64_t length : lengths) {
    sequences.push_back({rows, length, 0, {}});
    rows += length;
  }
  std::vector<int32_t> blocks = AssignScratchBlocks(backend.kv_block_tokens(), absl::MakeSpan(sequences));
  std::shuffle(blocks.begin(), blocks.end(), random_);
  const int64_t q_dim = heads * width, kv_dim = kv_heads * width;
  std::vector<float> qkv = Random(rows * (q_dim + 2 * kv_dim)), out(static_cast<size_t>(rows * q_dim));
  const MatrixView all = View(qkv, rows, q_dim + 2 * kv_dim);
  ASSERT_OK_AND_ASSIGN(auto store, backend.AllocateKv({2, kv_heads, width, backend.kv_block_tokens(),
                                                       static_cast<int64_t>(blocks.size())}));
  const AttentionOptions options = {false, 0.3f};
  backend.StoreKv(sequences, all.Columns(q_dim, kv_dim), all.Columns(q_dim + kv_dim, kv_dim), 1, *store);
  backend.Attention(options, sequences, all.Columns(0, q_dim), 1, *store, View(out, rows, q_dim));
  // On tiles factors keep some 16 bits.
  const double tolerance = GetParam().tiles == kernels::TileUse::kNone ? 2e-5 : 1e-4;
  for (const SequenceSpan& s : sequences) {
    for (int64_t r = s.first_row; r < s.first_row + s.rows; ++r) {
      for (int64_t h = 0; h < heads; ++h) {
        std::vector<double> weights;
        double total = 0;
        for (int64_t t = s.first_row; t < s.first_row + s.rows; ++t) {
          double dot = 0;
          for (int64_t d = 0; d < width; ++d) {
            dot += static_cast<double>(all.floats()[r * all.stride + h * width + d]) *
                   all.floats()[t * all.stride + q_dim + h / 3 * width + d];
          }
          total += weights.emplace_back(std::exp(dot * 0.3));
        }
        for (int64_t d = 0; d < width; ++d) {
          double want = 0;
          for (int64_t t = 0; t < s.rows; ++t) {
            want += weights[static_cast<size_t>(t)] / total *
                    all.floats()[(s.first_row + t) * all.stride + q_dim + kv_dim + h / 3 * width + d];
          }
          ASSERT_NEAR(out[static_cast<size_t>(r * q_dim + h * width + d)], want, tolerance) << r << " " << h;
        }
      }
    }
  }
}

// Texts beside each other, heads in groups: against the store, which other tests compare with sums in double.
TEST_P(CpuBackendTest, RowAttentionDoesWhatTheStoreDoes) {
  CpuBackend backend = NewBackend();
  const AttentionOptions options = {false, 0.18f};
  if (backend.most_row_attention(options, 32) == 0) {
    EXPECT_TRUE(GetParam().scalar || !GetParam().bf16);
    return;
  }
  AttentionOptions causal = options, windowed = options;
  causal.causal = true;
  windowed.window = 9;
  for (const AttentionOptions& other : {causal, windowed}) EXPECT_EQ(backend.most_row_attention(other, 32), 0);
  EXPECT_EQ(backend.most_row_attention(options, 48), 0);
  EXPECT_EQ(backend.most_row_attention(options, 64), 512);
  for (int64_t width : {32, 64}) {
    const int64_t q_dim = 6 * width, kv_dim = 2 * width;
    std::vector<SequenceSpan> sequences;
    int64_t rows = 0;
    for (int64_t length : {3, 140, 1, 64}) {
      sequences.push_back({rows, length, 0, {}});
      rows += length;
    }
    const std::vector<int32_t> blocks = AssignScratchBlocks(backend.kv_block_tokens(), absl::MakeSpan(sequences));
    std::vector<float> qkv = Random(rows * (q_dim + 2 * kv_dim)), out(static_cast<size_t>(rows * q_dim)), want = out;
    const MatrixView all = View(qkv, rows, q_dim + 2 * kv_dim);
    ASSERT_OK_AND_ASSIGN(auto store, backend.AllocateKv({1, 2, width, backend.kv_block_tokens(),
                                                         static_cast<int64_t>(blocks.size()), true}));
    backend.StoreKv(sequences, all.Columns(q_dim, kv_dim), all.Columns(q_dim + kv_dim, kv_dim), 0, *store);
    backend.Attention(options, sequences, all.Columns(0, q_dim), 0, *store, View(want, rows, q_dim));
    backend.RowAttention(options, sequences, 2, width, all, View(out, rows, q_dim));
    for (size_t i = 0; i < out.size(); ++i) ASSERT_NEAR(out[i], want[i], 4e-3) << width << " at " << i;
  }
}

// The same bits, also where features are no whole group, or the second half begins inside a panel.
TEST_P(CpuBackendTest, MlpIsItsThreeOperations) {
  CpuBackend backend = NewBackend();
  const int64_t width = 72;
  for (int64_t inner : {40, 128, 160, 500, 1536}) {
    for (bool gated : {false, true}) {
      const int64_t n = (gated ? 2 : 1) * inner;
      const std::vector<float> in = Random(n * width, 0.1f), bias = Random(n), back = Random(width * inner, 0.1f);
      ASSERT_OK_AND_ASSIGN(auto w1, backend.LoadLinear({Host(in, n)}, bias, LinearHints{false, true}));
      ASSERT_OK_AND_ASSIGN(auto w2, backend.LoadLinear({Host(back, width)}, {}, LinearHints{false, true}));
      for (int64_t rows : {1, 8, 37, 300}) {
        std::vector<float> x = Random(rows * width), want(x.size()), out(x.size());
        std::vector<float> mlp(static_cast<size_t>(rows * n)), activated(static_cast<size_t>(rows * inner));
        const MatrixView from = View(x, rows, width), middle = View(mlp, rows, n), half = View(activated, rows, inner);
        backend.Linear(*w1, from, middle);
        backend.Activation(ActivationKind::kGeluErf, gated, middle, half);
        backend.Linear(*w2, half, View(want, rows, width));
        mlp.push_back(kSentinel);
        const MatrixView room = View(mlp, rows, n);
        backend.Mlp(*w1, ActivationKind::kGeluErf, gated, *w2, from, room, half, View(out, rows, width));
        ASSERT_EQ(mlp.back(), kSentinel);
        ASSERT_EQ(0, std::memcmp(out.data(), want.data(), out.size() * sizeof(float))) << inner << ", " << rows;
      }
    }
  }
}

TEST_P(CpuBackendTest, EmbedAccumulatesAndPoolNormalizes) {
  CpuBackend backend = NewBackend();
  const int64_t cols = 21;
  const std::vector<float> values = Random(5 * cols);
  ASSERT_OK_AND_ASSIGN(auto table, backend.LoadTable(Host(values, 5)));
  std::vector<float> x(static_cast<size_t>(3 * cols)), pooled(static_cast<size_t>(2 * cols));
  backend.Embed(*table, {4, 0, 2}, false, View(x, 3, cols));
  backend.Embed(*table, {1, 1, 1}, true, View(x, 3, cols));
  auto want = [&](int64_t id, int64_t c) {
    return values[static_cast<size_t>(id * cols + c)] + values[static_cast<size_t>(cols + c)];
  };
  for (int64_t c = 0; c < cols; ++c) EXPECT_EQ(x[static_cast<size_t>(2 * cols + c)], want(2, c));
  const std::vector<SequenceSpan> sequences = {{0, 2, 0, {}}, {2, 1, 0, {}}};
  backend.Pool(Pooling::kMean, false, sequences, View(x, 3, cols), View(pooled, 2, cols));
  for (int64_t c = 0; c < cols; ++c) EXPECT_NEAR(pooled[static_cast<size_t>(c)], (want(4, c) + want(0, c)) / 2, 1e-6);
  backend.Pool(Pooling::kCls, true, sequences, View(x, 3, cols), View(pooled, 2, cols));
  double squares = 0;
  for (int64_t c = 0; c < cols; ++c) squares += std::pow(want(4, c), 2);
  for (int64_t c = 0; c < cols; ++c) EXPECT_NEAR(pooled[static_cast<size_t>(c)], want(4, c) / std::sqrt(squares), 1e-6);
}

// Large enough that rows are split between threads.
TEST_P(CpuBackendTest, RowOperationsSplitOverThreadsEqualOneThread) {
  CpuBackend many = NewBackend(3), one = NewBackend(1);
  const int64_t rows = 700, cols = 512;
  const std::vector<float> w = Random(cols), b = Random(cols);
  std::vector<float> x = Random(rows * 2 * cols);
  const NormParams norm = {w.data(), b.data(), 1e-5f, false};
  auto run = [&](CpuBackend& backend) {
    std::vector<float> out(static_cast<size_t>(rows * cols));
    backend.Activation(ActivationKind::kSilu, true, View(x, rows, 2 * cols), View(out, rows, cols));
    backend.Norm(norm, View(out, rows, cols), View(out, rows, cols));
    backend.Add(View(x, rows, 2 * cols).Columns(0, cols), View(out, rows, cols));
    return out;
  };
  EXPECT_EQ(run(many), run(one));
}

TEST_P(CpuBackendTest, AllocateRefusesWhatCannotBe) {
  CpuBackend backend = NewBackend();
  EXPECT_THAT(backend.Allocate(INT64_MAX - 1), testing::StatusIs(absl::StatusCode::kResourceExhausted, ::testing::_));
  EXPECT_THAT(backend.Allocate(int64_t{1} << 52),
              testing::StatusIs(absl::StatusCode::kResourceExhausted, ::testing::_));
  ASSERT_OK_AND_ASSIGN(auto buffer, backend.Allocate(40));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer->data()) % 64, 0u);
}

INSTANTIATE_TEST_SUITE_P(Setups, CpuBackendTest, ::testing::ValuesIn(Setups()),
                         [](const auto& info) { return info.param.name; });

// Blocks of every quantised type.
struct Blocks {
  std::vector<uint8_t> bytes;
  std::vector<float> values;
  HostMatrix matrix;
};

Blocks RandomBlocks(DataType type, int64_t n, int64_t k, std::mt19937_64* random) {
  std::normal_distribution<float> normal(0, 1);
  Blocks blocks;
  std::vector<float> drawn(static_cast<size_t>(n * k));
  for (float& value : drawn) value = normal(*random);
  blocks.bytes.resize(static_cast<size_t>(n * kernels::RowBytes(type, k)));
  kernels::QuantizeBlocks(type, drawn.data(), n * k, blocks.bytes.data());
  blocks.values.resize(drawn.size());
  kernels::ReferenceQuantKernels().dequantize(blocks.bytes.data(), type, n * k, false, blocks.values.data());
  blocks.matrix = {type, blocks.bytes.data(), n, k};
  return blocks;
}

constexpr DataType kBlockTypes[] = {DataType::kQ8_0, DataType::kQ4_0, DataType::kQ4_K,
                                    DataType::kQ5_K, DataType::kQ6_K, DataType::kMXFP4};

// Products of many rows over blocks, split between threads, on whatever this CPU and its emulations multiply with.
TEST_P(CpuBackendTest, QuantisedProductsOfManyRows) {
  CpuBackend backend = NewBackend();
  std::normal_distribution<float> normal(0, 1);
  for (DataType type : kBlockTypes) {
    const int64_t n = 300, k = 512, rows = 75;
    const Blocks w = RandomBlocks(type, n, k, &random_);
    ASSERT_OK_AND_ASSIGN(auto weight, backend.LoadLinear({w.matrix}, {}, {true, true}));
    std::vector<float> x = Random(rows * k), out(static_cast<size_t>(rows * n));
    backend.Linear(*weight, View(x, rows, k), View(out, rows, n));
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t i = 0; i < n; ++i) {
        double magnitude;
        const double want = Product(x, w.values, r, i, k, &magnitude);
        ASSERT_NEAR(out[static_cast<size_t>(r * n + i)], want, magnitude / 127) << static_cast<int>(type);
      }
    }
  }
}

// With `exact` the left side loses no more than fp32 does, for few rows and for many.
TEST(CpuBackendExact, QuantisedProductsAreAsGoodAsFp32) {
  std::mt19937_64 random = testing::SeededRandom(7);
  CpuBackendOptions options;
  options.threads = 2;
  options.exact = true;
  CpuBackend backend(options, kernels::SimdKernels());
  for (DataType type : kBlockTypes) {
    const int64_t n = 37, k = 512;
    const Blocks w = RandomBlocks(type, n, k, &random);
    std::normal_distribution<float> normal(0, 1);
    std::vector<float> bias(static_cast<size_t>(n));
    for (float& value : bias) value = normal(random);
    ASSERT_OK_AND_ASSIGN(auto weight, backend.LoadLinear({w.matrix}, bias, {true, true}));
    for (int64_t rows : {1, 2, 3, 5, 27, 28, 40}) {
      std::vector<float> x(static_cast<size_t>(rows * k)), out(static_cast<size_t>(rows * n));
      for (size_t i = 0; i < x.size(); ++i) x[i] = normal(random) * (i % 32 == 0 ? 100.0f : 1.0f);  // wide groups
      backend.Linear(*weight, View(x, rows, k), View(out, rows, n));
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t i = 0; i < n; ++i) {
          double magnitude;
          const double want = Product(x, w.values, r, i, k, &magnitude) + bias[static_cast<size_t>(i)];
          ASSERT_NEAR(out[static_cast<size_t>(r * n + i)], want, 1e-6 * magnitude + 1e-6)
              << "type " << static_cast<int>(type) << " rows " << rows << " at " << r << ", " << i;
        }
      }
    }
  }
}

// With `deterministic` a row gives the same bits alone and among others.
TEST(CpuBackendDeterministic, RowsDoNotDependOnTheirNeighbours) {
  std::mt19937_64 random = testing::SeededRandom(8);
  std::normal_distribution<float> normal(0, 1);
  const int64_t n = 45, k = 256;
  std::vector<float> dense(static_cast<size_t>(n * k));
  for (float& value : dense) value = normal(random);
  for (const bool exact : {false, true}) {
    for (const bool bf16 : {false, true}) {
      CpuBackendOptions options;
      options.threads = 2;
      options.bf16 = bf16;
      options.exact = exact;
      options.deterministic = true;
      CpuBackend backend(options, kernels::SimdKernels());
      std::vector<Blocks> quantised;
      for (DataType type : kBlockTypes) quantised.push_back(RandomBlocks(type, n, k, &random));
      std::vector<HostMatrix> matrices = {Host(dense, n)};
      for (const Blocks& blocks : quantised) matrices.push_back(blocks.matrix);
      for (const HostMatrix& matrix : matrices) {
        ASSERT_OK_AND_ASSIGN(auto weight, backend.LoadLinear({matrix}, {}, {true, true}));
        std::vector<float> x(static_cast<size_t>(70 * k)), alone(static_cast<size_t>(70 * n));
        for (float& value : x) value = normal(random);
        for (int64_t row = 0; row < 70; ++row) {
          backend.Linear(*weight, View(x, 70, k).Rows(row, 1), View(alone, 70, n).Rows(row, 1));
        }
        for (int64_t rows = 1; rows <= 70; ++rows) {
          std::vector<float> out(static_cast<size_t>(rows * n));
          backend.Linear(*weight, View(x, 70, k).Rows(70 - rows, rows), View(out, rows, n));
          ASSERT_TRUE(std::equal(out.begin(), out.end(), alone.end() - static_cast<ptrdiff_t>(out.size())))
              << "type " << static_cast<int>(matrix.type) << " rows " << rows << " bf16 " << bf16 << " exact " << exact;
        }
      }
    }
  }
}

// The last `rows` of 60 tokens attend to all, `heads` query heads to two KV heads.
std::vector<float> AttendTo(const CpuBackendOptions& options, kernels::TileUse use, std::vector<float>& qkv,
                            int64_t heads, int64_t rows) {
  constexpr int64_t kKvHeads = 2, kWidth = 32, kLength = 60;
  const int64_t q_dim = heads * kWidth, kv_dim = kKvHeads * kWidth;
  const MatrixView all = View(qkv, kLength, q_dim + 2 * kv_dim);
  kernels::SetTilesForTest(use);
  CpuBackend backend(options, kernels::SimdKernels());
  std::vector<SequenceSpan> sequences = {{0, kLength, 0, {}}};
  const std::vector<int32_t> blocks = AssignScratchBlocks(backend.kv_block_tokens(), absl::MakeSpan(sequences));
  auto store = *backend.AllocateKv(
      {1, kKvHeads, kWidth, backend.kv_block_tokens(), static_cast<int64_t>(sequences[0].blocks.size())});
  backend.StoreKv(sequences, all.Columns(q_dim, kv_dim), all.Columns(q_dim + kv_dim, kv_dim), 0, *store);
  sequences[0].rows = rows;
  sequences[0].position = kLength - rows;
  std::vector<float> out(static_cast<size_t>(rows * q_dim));
  backend.Attention({true, 0.2f}, sequences, all.Rows(kLength - rows, rows).Columns(0, q_dim), 0, *store,
                    View(out, rows, q_dim));
  kernels::SetTilesForTest(kernels::TileUse::kHardware);
  return out;
}

// On tiles prompts are attended to, of more than 4 rows and 15 queries of a KV head, in bf16 compute. What is decoded,
// drafts, fp32 and deterministic compute stay what they are.
TEST(CpuBackendOnTiles, AttentionOfPromptsOnly) {
  if (kernels::VnniInUse() != kernels::Vnni::kAvx512) {
    GTEST_SKIP() << "this CPU has no AVX-512 VNNI, so that no tiles are used on it";
  }
  std::mt19937_64 random = testing::SeededRandom(10);
  std::normal_distribution<float> normal(0, 1);
  for (int64_t heads : {2, 8}) {
    std::vector<float> qkv(static_cast<size_t>(60 * (heads + 4) * 32));
    for (float& value : qkv) value = normal(random);
    for (int64_t rows : {1, 4, 5, 15, 16, 60}) {
      for (const bool bf16 : {false, true}) {
        for (const bool deterministic : {false, true}) {
          CpuBackendOptions options;
          options.threads = 1;
          options.bf16 = bf16;
          options.deterministic = deterministic;
          const std::vector<float> plain = AttendTo(options, kernels::TileUse::kNone, qkv, heads, rows);
          const bool same = AttendTo(options, kernels::TileUse::kEmulated, qkv, heads, rows) == plain;
          const bool prompt = rows >= (heads == 2 ? 16 : 5);
          EXPECT_EQ(same, !bf16 || deterministic || !prompt)
              << "heads " << heads << " rows " << rows << " bf16 " << bf16 << " deterministic " << deterministic;
        }
      }
    }
  }
}

TEST(CpuBackendDeathTest, WrongShapesAreOurOwnBugs) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  CpuBackend backend({1, false}, kernels::SimdKernels());
  std::vector<float> w(6, 1.0f), x(6, 1.0f);
  auto weight = *backend.LoadLinear({Host(w, 2)}, {}, {});
  EXPECT_DEATH(backend.Linear(*weight, View(x, 3, 2), View(w, 3, 2)), "check failed");
  auto table = *backend.LoadTable(Host(w, 2));
  EXPECT_DEATH(backend.Embed(*table, {2}, false, View(x, 1, 3)), "check failed");
}

}  // namespace
}  // namespace lastro::engine
