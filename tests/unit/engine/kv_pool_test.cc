// KvPool and BlockTable against an obvious model: what each table holds is a list of numbers, written into the blocks'
// memory; random growth, writing, forks, cuts and deaths.
#include "engine/kv_pool.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <optional>
#include <thread>

#include "absl/time/clock.h"
#include "engine/cpu_backend.h"
#include "tests/test_util.h"

namespace lastro::engine {
namespace {

using ::testing::_;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

class KvPoolTest : public ::testing::Test {
 protected:
  KvPoolTest() {
    architecture_.layers = 2;
    architecture_.kv_heads = 1;
    architecture_.head_dim = 3;
  }
  int64_t BlockBytes() const { return backend_.KvBytes({2, 1, 3, backend_.kv_block_tokens(), 1}); }
  std::unique_ptr<KvPool> NewPool(int64_t blocks) {
    return *KvPool::Create(backend_, architecture_, blocks * BlockBytes() + BlockBytes() - 1);
  }
  // Stores `value` as the keys and values of the tokens [begin, end).
  void Write(const BlockTable& table, int64_t begin, int64_t end, float value) {
    std::vector<float> rows(static_cast<size_t>((end - begin) * 3), value);
    const MatrixView kv = {rows.data(), end - begin, 3, 3};
    const SequenceSpan sequence = {0, end - begin, begin, table.blocks(), end};
    for (int64_t layer = 0; layer < 2; ++layer) {
      backend_.StoreKv(absl::MakeConstSpan(&sequence, 1), kv, kv, layer, table.pool().store());
    }
  }
  // What is stored as a token's value.
  float Read(const BlockTable& table, int64_t token) {
    const kernels::KvView view = static_cast<const CpuKvStore&>(table.pool().store()).Layer(1);
    const int32_t block = table.blocks()[static_cast<size_t>(token / 16)];
    return reinterpret_cast<const float*>(view.Values(block, 0))[token % 16 * 3];
  }

  CpuBackend backend_{{1, false}, kernels::SimdKernels()};
  Architecture architecture_;
  std::mt19937_64 random_ = testing::SeededRandom(4711);
};

TEST_F(KvPoolTest, BlocksTakeWhatTheirPrecisionSays) {
  const KvShape shape = {2, 3, 80, 16, 5};
  const int64_t vectors = 2 * 2 * 3 * 16 * 5;  // of keys and values
  const std::pair<kernels::KvType, int64_t> types[] = {
      {kernels::KvType::kF32, 4 * 80}, {kernels::KvType::kF16, 2 * 80}, {kernels::KvType::kInt8, 80 + 3 * 4}};
  for (const auto& [type, bytes] : types) {
    CpuBackendOptions options;
    options.threads = 1;
    options.kv_type = type;
    const CpuBackend backend(options, kernels::SimdKernels());
    EXPECT_EQ(backend.KvBytes(shape), vectors * bytes);
    KvShape scratch = shape;
    scratch.scratch = true;
    EXPECT_EQ(backend.KvBytes(scratch), vectors * 4 * 80);
    for (int64_t KvShape::*field : {&KvShape::layers, &KvShape::kv_heads, &KvShape::head_dim, &KvShape::blocks}) {
      KvShape huge = shape;
      huge.*field = INT64_MAX;
      EXPECT_EQ(backend.KvBytes(huge), INT64_MAX);
    }
  }
}

TEST_F(KvPoolTest, TheBudgetIsHard) {
  EXPECT_THAT(KvPool::Create(backend_, architecture_, BlockBytes() - 1),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("--kv-memory")));
  EXPECT_THAT(KvPool::Create(backend_, architecture_, int64_t{1} << 52),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("lower --kv-memory")));
  std::unique_ptr<KvPool> pool = NewPool(3);
  EXPECT_EQ(pool->shape().blocks, 3);
  EXPECT_THAT(pool->CheckFits(48), IsOk());
  EXPECT_THAT(pool->CheckFits(49), StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("48 tokens")));
  BlockTable first(*pool), second(*pool);
  ASSERT_THAT(first.Reserve(0, 17), IsOk());
  ASSERT_THAT(second.Reserve(0, 16), IsOk());
  EXPECT_THAT(second.Reserve(16, 17), StatusIs(absl::StatusCode::kResourceExhausted,
                                               AllOf(HasSubstr("room for 0"), HasSubstr("16 are needed"))));
  EXPECT_EQ(second.blocks().size(), 1u);
  first.Truncate(16);
  EXPECT_THAT(second.Reserve(16, 17), IsOk());
  EXPECT_EQ(pool->blocks_in_use(), 3);
}

