// PrefixCache: random texts of several scopes against a set of known prefixes, with each block's content checked; and
// sessions of a model that begin with what others left, whose logits are those of a model without a cache to the bit.
#include "engine/prefix_cache.h"

#include <algorithm>
#include <map>
#include <set>
#include <thread>

#include "engine/cpu_backend.h"
#include "engine/decoder_model.h"
#include "engine/generator.h"
#include "tests/unit/engine/model_test_util.h"

namespace lastro::engine {
namespace {

using testing::IsOk;

constexpr int64_t kBlock = 16;

class PrefixCacheTest : public ::testing::Test {
 protected:
  PrefixCacheTest() {
    architecture_.layers = 1;
    architecture_.kv_heads = 1;
    architecture_.head_dim = 1;
  }
  std::unique_ptr<KvPool> NewPool(int64_t blocks) {
    const int64_t bytes = backend_.KvBytes({1, 1, 1, kBlock, 1});
    return *KvPool::Create(backend_, architecture_, blocks * bytes);
  }
  // Tokens of `count` whole blocks and some more; few values, so that many texts begin alike.
  std::vector<int32_t> RandomText(size_t count) {
    std::vector<int32_t> tokens;
    for (size_t i = 0; i < count; ++i) tokens.insert(tokens.end(), kBlock, static_cast<int32_t>(random_() % 2));
    tokens.insert(tokens.end(), random_() % kBlock, 7);
    return tokens;
  }
  // A value for a position that only this scope, version and beginning of a text have.
  static float ValueOf(const KvScope& scope, absl::Span<const int32_t> tokens, int64_t end) {
    uint32_t hash = static_cast<uint32_t>(scope.name[0] * 131 + scope.version);
    for (int64_t i = 0; i < end; ++i) hash = hash * 31 + static_cast<uint32_t>(tokens[static_cast<size_t>(i)]) + 1;
    return static_cast<float>(hash % (1 << 23));
  }
  void Write(const BlockTable& table, const KvScope& scope, absl::Span<const int32_t> tokens) {
    for (int64_t i = 0; i < static_cast<int64_t>(tokens.size()); ++i) {
      float value = ValueOf(scope, tokens, i + 1);
      const MatrixView kv = {&value, 1, 1, 1};
      const SequenceSpan sequence = {0, 1, i, table.blocks(), i + 1};
      backend_.StoreKv(absl::MakeConstSpan(&sequence, 1), kv, kv, 0, table.pool().store());
    }
  }
  static float Read(const BlockTable& table, int64_t token) {
    const kernels::KvView view = static_cast<const CpuKvStore&>(table.pool().store()).Layer(0);
    const int32_t block = table.blocks()[static_cast<size_t>(token / kBlock)];
    return reinterpret_cast<const float*>(view.Values(block, 0))[token % kBlock];
  }

