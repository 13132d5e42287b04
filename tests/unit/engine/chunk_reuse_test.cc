// Reuse of chunks at other positions: keys that are rotated on are those computed there; a model whose keys and values
// depend on their token alone gives the logits of exact computation in any order of its chunks; scopes, removals, and
// who is refused.
#include "engine/chunk_reuse.h"

#include <cstdio>
#include <cstring>

#include "engine/cpu_backend.h"
#include "engine/generator.h"
#include "engine/rope.h"
#include "tests/unit/engine/model_test_util.h"

namespace lastro::engine {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

std::unique_ptr<Runtime> ChunkRuntime(ComputeType type = ComputeType::kFloat32, int64_t kv_bytes = 0) {
  RuntimeOptions options;
  options.compute_type = type;
  options.kv_bytes = kv_bytes;
  options.threads = 2;
  options.device = "cpu";
  options.reuse_chunks = true;
  return *Runtime::Create(options);
}

std::vector<int32_t> Chunk(int which, int tokens) {
  std::vector<int32_t> ids;
  uint32_t state = static_cast<uint32_t>(which) * 7919 + 1;
  for (int i = 0; i < tokens; ++i) {
    state = state * 1664525u + 1013904223u;
    ids.push_back(3 + static_cast<int32_t>(state >> 16) % 150);
  }
  return ids;
}

std::vector<int32_t> Prompt(const std::vector<std::vector<int32_t>>& chunks, int question) {
  std::vector<int32_t> ids = {5, 6, 7};
  for (size_t i = 0; i < chunks.size(); ++i) {
    ids.push_back(8 + static_cast<int32_t>(i));  // its number
    ids.insert(ids.end(), chunks[i].begin(), chunks[i].end());
  }
  for (int i = 0; i < 12; ++i) ids.push_back(20 + question * 13 + i);
  return ids;
}

std::vector<float> Logits(const LanguageModel& model, absl::Span<const int32_t> prompt, const KvScope* scope,
                          int* reused) {
  auto opening = model.Open(prompt, 1, {nullptr, scope}, CallContext());
  EXPECT_THAT(opening, IsOk());
  *reused = opening->reused_tokens;
  std::vector<float> logits;
  EXPECT_THAT(opening->session->Extend(opening->left(), LogitsOf::kLast, CallContext(), &logits), IsOk());
  return logits;
}

double LargestDifference(const std::vector<float>& a, const std::vector<float>& b) {
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) largest = std::max<double>(largest, std::abs(a[i] - b[i]));
  return a.size() == b.size() ? largest : 1e30;
}

class MoveKv : public ::testing::TestWithParam<kernels::KvType> {};