TEST_F(KvPoolTest, AForkSharesUntilOneWrites) {
  std::unique_ptr<KvPool> pool = NewPool(8);
  BlockTable parent(*pool);
  ASSERT_THAT(parent.Reserve(0, 40), IsOk());
  Write(parent, 0, 40, 1);
  BlockTable child = parent.Fork(36);
  EXPECT_EQ(pool->blocks_in_use(), 3);
  EXPECT_EQ(child.blocks(), parent.blocks());
  ASSERT_THAT(child.Reserve(36, 37), IsOk());
  EXPECT_EQ(pool->blocks_in_use(), 4);  // the last of the three was copied
  Write(child, 36, 37, 2);
  EXPECT_EQ(Read(parent, 36), 1);
  EXPECT_EQ(Read(child, 35), 1);
  EXPECT_EQ(Read(child, 36), 2);
  ASSERT_THAT(parent.Reserve(40, 41), IsOk());  // alone again: nothing is copied
  EXPECT_EQ(pool->blocks_in_use(), 4);
  parent.Truncate(0);
  EXPECT_EQ(pool->blocks_in_use(), 3);
  EXPECT_EQ(Read(child, 0), 1);
}

// A fork whose copy finds no room stays what it was.
TEST_F(KvPoolTest, NoRoomForACopy) {
  std::unique_ptr<KvPool> pool = NewPool(2);
  BlockTable parent(*pool);
  ASSERT_THAT(parent.Reserve(0, 20), IsOk());
  Write(parent, 0, 20, 1);
  BlockTable child = parent.Fork(20);
  EXPECT_THAT(child.Reserve(20, 21), StatusIs(absl::StatusCode::kResourceExhausted, ::testing::_));
  EXPECT_EQ(child.blocks(), parent.blocks());
  parent.Truncate(0);
  EXPECT_THAT(child.Reserve(20, 21), IsOk());
  EXPECT_EQ(Read(child, 19), 1);
}

struct Sequence {
  BlockTable table;
  std::vector<float> tokens;
};

void ExpectAccountsAddUp(const KvPool& pool, const std::vector<Sequence>& sequences) {
  std::map<int32_t, int> holders;
  for (const Sequence& s : sequences) {
    ASSERT_EQ(s.table.blocks().size(), (s.tokens.size() + 15) / 16);
    for (int32_t block : s.table.blocks()) ++holders[block];
  }
  ASSERT_EQ(pool.blocks_in_use(), static_cast<int64_t>(holders.size()));
}