  CpuBackend backend_{{1, false}, kernels::SimdKernels()};
  Architecture architecture_;
  std::mt19937_64 random_ = testing::SeededRandom(1234);
};

// With room for all, what was added is found, whole blocks of it, in its scope and version only.
TEST_F(PrefixCacheTest, FindsTheLongestKnownPrefixOfItsScope) {
  std::unique_ptr<KvPool> pool = NewPool(20'000);
  PrefixCache cache(*pool, int64_t{1} << 40);
  std::map<std::string, std::set<std::vector<int32_t>>> known;  // by scope
  std::map<std::string, int64_t> versions = {{"a", 0}, {"b", 0}};
  for (int round = 0; round < 3000; ++round) {
    const std::string name = random_() % 2 == 0 ? "a" : "b";
    int64_t& version = versions[name];
    if (random_() % 300 == 0) version += random_() % 2 == 0 ? 1 : -1, known[name].clear();
    const KvScope scope = {name, version};
    const std::vector<int32_t> tokens = RandomText(random_() % 9);
    const int64_t limit = static_cast<int64_t>(random_() % 160);
    BlockTable table = cache.Find(scope, tokens, limit);
    size_t want = 0;
    while ((want + 1) * kBlock <= tokens.size() && static_cast<int64_t>((want + 1) * kBlock) <= limit &&
           known[name].count({tokens.begin(), tokens.begin() + static_cast<ptrdiff_t>((want + 1) * kBlock)}) > 0) {
      ++want;
    }
    ASSERT_EQ(table.blocks().size(), want);
    for (size_t i = 0; i < want * kBlock; ++i) {
      ASSERT_EQ(Read(table, static_cast<int64_t>(i)), ValueOf(scope, tokens, static_cast<int64_t>(i) + 1));
    }
    BlockTable fresh(*pool);
    ASSERT_THAT(fresh.Reserve(0, static_cast<int64_t>(tokens.size())), IsOk());
    Write(fresh, scope, tokens);
    cache.Add({name, version + 1}, tokens, fresh);  // of a text that began in another version: nothing
    cache.Add(scope, tokens, fresh);
    for (size_t i = 1; i * kBlock <= tokens.size(); ++i) {
      known[name].insert({tokens.begin(), tokens.begin() + static_cast<ptrdiff_t>(i * kBlock)});
    }
  }
  EXPECT_EQ(static_cast<size_t>(cache.blocks()), known["a"].size() + known["b"].size());
  EXPECT_EQ(pool->blocks_in_use(), cache.blocks());
}

TEST_F(PrefixCacheTest, TheByteCapIsHardAndTheOldestGoFirst) {
  std::unique_ptr<KvPool> pool = NewPool(1000);
  PrefixCache cache(*pool, 3 * pool->block_bytes() + 1);
  const KvScope scope = {"a", 1};
  auto add = [&](const std::vector<int32_t>& tokens) {
    BlockTable table(*pool);
    EXPECT_THAT(table.Reserve(0, static_cast<int64_t>(tokens.size())), IsOk());
    cache.Add(scope, tokens, table);
  };
  auto held = [&](const std::vector<int32_t>& tokens) { return cache.Find(scope, tokens, 1 << 20).blocks().size(); };
  const std::vector<int32_t> one(kBlock, 1), two(kBlock, 2), three(kBlock, 3), four(kBlock, 4);
  add(one), add(two), add(three);
  EXPECT_EQ(held(one), 1u);  // now the last used
  add(four);
  EXPECT_EQ(cache.blocks(), 3);
  EXPECT_EQ(held(two), 0u);
  EXPECT_EQ(held(one), 1u);
  EXPECT_EQ(held(four), 1u);
  // Of a long text its beginning stays: nothing is of use without what is before it.
  add(std::vector<int32_t>(10 * kBlock, 9));
  EXPECT_EQ(held(std::vector<int32_t>(10 * kBlock, 9)), 3u);
  EXPECT_EQ(cache.blocks(), 3);
  EXPECT_EQ(pool->blocks_in_use(), 3);
}

TEST_F(PrefixCacheTest, GivesBackWhatOthersNeed) {
  std::unique_ptr<KvPool> pool = NewPool(10);
  PrefixCache cache(*pool, int64_t{1} << 40);
  {
    BlockTable table(*pool);
    ASSERT_THAT(table.Reserve(0, 8 * kBlock), IsOk());
    cache.Add({"a", 0}, std::vector<int32_t>(8 * kBlock, 5), table);
  }
  EXPECT_EQ(pool->blocks_in_use(), 8);
  BlockTable used = cache.Find({"a", 0}, std::vector<int32_t>(2 * kBlock, 5), 1 << 20);
  ASSERT_EQ(used.blocks().size(), 2u);
  BlockTable other(*pool);
  EXPECT_THAT(other.Reserve(0, 5 * kBlock), IsOk());
  EXPECT_EQ(pool->blocks_in_use(), 10);  // three were given back, no more
  // What a running text holds cannot be given back.
  BlockTable more(*pool);
  EXPECT_THAT(more.Reserve(0, 4 * kBlock), testing::StatusIs(absl::StatusCode::kResourceExhausted, ::testing::_));
  EXPECT_EQ(used.blocks().size(), 2u);
}

// Runs are found wherever they lie, with the blocks that hold them, in their scope and version and while they are kept.
TEST_F(PrefixCacheTest, FindsRunsAtOtherPositions) {
  std::unique_ptr<KvPool> pool = NewPool(1000);
  PrefixCache cache(*pool, 12 * pool->block_bytes(), /*by_content=*/true);
  const KvScope scope = {"a", 0};
  auto numbers = [](int32_t from, int32_t count) {
    std::vector<int32_t> tokens;
    for (int32_t i = 0; i < count; ++i) tokens.push_back(from + i);
    return tokens;
  };
  auto join = [](std::vector<std::vector<int32_t>> parts) {
    std::vector<int32_t> all;
    for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
    return all;
  };
  auto add = [&](const std::vector<int32_t>& tokens) {
    BlockTable table(*pool);
    EXPECT_THAT(table.Reserve(0, static_cast<int64_t>(tokens.size())), IsOk());
    Write(table, scope, tokens);
    cache.Add(scope, tokens, table);
  };
  const std::vector<int32_t> text = numbers(1000, 8 * kBlock);
  add(text);
  // From 21 to 93 of it, behind 5 others; then from 3 to 60.
  const std::vector<int32_t> query = join({numbers(1, 5), numbers(1021, 72), numbers(50, 9), numbers(1003, 57)});
  auto expect_run = [&](const KnownRun& run, int64_t begin, int64_t tokens, int64_t position) {
    EXPECT_EQ(run.begin, begin);
    EXPECT_EQ(run.tokens, tokens);
    EXPECT_EQ(run.position, position);
    for (int64_t i = 0; i < run.tokens; ++i) {
      const int64_t at = run.position + i;
      ASSERT_EQ(Read(run.table, run.position % kBlock + i), ValueOf(scope, text, at + 1));
      ASSERT_EQ(query[static_cast<size_t>(run.begin + i)], text[static_cast<size_t>(at)]);
    }
  };
  {
    const std::vector<KnownRun> runs = cache.FindRuns(scope, query, 0, 1 << 20, 40);
    ASSERT_EQ(runs.size(), 2u);
    expect_run(runs[0], 5, 72, 21);
    expect_run(runs[1], 86, 57, 3);
  }
  {
    const std::vector<KnownRun> runs = cache.FindRuns(scope, query, 10, 70, 40);  // within what is asked for
    ASSERT_EQ(runs.size(), 1u);
    expect_run(runs[0], 10, 60, 26);
  }
  EXPECT_TRUE(cache.FindRuns(scope, query, 0, 1 << 20, 73).empty());
  EXPECT_TRUE(cache.FindRuns({"b", 0}, query, 0, 1 << 20, 40).empty());
  // Of two texts that go on differently the one that goes on alike.
  add(join({numbers(1000, 5 * kBlock), numbers(5000, kBlock)}));
  {
    const auto runs = cache.FindRuns(scope, join({{7}, numbers(1016, 64), numbers(5000, 10)}), 0, 1 << 20, 40);
    ASSERT_EQ(runs.size(), 1u);
    EXPECT_EQ(runs[0].tokens, 74);
  }
  // What the cache gives up, it does not find.
  add(numbers(9000, 12 * kBlock));
  EXPECT_TRUE(cache.FindRuns(scope, query, 0, 1 << 20, 40).empty());
  EXPECT_EQ(pool->blocks_in_use(), 12);
  EXPECT_EQ(cache.FindRuns(scope, numbers(9001, 80), 0, 1 << 20, 40).size(), 1u);
  EXPECT_TRUE(cache.FindRuns({"a", 1}, numbers(9001, 80), 0, 1 << 20, 40).empty());
  EXPECT_EQ(pool->blocks_in_use(), 0);
}

TEST_F(PrefixCacheTest, ManyThreads) {
  std::unique_ptr<KvPool> pool = NewPool(60);
  {
    PrefixCache cache(*pool, 20 * pool->block_bytes(), /*by_content=*/true);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 300; ++i) {
          const std::vector<int32_t> tokens(static_cast<size_t>(kBlock * (1 + (i + t) % 5)), i % 7);
          const KvScope scope = {i % 3 == 0 ? "a" : "b", i / 100};
          BlockTable table = cache.Find(scope, tokens, static_cast<int64_t>(tokens.size()) - 1);
          const int64_t held = static_cast<int64_t>(table.blocks().size()) * kBlock;
          if (i % 5 == 0) cache.FindRuns(scope, tokens, held, static_cast<int64_t>(tokens.size()), kBlock);
          if (table.Reserve(held, static_cast<int64_t>(tokens.size())).ok()) cache.Add(scope, tokens, table);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_LE(cache.blocks(), 20);
    EXPECT_EQ(pool->blocks_in_use(), cache.blocks());
  }
  EXPECT_EQ(pool->blocks_in_use(), 0);
}

std::vector<int32_t> Prompt(int tokens, int ending) {
  std::vector<int32_t> ids;
  for (int i = 0; i < tokens; ++i) ids.push_back(3 + (i * 7 + i / 5) % 150);
  for (int i = 0; i < ending; ++i) ids.push_back(4 + i);
  return ids;
}

std::vector<float> FirstLogits(const LanguageModel& model, absl::Span<const int32_t> prompt, const KvScope* scope,
                               int* reused) {
  auto opening = model.Open(prompt, 1, {nullptr, scope}, CallContext());
  EXPECT_THAT(opening, IsOk());
  *reused = opening->reused_tokens;
  std::vector<float> logits;
  EXPECT_THAT(opening->session->Extend(opening->left(), LogitsOf::kLast, CallContext(), &logits), IsOk());
  return logits;
}

struct Precision {
  const char* name;
  ComputeType compute;
  std::optional<kernels::KvType> kv;
};
class PrefixReuseLogits : public ::testing::TestWithParam<Precision> {};

TEST_P(PrefixReuseLogits, AreThoseOfNoReuseToTheBit) {
  std::unique_ptr<Runtime> runtime = NewRuntime(GetParam().compute, 2, GetParam().kv);
  auto model = *DecoderModel::Load(TinyModel("llama-scaled-tied"), *runtime);
  const KvScope scope = {"notes", 3}, other = {"mail", 3}, newer = {"notes", 4};
  int reused = 0;
  for (int ending : {1, 3, 9, 20}) {
    const std::vector<int32_t> prompt = Prompt(300, ending);
    const std::vector<float> plain = FirstLogits(*model, prompt, nullptr, &reused);
    EXPECT_EQ(reused, 0);
    EXPECT_EQ(FirstLogits(*model, prompt, &scope, &reused), plain);
    EXPECT_EQ(reused >= 288, ending > 1);
    EXPECT_EQ(reused == 0, ending == 1);
    EXPECT_EQ(FirstLogits(*model, prompt, &scope, &reused), plain);
    EXPECT_GE(reused, 288);
    EXPECT_LE(reused, static_cast<int>(prompt.size()) - 9);
  }
  const std::vector<int32_t> prompt = Prompt(300, 1);
  FirstLogits(*model, prompt, &other, &reused);
  EXPECT_EQ(reused, 0);  // nothing of another scope
  FirstLogits(*model, prompt, &newer, &reused);
  EXPECT_EQ(reused, 0);  // nor of before a removal
  FirstLogits(*model, prompt, &newer, &reused);
  EXPECT_EQ(reused, 288);
  FirstLogits(*model, prompt, &scope, &reused);
  EXPECT_EQ(reused, 0);  // nor of any other version
}

INSTANTIATE_TEST_SUITE_P(, PrefixReuseLogits,
                         ::testing::Values(Precision{"fp32", ComputeType::kFloat32, std::nullopt},
                                           Precision{"bf16", ComputeType::kBFloat16, std::nullopt},
                                           Precision{"int8", ComputeType::kBFloat16, kernels::KvType::kInt8}),
                         [](const auto& info) { return info.param.name; });

TEST(PrefixReuse, GeneratedTextIsTheSameAndIsReusedToo) {
  std::unique_ptr<Runtime> runtime = NewRuntime();
  auto model = *DecoderModel::Load(TinyModel("llama-scaled-tied"), *runtime);
  GenerateOptions options;
  options.max_new_tokens = 40;
  options.ignore_eos = true;
  const std::vector<int32_t> prompt = Prompt(100, 2);
  ASSERT_OK_AND_ASSIGN(GenerateResult plain, Generate(*model, prompt, options, CallContext()));
  options.scope = KvScope{"chat", 0};
  ASSERT_OK_AND_ASSIGN(GenerateResult first, Generate(*model, prompt, options, CallContext()));
  ASSERT_OK_AND_ASSIGN(GenerateResult second, Generate(*model, prompt, options, CallContext()));
  EXPECT_EQ(first.reused_tokens, 0);
  EXPECT_EQ(second.reused_tokens, 80);  // whole blocks, but not the last nine tokens of 102
  std::vector<int32_t> grown = prompt;
  for (size_t i = 0; i < plain.tokens.size(); ++i) {
    EXPECT_EQ(first.tokens[i].id, plain.tokens[i].id);
    EXPECT_EQ(second.tokens[i].id, plain.tokens[i].id);
    grown.push_back(plain.tokens[i].id);
  }
  grown.insert(grown.end(), 20, 11);  // the next turn of a conversation
  ASSERT_OK_AND_ASSIGN(GenerateResult next, Generate(*model, grown, options, CallContext()));
  EXPECT_EQ(next.reused_tokens, 128);  // of 102 + 40: into the generated text

  ASSERT_OK_AND_ASSIGN(ContinuationScores with,
                       ScoreContinuations(*model, prompt, {{5, 6}}, {nullptr, &*options.scope}, CallContext()));
  ASSERT_OK_AND_ASSIGN(ContinuationScores without, ScoreContinuations(*model, prompt, {{5, 6}}, {}, CallContext()));
  EXPECT_EQ(with.reused_tokens, 80);
  EXPECT_EQ(with.scores[0].logprob, without.scores[0].logprob);
}

// What was drafted and taken back is left to nobody; what stayed is.
TEST(PrefixReuse, DraftsAreKeptOnlyWhereTheyStayed) {
  std::unique_ptr<Runtime> runtime = NewRuntime();
  auto model = *DecoderModel::Load(TinyModel("llama-scaled-tied"), *runtime);
  const KvScope scope = {"notes", 0};
  auto held_of = [&](std::vector<int32_t> text) {
    text.insert(text.end(), 20, 11);
    return (*model->Open(text, 1, {nullptr, &scope}, CallContext())).session->length();
  };
  const std::vector<int32_t> prompt = Prompt(45, 0), right = {21, 22, 23, 24}, wrong = {21, 32, 33, 34};
  auto with = [&](const std::vector<int32_t>& more) {
    std::vector<int32_t> text = prompt;
    text.insert(text.end(), more.begin(), more.end());
    return text;
  };
  Opening opening = *model->Open(prompt, 60, {nullptr, &scope}, CallContext());
  DecoderSession& session = *opening.session;
  std::vector<float> logits, drafted, plain;
  ASSERT_THAT(session.Extend(opening.left(), LogitsOf::kLast, CallContext(), &logits), IsOk());
  EXPECT_EQ(held_of(prompt), 32);
  auto draft = [&](const std::vector<int32_t>& tokens) {
    StepRequest request = {&session, tokens, LogitsOf::kAll, &drafted, absl::OkStatus(), tokens.size() - 1};
    Step(absl::MakeSpan(&request, 1), CallContext());
    EXPECT_THAT(request.status, IsOk());
  };
  draft(wrong);  // 45 and 4: over the end of a block
  EXPECT_EQ(held_of(with(wrong)), 32);
  session.Truncate(46);
  EXPECT_EQ(held_of(with(wrong)), 32);
  EXPECT_EQ(held_of(with(right)), 32);
  draft({22, 23, 24});
  EXPECT_EQ(held_of(with(right)), 32);  // not known yet
  session.Truncate(49);
  EXPECT_EQ(held_of(with(right)), 48);
  EXPECT_EQ(held_of(with(wrong)), 32);
  // And what is computed behind is what it would be without drafts.
  ASSERT_THAT(session.Extend({{25}}, LogitsOf::kLast, CallContext(), &logits), IsOk());
  auto other = *model->NewSession(60);
  ASSERT_THAT(other->Extend(prompt, LogitsOf::kLast, CallContext(), &plain), IsOk());
  for (int32_t id : {21, 22, 23, 24, 25}) {
    ASSERT_THAT(other->Extend({{id}}, LogitsOf::kLast, CallContext(), &plain), IsOk());
  }
  EXPECT_EQ(logits, plain);
  // Extending says, too, that what came before stays.
  ASSERT_THAT(session.Extend(std::vector<int32_t>(11, 30), LogitsOf::kNone, CallContext(), nullptr), IsOk());
  draft({26, 27, 28, 29});  // from 61 to 65
  std::vector<int32_t> all = {21, 22, 23, 24, 25};
  all.insert(all.end(), 11, 30);
  all.insert(all.end(), {26, 27, 28, 29});
  EXPECT_EQ(held_of(with(all)), 48);
  draft({31});
  EXPECT_EQ(held_of(with(all)), 64);
}

TEST(PrefixReuse, CanBeTurnedOff) {
  RuntimeOptions off;
  off.reuse_bytes = 0;
  auto runtime = *Runtime::Create(off);
  auto model = *DecoderModel::Load(TinyModel("llama-scaled-tied"), *runtime);
  const KvScope scope = {"notes", 0};
  int reused = 0;
  for (int i = 0; i < 2; ++i) FirstLogits(*model, Prompt(100, 1), &scope, &reused);
  EXPECT_EQ(reused, 0);
}

}  // namespace
}  // namespace lastro::engine
