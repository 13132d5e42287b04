// Sessions: capacity, truncation, errors that leave the cache as it was, cancellation, many at once.
#include "engine/decoder_model.h"

#include <atomic>
#include <thread>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "engine/backend.h"
#include "tests/unit/engine/model_test_util.h"

namespace lastro::engine {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

class DecoderModelTest : public ::testing::Test {
 protected:
  std::unique_ptr<Runtime> runtime_ = NewRuntime();
  std::unique_ptr<DecoderModel> model_ = *DecoderModel::Load(TinyModel("llama-gqa"), *runtime_);

  static std::vector<int32_t> Ids(int count, int seed = 1) {
    std::vector<int32_t> ids;
    for (int i = 0; i < count; ++i) ids.push_back(3 + (i * 31 + seed * 17) % 170);
    return ids;
  }
  std::vector<float> Last(DecoderSession& session, absl::Span<const int32_t> ids) {
    std::vector<float> logits;
    EXPECT_THAT(session.Extend(ids, LogitsOf::kLast, CallContext(), &logits), IsOk());
    return logits;
  }
};

// With a context of several steps' tokens.
class LongContextTest : public DecoderModelTest {
 protected:
  LongContextTest() {
    files_.Edit("config.json", "\"max_position_embeddings\": 512", "\"max_position_embeddings\": 2048");
    model_ = *DecoderModel::Load(files_.path(), *runtime_);
  }
  EditedModel files_{"llama-gqa"};
};

TEST_F(DecoderModelTest, SessionCapacityIsChecked) {
  for (int bad : {0, -1, 513}) {
    EXPECT_THAT(model_->NewSession(bad), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("512")));
  }
  auto session = *model_->NewSession(10);
  EXPECT_EQ(Last(*session, Ids(8)).size(), 176u);
  std::vector<float> logits;
  EXPECT_THAT(
      session->Extend(Ids(3), LogitsOf::kLast, CallContext(), &logits),
      StatusIs(absl::StatusCode::kResourceExhausted, AllOf(HasSubstr("8 tokens"), HasSubstr("capacity of 10"))));
  EXPECT_EQ(session->length(), 8);
  EXPECT_EQ(Last(*session, Ids(2)).size(), 176u);
}

TEST_F(LongContextTest, LogitsOfNoneLastAndAll) {
  auto session = *model_->NewSession(600);
  const auto ids = Ids(560);  // two pieces
  std::vector<float> all, last;
  ASSERT_THAT(session->Extend(ids, LogitsOf::kAll, CallContext(), &all), IsOk());
  ASSERT_EQ(all.size(), 560u * 176);
  session->Truncate(0);
  last = Last(*session, ids);
  // Near, not equal: one row and many go through different products.
  for (size_t i = 0; i < 176; ++i) ASSERT_NEAR(last[i], all[all.size() - 176 + i], 1e-5);
  session->Truncate(0);
  EXPECT_THAT(session->Extend(ids, LogitsOf::kNone, CallContext(), nullptr), IsOk());
  EXPECT_EQ(session->length(), 560);
  EXPECT_THAT(session->Extend({}, LogitsOf::kLast, CallContext(), &last), IsOk());
  EXPECT_TRUE(last.empty());
}

TEST_F(DecoderModelTest, TruncateForgets) {
  auto session = *model_->NewSession(100);
  const auto prompt = Ids(40);
  const std::vector<float> first = Last(*session, prompt);
  Last(*session, Ids(30, 5));
  session->Truncate(39);
  EXPECT_EQ(session->length(), 39);
  const std::vector<float> again = Last(*session, {prompt.back()});
  for (size_t i = 0; i < first.size(); ++i) ASSERT_NEAR(first[i], again[i], 1e-4);
}

TEST_F(DecoderModelTest, IdsOutsideTheVocabularyAreRefused) {
  auto session = *model_->NewSession(10);
  std::vector<float> logits;
  for (int32_t bad : {-1, 176, INT32_MAX}) {
    EXPECT_THAT(session->Extend({3, bad}, LogitsOf::kLast, CallContext(), &logits),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("token id")));
  }
  EXPECT_EQ(session->length(), 0);
}

TEST_F(LongContextTest, AnErrorLeavesTheCacheAsItWas) {
  auto session = *model_->NewSession(900), other = *model_->NewSession(900);
  const auto prompt = Ids(20), next = Ids(1, 9);
  Last(*session, prompt);
  Last(*other, prompt);
  // Cancelled when the context has been asked a few times: in the midst of the second piece's layers.
  std::atomic<int> asked = 0;
  const CallContext context = CallContext::Until(absl::InfiniteFuture(), [&] { return ++asked > 5; });
  std::vector<float> logits;
  EXPECT_THAT(session->Extend(Ids(870, 3), LogitsOf::kLast, context, &logits),
              StatusIs(absl::StatusCode::kCancelled, ::testing::_));
  EXPECT_EQ(session->length(), 20);
  EXPECT_EQ(Last(*session, next), Last(*other, next));
}

TEST_F(DecoderModelTest, SessionsOfManyThreadsDoNotMix) {
  auto run = [&](int seed) {
    auto session = *model_->NewSession(60);
    std::vector<float> logits = Last(*session, Ids(20 + seed, seed));
    for (int i = 0; i < 10; ++i) logits = Last(*session, Ids(1, seed + i));
    return logits;
  };
  std::vector<std::vector<float>> want;
  for (int seed = 0; seed < 12; ++seed) want.push_back(run(seed));
  std::vector<std::thread> threads;
  for (int seed = 0; seed < 12; ++seed) {
    threads.emplace_back([&, seed] {
      const std::vector<float> got = run(seed), &alone = want[static_cast<size_t>(seed)];
      // Near, not equal: steps that sessions share have more rows, and products of more rows sum in another order.
      for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], alone[i], 1e-4) << "seed " << seed;
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// A short request that comes while a long prompt runs is served in the prompt's next step, beside a piece of it.
TEST_F(LongContextTest, StepsOfSessionsInterleave) {
  absl::Mutex mutex;
  std::string checks;  // whose context was asked by a step
  absl::Notification long_started, short_waits;
  auto record = [&](char who, std::thread::id caller) {
    if (std::this_thread::get_id() == caller) {  // the caller, outside of a step
      if (who == 'S' && !short_waits.HasBeenNotified()) short_waits.Notify();
      return false;
    }
    absl::MutexLock lock(&mutex);
    checks += who;
    if (checks == "L") {  // the first piece goes on only when the short request waits
      long_started.Notify();
      short_waits.WaitForNotification();
    }
    return false;
  };
  auto extend = [&](char who, int tokens) {
    const std::thread::id caller = std::this_thread::get_id();
    const CallContext context = CallContext::Until(absl::InfiniteFuture(), [&, caller] { return record(who, caller); });
    auto session = *model_->NewSession(1000);
    std::vector<float> logits;
    EXPECT_THAT(session->Extend(Ids(tokens), LogitsOf::kLast, context, &logits), IsOk());
  };
  std::thread long_one([&] { extend('L', 1000); });
  long_started.WaitForNotification();
  std::thread short_one([&] { extend('S', 1); });
  long_one.join();
  short_one.join();
  // A step asks each of its contexts once, and again before each of the two layers. How large the piece beside the short
  // request is depends on how long steps take.
  EXPECT_THAT(checks, ::testing::MatchesRegex("LLL(SL){3}(LLL)+"));
}

}  // namespace
}  // namespace lastro::engine
