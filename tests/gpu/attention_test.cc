// The paged KV store and attention of the CUDA backend against the reference kernels, over head widths, groups, options
// and batches of prompts and decoding steps; and how a step is laid out for the kernels.
#include <algorithm>
#include <numeric>

#include "engine/cuda/cuda_step.h"
#include "tests/gpu/backend_test_util.h"

namespace lastro::engine {
namespace {

struct Shape {
  int64_t heads, kv_heads, head_dim;
};

// A sequence with `position` tokens in the store and `rows` new ones.
struct Text {
  int64_t position, rows;
};

struct Extras {
  bool causal = true;
  float softcap = 0;
  int64_t window = 0;
  bool bias = false, bias_absolute = false, sinks = false;
};

class CudaAttention : public CudaTest {
 protected:
  // Stores all tokens of the texts in shuffled blocks, then attends with the last rows of each.
  void Check(const Shape& shape, const std::vector<Text>& texts, const Extras& extras) {
    SCOPED_TRACE(::testing::Message() << shape.heads << " heads, " << shape.kv_heads << " KV heads of "
                                      << shape.head_dim << ", window " << extras.window);
    const std::vector<float> got = Attend(cuda_, shape, texts, extras, type());
    random_ = before_;  // the same numbers
    const std::vector<float> want = Attend(reference_, shape, texts, extras, DataType::kF32);
    ExpectNear(got, want, Allowed(0.02, 2e-5), Allowed(0.015, 2e-5));
  }

 private:
  std::vector<float> Attend(Side& side, const Shape& shape, const std::vector<Text>& texts, const Extras& extras,
                            DataType stored) {
    before_ = random_;
    const int64_t q_dim = shape.heads * shape.head_dim, kv_dim = shape.kv_heads * shape.head_dim;
    const int64_t block_tokens = side->kv_block_tokens();
    std::vector<SequenceSpan> all, last;
    int64_t tokens = 0, rows = 0, longest = 0;
    for (const Text& text : texts) {
      all.push_back({tokens, text.position + text.rows, 0, {}});
      last.push_back({rows, text.rows, text.position, {}});
      tokens += text.position + text.rows;
      rows += text.rows;
      longest = std::max(longest, text.position + text.rows);
    }
    std::vector<int32_t> blocks = AssignScratchBlocks(block_tokens, absl::MakeSpan(all));
    std::shuffle(blocks.begin(), blocks.end(), random_);
    for (size_t i = 0; i < texts.size(); ++i) last[i].blocks = all[i].blocks;
    const MatrixView k = side.Put(Random(tokens * kv_dim), tokens, kv_dim, stored);
    const MatrixView v = side.Put(Random(tokens * kv_dim), tokens, kv_dim, stored);
    const MatrixView q = side.Put(Random(rows * q_dim), rows, q_dim, stored), out = side.Empty(rows, q_dim, stored);
    const std::vector<float> bias = Random(shape.heads * 2 * longest), sinks = Random(shape.heads);
    auto store =
        side->AllocateKv({2, shape.kv_heads, shape.head_dim, block_tokens, static_cast<int64_t>(blocks.size())});
    EXPECT_THAT(store, testing::IsOk());
    AttentionOptions options;
    options.causal = extras.causal;
    options.scale = 1.0f / std::sqrt(static_cast<float>(shape.head_dim));
    options.softcap = extras.softcap;
    options.window = extras.window;
    if (extras.bias) options.bias = side.Vector(bias) + (extras.bias_absolute ? 0 : longest);
    options.bias_stride = 2 * longest;
    options.bias_absolute = extras.bias_absolute;
    if (extras.sinks) options.sinks = side.Vector(sinks);
    side->BeginStep(all);
    side->StoreKv(all, k, v, 1, **store);
    EXPECT_THAT(side->Synchronize(), testing::IsOk());
    side->BeginStep(last);
    side->Attention(options, last, q, 1, **store, out);
    return side.Get(out);
  }