// A key that was stored rotated for one position and is moved is the key stored rotated for the other one.
TEST_P(MoveKv, RotatedOnIsComputedThere) {
  std::mt19937_64 random = testing::SeededRandom(5);
  std::normal_distribution<float> normal;
  constexpr int64_t kHeads = 3, kDim = 40, kRotary = 28, kTokens = 37, kFrom = 21, kTo = 1003, kWidth = kHeads * kDim;
  CpuBackendOptions options;
  options.threads = 2;
  options.kv_type = GetParam();
  CpuBackend backend(options, kernels::SimdKernels());
  auto store = *backend.AllocateKv({1, kHeads, kDim, 16, 140});
  std::vector<float> key(kTokens * kWidth), value(key.size());
  for (size_t i = 0; i < key.size(); ++i) key[i] = normal(random), value[i] = normal(random);
  RopeParams rope;
  rope.rotary_dim = kRotary;
  rope.theta = 10000;
  const std::vector<float> frequencies = RotaryFrequencies(rope, 0);
  constexpr int64_t kHalf = kRotary / 2;
  auto put = [&](int64_t position, absl::Span<const int32_t> blocks, int64_t slot) {
    std::vector<float> rotated = key, cos(kTokens * kHalf), sin(cos.size());
    std::vector<int32_t> positions;
    for (int64_t i = 0; i < kTokens; ++i) positions.push_back(static_cast<int32_t>(position + i));
    const MatrixView c = {cos.data(), kTokens, kHalf, kHalf}, s = {sin.data(), kTokens, kHalf, kHalf};
    backend.RotaryAngles(positions, frequencies, 1, c, s);
    backend.Rope(c, s, kDim, {rotated.data(), kTokens, kWidth, kWidth});
    const SequenceSpan span = {0, kTokens, slot, blocks, slot + kTokens};
    backend.StoreKv(absl::MakeConstSpan(&span, 1), {rotated.data(), kTokens, kWidth, kWidth},
                    {value.data(), kTokens, kWidth, kWidth}, 0, *store);
  };
  const std::vector<int32_t> from = {7, 2, 9}, to = {11, 4, 30, 5}, there = {50, 51, 52, 53};
  put(kFrom, from, kFrom % 16);
  put(kTo, there, kTo % 16);
  std::vector<float> cos, sin;
  for (int64_t i = 0; i < kTokens * kHalf; ++i) {
    const double angle = double{kTo - kFrom} * static_cast<double>(frequencies[static_cast<size_t>(i % kHalf)]);
    cos.push_back(static_cast<float>(std::cos(angle)));
    sin.push_back(static_cast<float>(std::sin(angle)));
  }
  backend.MoveKv({from, kFrom % 16, to, kTo % 16, kTokens}, {cos.data(), kTokens, kHalf, kHalf},
                 {sin.data(), kTokens, kHalf, kHalf}, 0, *store);
  const CpuKvStore& blocks = static_cast<const CpuKvStore&>(*store);
  // int8: half a step of the largest of 32, twice; angles are rounded to fp32 at the larger position.
  const float tolerance = GetParam() == kernels::KvType::kInt8  ? 0.05f
                          : GetParam() == kernels::KvType::kF16 ? 4e-3f
                                                                : 6e-4f;
  std::vector<float> k(kWidth), v(kWidth), want_k(kWidth), want_v(kWidth);
  for (int64_t i = 0; i < kTokens; ++i) {
    const int64_t slot = kTo % 16 + i;
    blocks.Read(0, to[static_cast<size_t>(slot / 16)], slot % 16, k.data(), v.data());
    blocks.Read(0, there[static_cast<size_t>(slot / 16)], slot % 16, want_k.data(), want_v.data());
    for (size_t c = 0; c < kWidth; ++c) {
      ASSERT_NEAR(k[c], want_k[c], tolerance) << i << ", " << c;
      ASSERT_NEAR(v[c], want_v[c], GetParam() == kernels::KvType::kInt8 ? 1e-6f : 0) << i << ", " << c;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, MoveKv,
                         ::testing::Values(kernels::KvType::kF32, kernels::KvType::kF16, kernels::KvType::kInt8),
                         [](const auto& info) {
                           return std::string(info.index == 0 ? "fp32" : info.index == 1 ? "fp16" : "int8");
                         });

// Sets a tensor of a safetensors file to zero.
void Zero(const EditedModel& model, const std::string& tensor) {
  std::string file = model.Read("model.safetensors");
  uint64_t header = 0;
  std::memcpy(&header, file.data(), sizeof(header));
  const size_t name = file.find("\"" + tensor + "\"");
  ASSERT_NE(name, std::string::npos) << tensor;
  unsigned long begin = 0, end = 0;
  const size_t offsets = file.find('[', file.find("data_offsets", name));
  ASSERT_EQ(std::sscanf(file.c_str() + offsets, "[%lu,%lu]", &begin, &end), 2);
  std::fill_n(file.begin() + static_cast<ptrdiff_t>(8 + header + begin), end - begin, '\0');
  model.Write("model.safetensors", file);
}

// Without what attention adds below the last layer, keys and values are made of their own token and position alone:
// nothing is lost by reuse. The last layer's attention still sees everything, and where it stands.
TEST(ChunkReuse, IsExactWhereKeysDependOnTheirTokenAlone) {
  EditedModel edited("llama-scaled-tied");
  for (const char* layer : {"0", "1"}) Zero(edited, std::string("model.layers.") + layer + ".self_attn.o_proj.weight");
  std::unique_ptr<Runtime> plain_runtime = NewRuntime(), runtime = ChunkRuntime();
  auto plain_model = *DecoderModel::Load(edited.path(), *plain_runtime),
       model = *DecoderModel::Load(edited.path(), *runtime);
  const std::vector<int32_t> a = Chunk(1, 100), b = Chunk(2, 90), c = Chunk(3, 81), d = Chunk(4, 70);
  const KvScope scope = {"notes", 0};
  int reused = 0, none = 0;
  auto expect = [&](const std::vector<int32_t>& prompt, int at_least, int at_most) {
    const std::vector<float> want = Logits(*plain_model, prompt, nullptr, &none);
    EXPECT_LT(LargestDifference(Logits(*model, prompt, &scope, &reused), want), 2e-4);
    EXPECT_GE(reused, at_least);
    EXPECT_LE(reused, at_most);
  };
  expect(Prompt({a, b, c}, 0), 0, 0);
  const int ab = 100 + 90 - 2 * static_cast<int>(kRecomputedTokens);
  expect(Prompt({b, a}, 1), ab, ab + 6);  // a token in common before or behind a chunk belongs to the run
  expect(Prompt({c, d, a, b}, 2), ab + 81 - 16, ab + 81 - 16 + 9);
  expect(Prompt({d, c}, 3), 70 + 81 - 32, 70 + 81 - 32 + 6);  // d was computed behind reused tokens
  // The order matters to these logits: the test would see keys in the wrong place.
  const auto one = Logits(*plain_model, Prompt({a, b}, 1), nullptr, &none);
  EXPECT_GT(LargestDifference(one, Logits(*plain_model, Prompt({b, a}, 1), nullptr, &none)), 0.02);
}

TEST(ChunkReuse, AtItsOwnPlaceIsExactToTheBit) {
  for (ComputeType type : {ComputeType::kFloat32, ComputeType::kBFloat16}) {
    std::unique_ptr<Runtime> plain_runtime = NewRuntime(type), runtime = ChunkRuntime(type);
    auto plain = *DecoderModel::Load(TinyModel("llama-gqa"), *plain_runtime);
    auto model = *DecoderModel::Load(TinyModel("llama-gqa"), *runtime);
    const KvScope scope = {"notes", 0};
    int reused = 0, none = 0;
    Logits(*model, Prompt({Chunk(1, 124)}, 0), &scope, &reused);
    const std::vector<int32_t> prompt = Prompt({Chunk(1, 124)}, 1);
    EXPECT_EQ(Logits(*model, prompt, &scope, &reused), Logits(*plain, prompt, nullptr, &none));
    EXPECT_EQ(reused, 128);
  }
}

TEST(ChunkReuse, KeepsScopesApartAndForgetsAtRemovals) {
  std::unique_ptr<Runtime> runtime = ChunkRuntime();
  auto model = *DecoderModel::Load(TinyModel("llama-gqa"), *runtime);
  const std::vector<int32_t> a = Chunk(1, 100), b = Chunk(2, 90);
  const KvScope scope = {"notes", 3}, other = {"mail", 3}, newer = {"notes", 4};
  int reused = 0;
  Logits(*model, Prompt({a, b}, 0), &scope, &reused);
  Logits(*model, Prompt({b, a}, 1), &other, &reused);
  EXPECT_EQ(reused, 0);
  constexpr int kBoth = 100 + 90 - 2 * static_cast<int>(kRecomputedTokens) - 15;  // the last block was not whole
  Logits(*model, Prompt({b, a}, 1), &scope, &reused);
  EXPECT_GE(reused, kBoth);
  Logits(*model, Prompt({b, a}, 1), &newer, &reused);
  EXPECT_EQ(reused, 0);
  Logits(*model, Prompt({a, b}, 1), &newer, &reused);
  EXPECT_GE(reused, kBoth);
  Logits(*model, Prompt({b, a}, 1), nullptr, &reused);
  EXPECT_EQ(reused, 0);
}

// What was computed behind reused tokens is never the beginning of another text: neither of its scope, nor of one whose
// name was made up to look like where it is kept.
TEST(ChunkReuse, WhatIsNotExactIsNoBeginning) {
  std::unique_ptr<Runtime> runtime = ChunkRuntime();
  auto model = *DecoderModel::Load(TinyModel("llama-gqa"), *runtime);
  const std::vector<int32_t> a = Chunk(1, 100), b = Chunk(2, 90), c = Chunk(3, 40);
  const KvScope scope = {"notes", 0};
  int reused = 0;
  Logits(*model, Prompt({a, b}, 0), &scope, &reused);
  const std::vector<int32_t> prompt = Prompt({c, b, a}, 1);
  ASSERT_OK_AND_ASSIGN(Opening opening, model->Open(prompt, 40, {nullptr, &scope}, CallContext()));
  ASSERT_GE(opening.reused_tokens, 150);
  std::vector<int32_t> all = prompt;
  ASSERT_THAT(opening.session->Extend(opening.left(), LogitsOf::kNone, CallContext(), nullptr), IsOk());
  for (int32_t id = 30; id < 70; ++id) all.push_back(id);
  ASSERT_THAT(opening.session->Extend(absl::MakeConstSpan(all).last(40), LogitsOf::kNone, CallContext(), nullptr),
              IsOk());
  PrefixCache& cache = *static_cast<CachedSession&>(*opening.session).core().prefixes;
  // Exact are c, and of b what is computed again.
  const int64_t exact = 3 + 1 + 40 + 1 + kRecomputedTokens;
  EXPECT_EQ(cache.Find(scope, all, 1 << 20).blocks().size(), static_cast<size_t>(exact / 16));
  EXPECT_EQ(cache.Find({"notes", 0, false}, all, 1 << 20).blocks().size(), all.size() / 16);
  for (const char* name : {"notes\ninexact", "notes\n", "inexact"}) {
    const KvScope other = {name, 0};
    Logits(*model, prompt, &other, &reused);
    EXPECT_EQ(reused, 0) << name;
  }
}

// Blocks that wait to be moved take no room that the text was promised: where the memory is full of them the rest is
// computed, and a text that is all but one run needs little more than itself.
TEST(ChunkReuse, FindsRoomWhereTheMemoryIsSmall) {
  std::unique_ptr<Runtime> plain_runtime = NewRuntime();
  auto plain = *DecoderModel::Load(TinyModel("llama-gqa"), *plain_runtime);
  auto session = *plain->NewSession(10);
  const int64_t block_bytes = static_cast<CachedSession&>(*session).core().pool->block_bytes();
  const std::vector<int32_t> a = Chunk(1, 100), b = Chunk(2, 90), c = Chunk(3, 60), d = Chunk(4, 60);
  const KvScope scope = {"notes", 0};
  int reused = 0;
  auto second_of = [&](int64_t blocks, const std::vector<int32_t>& first, const std::vector<int32_t>& second) {
    std::unique_ptr<Runtime> runtime = ChunkRuntime(ComputeType::kFloat32, blocks * block_bytes);
    auto model = *DecoderModel::Load(TinyModel("llama-gqa"), *runtime);
    Logits(*model, first, &scope, &reused);
    return Logits(*model, second, &scope, &reused).size();
  };
  const size_t vocab = static_cast<size_t>(plain->info().vocab_size);
  // 21 blocks, and up to 13 that wait.
  for (int64_t blocks = 21; blocks < 36; ++blocks) {
    EXPECT_EQ(second_of(blocks, Prompt({a, b}, 0), Prompt({c, b, d, a}, 1)), vocab) << blocks;
  }
  EXPECT_GE(reused, 156);  // the end of b is in no whole block
  const std::vector<int32_t> large = Chunk(5, 400);
  EXPECT_EQ(second_of(27 + 9, Prompt({large}, 0), Prompt({d, large}, 1)), vocab);  // the second has 30 blocks
  EXPECT_GE(reused, 400 - static_cast<int>(kRecomputedTokens) - 15);
}

TEST(ChunkReuse, GeneratedTextsAndTheirForksGoOn) {
  std::unique_ptr<Runtime> runtime = ChunkRuntime();
  auto model = *DecoderModel::Load(TinyModel("llama-gqa"), *runtime);
  GenerateOptions options;
  options.max_new_tokens = 30;
  options.ignore_eos = true;
  options.scope = KvScope{"notes", 0};
  const std::vector<int32_t> a = Chunk(1, 100), b = Chunk(2, 90);
  ASSERT_OK_AND_ASSIGN(GenerateResult first, Generate(*model, Prompt({a, b}, 0), options, CallContext()));
  ASSERT_OK_AND_ASSIGN(GenerateResult second, Generate(*model, Prompt({b, a}, 1), options, CallContext()));
  EXPECT_EQ(first.reused_tokens, 0);
  EXPECT_GE(second.reused_tokens, 158);
  EXPECT_LT(second.reused_tokens, second.prompt_tokens - 8);
  EXPECT_EQ(second.tokens.size(), 30u);
  ASSERT_OK_AND_ASSIGN(ContinuationScores scores, ScoreContinuations(*model, Prompt({b, a}, 2), {{5, 6}, {7}},
                                                                     {nullptr, &*options.scope}, CallContext()));
  EXPECT_GE(scores.reused_tokens, 158);
  EXPECT_LT(scores.scores[0].logprob, 0);
}

TEST(ChunkReuse, IsRefusedWhereItCannotBe) {
  std::unique_ptr<Runtime> runtime = ChunkRuntime();
  EXPECT_THAT(DecoderModel::Load(TinyModel("gpt2"), *runtime),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("no rotary positions; leave out --reuse-chunks")));
  EXPECT_THAT(DecoderModel::Load(TinyModel("bloom"), *runtime),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("bloom")));
  EXPECT_THAT(DecoderModel::Load(TinyModel("phi3-longrope"), *runtime),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("length")));
  EXPECT_THAT(LanguageModel::Load(TinyModel("t5-tied-relu"), *runtime),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("encoder")));
  EXPECT_THAT(DecoderModel::Load(TinyModel("gemma3-pattern"), *runtime), IsOk());
  RuntimeOptions options;
  options.reuse_chunks = true;
  options.deterministic = true;
  EXPECT_THAT(Runtime::Create(options), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("deterministic")));
  options.deterministic = false;
  options.reuse_bytes = 0;
  EXPECT_THAT(Runtime::Create(options), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("reuse_bytes is 0")));
}

}  // namespace
}  // namespace lastro::engine