TEST_F(KvPoolTest, RandomOperationsEqualAnObviousModel) {
  std::unique_ptr<KvPool> pool = NewPool(24);
  std::vector<Sequence> sequences;
  float next = 0;
  int refused = 0, copies = 0;
  auto below = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random_); };
  for (int step = 0; step < 20000; ++step) {
    const size_t action = sequences.empty() ? 0 : below(10);
    const size_t i = sequences.empty() ? 0 : below(sequences.size());
    if (action == 0) {
      if (sequences.size() < 8) sequences.push_back({BlockTable(*pool), {}});
    } else if (action <= 5) {
      Sequence& s = sequences[i];
      const int64_t begin = static_cast<int64_t>(s.tokens.size()), end = begin + 1 + static_cast<int64_t>(below(40));
      const std::vector<int32_t> before(s.table.blocks().begin(), s.table.blocks().end());
      if (!s.table.Reserve(begin, end).ok()) {
        ++refused;
        ASSERT_EQ(s.table.blocks(), before);
      } else {
        copies += !std::equal(before.begin(), before.end(), s.table.blocks().begin());
        Write(s.table, begin, end, ++next);
        s.tokens.resize(static_cast<size_t>(end), next);
      }
    } else if (action <= 7) {
      Sequence& s = sequences[i];
      s.tokens.resize(below(s.tokens.size() + 1));
      s.table.Truncate(static_cast<int64_t>(s.tokens.size()));
    } else if (action == 8 && sequences.size() < 8) {
      std::vector<float> tokens = sequences[i].tokens;
      tokens.resize(below(tokens.size() + 1));
      BlockTable fork = sequences[i].table.Fork(static_cast<int64_t>(tokens.size()));
      sequences.push_back({std::move(fork), std::move(tokens)});
    } else {
      std::swap(sequences[i], sequences.back());
      sequences.pop_back();
    }
    ASSERT_NO_FATAL_FAILURE(ExpectAccountsAddUp(*pool, sequences));
    if (sequences.empty()) continue;
    const Sequence& s = sequences[below(sequences.size())];
    for (size_t t = 0; t < s.tokens.size(); ++t) ASSERT_EQ(Read(s.table, static_cast<int64_t>(t)), s.tokens[t]);
  }
  EXPECT_GT(refused, 100);  // the test saw what it is about
  EXPECT_GT(copies, 100);
  sequences.clear();
  EXPECT_EQ(pool->blocks_in_use(), 0);
}

TEST_F(KvPoolTest, TablesOfManyThreads) {
  std::unique_ptr<KvPool> pool = NewPool(64);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 300; ++i) {
        BlockTable table(*pool);
        if (!table.Reserve(0, 100).ok()) continue;
        Write(table, 0, 100, static_cast<float>(t));
        BlockTable fork = table.Fork(100);
        for (int64_t token : {0, 50, 99}) EXPECT_EQ(Read(fork, token), static_cast<float>(t));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(pool->blocks_in_use(), 0);
}

TEST_F(KvPoolTest, PromisesWaitForThoseBeforeThem) {
  std::unique_ptr<KvPool> pool = NewPool(10);
  std::optional<KvPromise> first = *pool->Promise(4, CallContext());
  { const KvPromise more_than_all_but_first = *pool->Promise(6, CallContext()); }
  // The second does not fit, so the third waits behind it although it would.
  std::atomic<int> looked = 0, granted = 0;
  auto ask = [&](int64_t blocks, int want, const CallContext& context) {
    return std::thread([&, blocks, want, context] {
      auto promise = pool->Promise(blocks, context);
      if (want < 0) {
        EXPECT_THAT(promise, StatusIs(absl::StatusCode::kCancelled, _));
        return;
      }
      EXPECT_THAT(promise, IsOk());
      EXPECT_EQ(granted++, want);
      absl::SleepFor(absl::Milliseconds(1));
    });
  };
  const CallContext seen = CallContext::Until(absl::InfiniteFuture(), [&looked] { return ++looked, false; });
  const CallContext cancelled;
  std::thread gives_up = ask(1 << 20, -1, cancelled);
  cancelled.Cancel();
  gives_up.join();
  std::thread second = ask(1 << 20, 0, seen);  // all of it
  while (looked < 3) std::this_thread::yield();
  std::thread third = ask(1, 1, CallContext());
  absl::SleepFor(absl::Milliseconds(50));
  EXPECT_EQ(granted, 0);
  first.reset();
  second.join();
  third.join();
  EXPECT_EQ(granted, 2);
  const KvPromise all = *pool->Promise(10, CallContext());
}

}  // namespace
}  // namespace lastro::engine