  std::mt19937_64 before_;
};

const std::vector<Text> kMixed = {{0, 1}, {0, 70}, {37, 1}, {600, 1}, {15, 3}, {1040, 33}, {511, 1}};

TEST_P(CudaAttention, HeadWidthsAndGroups) {
  for (const Shape& shape :
       {Shape{4, 2, 8}, {3, 3, 33}, {8, 2, 64}, {2, 1, 80}, {4, 1, 96}, {8, 2, 128}, {2, 2, 256}, {71, 1, 64}}) {
    Check(shape, kMixed, {});
  }
}

TEST_P(CudaAttention, WhatFamiliesAdd) {
  for (const Extras& extras : {Extras{.causal = false},
                               {.softcap = 2.0f},
                               {.window = 20},
                               {.causal = false, .window = 9},
                               {.bias = true},
                               {.bias = true, .bias_absolute = true},
                               {.causal = false, .bias = true},
                               {.sinks = true},
                               {.softcap = 3.0f, .window = 100, .bias = true, .sinks = true}}) {
    Check({4, 2, 64}, kMixed, extras);
    Check({2, 1, 24}, {{0, 5}, {700, 1}}, extras);
  }
}

TEST_P(CudaAttention, EveryLengthAroundTileEdges) {
  for (int64_t length : {1, 15, 16, 17, 63, 64, 65, 127, 128, 129}) {
    Check({4, 2, 64}, {{0, length}, {length - 1, 1}}, {});
    Check({4, 2, 64}, {{0, length}}, {.causal = false});
  }
  for (int64_t length : {511, 512, 513, 1024, 1025}) Check({4, 1, 64}, {{length - 1, 1}, {3, 1}}, {});
}

TEST_P(CudaAttention, OverAnEncodersMemory) {
  const int64_t heads = 4, dim = 64, width = heads * dim;
  const int64_t lengths[] = {100, 7}, rows[] = {40, 1};
  const std::vector<float> keys = Random(107 * width), values = Random(107 * width), queries = Random(41 * width);
  auto run = [&](Side& side, DataType stored) {
    std::vector<SequenceSpan> memory = {{0, lengths[0], 0, {}}, {lengths[0], lengths[1], 0, {}}};
    const std::vector<int32_t> blocks = AssignScratchBlocks(side->kv_block_tokens(), absl::MakeSpan(memory));
    std::vector<SequenceSpan> texts = {{0, rows[0], 0, {}}, {rows[0], rows[1], 20, {}}};
    for (size_t i = 0; i < 2; ++i) texts[i].memory_blocks = memory[i].blocks, texts[i].memory_tokens = lengths[i];
    const std::vector<int32_t> own = {0, 1, 2};
    for (SequenceSpan& text : texts) text.blocks = own;
    auto store = side->AllocateKv({1, heads, dim, side->kv_block_tokens(), static_cast<int64_t>(blocks.size())});
    EXPECT_THAT(store, testing::IsOk());
    side->BeginStep(memory);
    side->StoreKv(memory, side.Put(keys, 107, width, stored), side.Put(values, 107, width, stored), 0, **store);
    EXPECT_THAT(side->Synchronize(), testing::IsOk());
    side->BeginStep(texts);
    AttentionOptions options;
    options.causal = false;
    options.memory = true;
    options.scale = 0.125f;
    const MatrixView out = side.Empty(41, width, stored);
    side->Attention(options, texts, side.Put(queries, 41, width, stored), 0, **store, out);
    return side.Get(out);
  };
  ExpectNear(run(cuda_, type()), run(reference_, DataType::kF32), Allowed(0.02, 2e-5), Allowed(0.01, 2e-5));
}

// q turned in place, k on its way into the store, v as it is: seen through attention.
TEST_P(CudaAttention, RotatedKeysInTheStore) {
  for (const auto& [dim, rotary] : {std::pair<int64_t, int64_t>{64, 64}, {24, 8}, {33, 10}}) {
    const int64_t heads = 4, kv_heads = 2, rows = 21, width = (heads + 2 * kv_heads) * dim;
    const std::vector<float> angles = Random(rows * rotary / 2), qkv = Random(rows * width);
    std::vector<float> cosines, sines;
    for (float angle : angles) cosines.push_back(std::cos(angle)), sines.push_back(std::sin(angle));
    auto run = [&, dim = dim, rotary = rotary](Side& side, DataType stored) {
      std::vector<SequenceSpan> text = {{0, 5, 0, {}}, {5, 16, 0, {}}};
      const std::vector<int32_t> blocks = AssignScratchBlocks(side->kv_block_tokens(), absl::MakeSpan(text));
      auto store = side->AllocateKv({2, kv_heads, dim, side->kv_block_tokens(), static_cast<int64_t>(blocks.size())});
      EXPECT_THAT(store, testing::IsOk());
      const MatrixView cos = side.Put(cosines, rows, rotary / 2, DataType::kF32, 0);
      const MatrixView sin = side.Put(sines, rows, rotary / 2, DataType::kF32, 0);
      const MatrixView all = side.Put(qkv, rows, width, stored), out = side.Empty(rows, heads * dim, stored);
      side->BeginStep(text);
      side->RotateAndStoreKv(cos, sin, text, all, 1, **store);
      side->Attention({}, text, all.Columns(0, heads * dim), 1, **store, out);
      return side.Get(out);
    };
    ExpectNear(run(cuda_, type()), run(reference_, DataType::kF32), Allowed(0.03, 2e-5), Allowed(0.03, 2e-5));
  }
}

TEST_P(CudaAttention, ACopiedBlockHoldsTheSameInEveryLayer) {
  const Shape shape = {2, 2, 16};
  auto store = cuda_->AllocateKv({3, shape.kv_heads, shape.head_dim, 16, 4});
  ASSERT_THAT(store, testing::IsOk());
  const std::vector<int32_t> first = {2}, second = {1};
  std::vector<SequenceSpan> text = {{0, 16, 0, first}};
  const MatrixView k = cuda_.Put(Random(16 * 32), 16, 32, type()), v = cuda_.Put(Random(16 * 32), 16, 32, type());
  const MatrixView q = cuda_.Put(Random(16 * 32), 16, 32, type());
  cuda_->BeginStep(text);
  for (int64_t layer = 0; layer < 3; ++layer) cuda_->StoreKv(text, k, v, layer, **store);
  cuda_->CopyKvBlock(2, 1, **store);
  std::vector<std::vector<float>> results;
  for (const std::vector<int32_t>& blocks : {first, second}) {
    text[0].blocks = blocks;
    cuda_->BeginStep(text);
    for (int64_t layer = 0; layer < 3; ++layer) {
      const MatrixView out = cuda_.Empty(16, 32, type());
      cuda_->Attention({}, text, q, layer, **store, out);
      results.push_back(cuda_.Get(out));
    }
  }
  for (const std::vector<float>& result : results) EXPECT_EQ(result, results[0]);
}

// The same bits whatever else is decoded in the step.
TEST_P(CudaAttention, ADecodingStepDoesNotDependOnItsCompany) {
  const int64_t width = 64, tokens = 700;
  const std::vector<float> keys = Random(2 * tokens * width), queries = Random(2 * 2 * width);
  std::vector<SequenceSpan> all = {{0, 40, 0, {}}, {40, tokens, 0, {}}};
  const std::vector<int32_t> blocks = AssignScratchBlocks(16, absl::MakeSpan(all));
  auto store = cuda_->AllocateKv({1, 1, width, 16, static_cast<int64_t>(blocks.size())});
  ASSERT_THAT(store, testing::IsOk());
  cuda_->BeginStep(all);
  const MatrixView k = cuda_.Put({keys.begin(), keys.begin() + (40 + tokens) * width}, 40 + tokens, width, type());
  cuda_->StoreKv(all, k, k, 0, **store);
  auto attend = [&](size_t count) {
    std::vector<SequenceSpan> steps = {{0, 1, 39, all[0].blocks}, {1, 1, tokens - 1, all[1].blocks}};
    steps.resize(count);
    cuda_->BeginStep(steps);
    const int64_t rows = static_cast<int64_t>(count);
    const MatrixView q = cuda_.Put({queries.begin(), queries.begin() + rows * 2 * width}, rows, 2 * width, type());
    const MatrixView out = cuda_.Empty(rows, 2 * width, type());
    cuda_->Attention({}, steps, q, 0, **store, out);
    std::vector<float> first = cuda_.Get(out);
    first.resize(static_cast<size_t>(2 * width));
    return first;
  };
  EXPECT_EQ(attend(1), attend(2));
}

LASTRO_INSTANTIATE_CUDA_TESTS(CudaAttention);

TEST(CudaStep, SlotsFollowTheBlockTable) {
  const std::vector<int32_t> a = {7, 3}, b = {0};
  const std::vector<SequenceSpan> sequences = {{0, 3, 14, a}, {3, 1, 0, b}};
  EXPECT_EQ(SlotsOf(sequences, 16), (std::vector<int32_t>{7 * 16 + 14, 7 * 16 + 15, 3 * 16, 0}));
}

TEST(CudaStep, TablesLieOneBehindTheOther) {
  const std::vector<int32_t> a = {7, 3}, b = {5}, memory = {1, 2};
  std::vector<SequenceSpan> sequences = {{0, 3, 14, a}, {3, 1, 0, b}};
  for (SequenceSpan& s : sequences) s.memory_blocks = memory, s.memory_tokens = 20;
  const AttentionTables own = TablesOf(sequences, false), memories = TablesOf(sequences, true);
  EXPECT_EQ(own.blocks, (std::vector<int32_t>{7, 3, 5}));
  EXPECT_EQ(own.sequences[0].length, 17);
  EXPECT_EQ(own.sequences[1].table, 2);
  EXPECT_EQ(memories.blocks, (std::vector<int32_t>{1, 2, 1, 2}));
  EXPECT_EQ(memories.sequences[1].length, 20);
  EXPECT_EQ(memories.sequences[1].table, 2);
}

// Every query of every sequence is in exactly one tile, wide or not.
TEST(CudaStep, TilesCoverEveryQueryOnce) {
  const std::vector<SequenceSpan> sequences = {{0, 1, 5, {}}, {1, 100, 0, {}}, {101, 16, 3, {}}, {117, 15, 900, {}}};
  for (int64_t group : {1, 4, 71}) {
    std::vector<std::vector<int>> seen;
    for (const SequenceSpan& s : sequences) seen.emplace_back(static_cast<size_t>(s.rows * group));
    int64_t longest = 0;
    for (bool wide : {false, true}) {
      const AttentionTiles tiles = TilesOf(sequences, false, group, wide, wide ? 64 : 16);
      longest = std::max(longest, tiles.max_length);
      for (const auto& tile : tiles.tiles) {
        EXPECT_LE(tile.count, wide ? 64 : 16);
        EXPECT_EQ(seen[static_cast<size_t>(tile.sequence)].size() >= 64, wide);
        for (int i = 0; i < tile.count; ++i)
          ++seen[static_cast<size_t>(tile.sequence)].at(static_cast<size_t>(tile.first + i));
      }
    }
    EXPECT_EQ(longest, 915);
    for (const auto& queries : seen) EXPECT_EQ(queries, std::vector<int>(queries.size(), 1));
  }
}

}  // namespace
}  // namespace lastro::engine
