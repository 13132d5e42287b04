// Steps that several sessions share: results as alone, errors of one that leave the others alone, callers of many
// threads, KV memory that runs out.
#include "engine/step_scheduler.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "engine/backend.h"
#include "engine/beam_search.h"
#include "engine/decoder_model.h"
#include "engine/generator.h"
#include "tests/unit/engine/model_test_util.h"
#include "tests/unit/engine/queue_blocker.h"

namespace lastro::engine {
namespace {

using ::testing::_;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

constexpr size_t kVocab = 176;

class StepSchedulerTest : public ::testing::Test {
 protected:
  // A model whose KV memory holds `blocks` blocks of 16 tokens; 0: the default.
  void Load(int64_t blocks = 0) {
    RuntimeOptions options;
    options.compute_type = ComputeType::kFloat32;
    options.threads = 2;
    options.kv_bytes = blocks * kBlockBytes;
    runtime_ = *Runtime::Create(options);
    model_ = *DecoderModel::Load(TinyModel("llama-gqa"), *runtime_);
  }
  static std::vector<int32_t> Ids(int count, int seed) {
    std::vector<int32_t> ids;
    for (int i = 0; i < count; ++i) ids.push_back(3 + (i * 31 + seed * 17) % 170);
    return ids;
  }
  std::vector<float> Extend(DecoderSession& session, absl::Span<const int32_t> ids) {
    std::vector<float> logits;
    EXPECT_THAT(session.Extend(ids, LogitsOf::kLast, CallContext(), &logits), IsOk());
    return logits;
  }
  // Near, not equal: products of few and of many rows sum in another order.
  static void ExpectNear(const std::vector<float>& got, const std::vector<float>& want) {
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], 1e-4) << i;
  }

  static constexpr int64_t kBlockBytes = 2 * 2 * 3 * 14 * 16 * 4;  // layers, K and V, KV heads, width, tokens, fp32
  std::unique_ptr<Runtime> runtime_;
  std::unique_ptr<DecoderModel> model_;
};

TEST_F(StepSchedulerTest, ACommonStepEqualsStepsAlone) {
  Load();
  const std::vector<int> lengths = {1, 300, 9, 16, 130, 2, 33};
  std::vector<std::unique_ptr<DecoderSession>> sessions;
  std::vector<std::vector<int32_t>> prompts;
  for (size_t i = 0; i < lengths.size(); ++i) {
    sessions.push_back(*model_->NewSession(512));
    prompts.push_back(Ids(lengths[i], static_cast<int>(i)));
  }
  // The prompts, then three tokens each, then different kinds of requests at once.
  std::vector<std::vector<float>> logits(lengths.size());
  std::vector<StepRequest> requests;
  for (size_t i = 0; i < lengths.size(); ++i) {
    requests.push_back({sessions[i].get(), prompts[i], LogitsOf::kLast, &logits[i], absl::OkStatus()});
  }
  for (int round = 0; round < 4; ++round) {
    std::vector<std::vector<int32_t>> next(lengths.size());
    for (size_t i = 0; i < lengths.size() && round > 0; ++i) {
      next[i] = Ids(1, round * 10 + static_cast<int>(i));
      prompts[i].push_back(next[i][0]);
      requests[i].tokens = next[i];
    }
    Step(absl::MakeSpan(requests), CallContext());
    for (size_t i = 0; i < lengths.size(); ++i) {
      SCOPED_TRACE(::testing::Message() << "round " << round << " session " << i);
      ASSERT_THAT(requests[i].status, IsOk());
      ASSERT_EQ(sessions[i]->length(), static_cast<int>(prompts[i].size()));
      ExpectNear(logits[i], Extend(**model_->NewSession(512), prompts[i]));
    }
  }
}

TEST_F(StepSchedulerTest, EachRequestGetsTheLogitsItAskedFor) {
  Load();
  auto none = *model_->NewSession(40), last = *model_->NewSession(40), all = *model_->NewSession(300);
  auto empty = *model_->NewSession(40);
  std::vector<float> no_logits = {1}, of_last, of_all, of_empty;
  const auto ids = Ids(20, 1), many = Ids(280, 2);
  StepRequest requests[] = {{none.get(), ids, LogitsOf::kNone, &no_logits, absl::OkStatus()},
                            {all.get(), many, LogitsOf::kAll, &of_all, absl::OkStatus()},
                            {last.get(), ids, LogitsOf::kLast, &of_last, absl::OkStatus()},
                            {empty.get(), {}, LogitsOf::kLast, &of_empty, absl::OkStatus()}};
  Step(absl::MakeSpan(requests), CallContext());
  for (const StepRequest& request : requests) EXPECT_THAT(request.status, IsOk());
  EXPECT_EQ(no_logits.size() + of_empty.size(), 0u);
  ExpectNear(of_last, Extend(**model_->NewSession(40), ids));
  ASSERT_EQ(of_all.size(), many.size() * kVocab);
  for (size_t row : {0u, 100u, 255u, 256u, 279u}) {
    SCOPED_TRACE(row);
    const std::vector<float> got(of_all.begin() + static_cast<ptrdiff_t>(row * kVocab),
                                 of_all.begin() + static_cast<ptrdiff_t>((row + 1) * kVocab));
    ExpectNear(got, Extend(**model_->NewSession(300), absl::MakeConstSpan(many).subspan(0, row + 1)));
  }
  EXPECT_EQ(none->length(), 20);
  EXPECT_EQ(empty->length(), 0);
}

TEST_F(StepSchedulerTest, AnErrorOfOneLeavesTheOthersAlone) {
  Load();
  auto small = *model_->NewSession(4), good = *model_->NewSession(40), strange = *model_->NewSession(40);
  std::vector<float> a, b, c;
  const auto ids = Ids(20, 1);
  const std::vector<int32_t> bad = {3, 176};
  StepRequest requests[] = {{small.get(), ids, LogitsOf::kLast, &a, absl::OkStatus()},
                            {good.get(), ids, LogitsOf::kLast, &b, absl::OkStatus()},
                            {strange.get(), bad, LogitsOf::kLast, &c, absl::OkStatus()}};
  Step(absl::MakeSpan(requests), CallContext());
  EXPECT_THAT(requests[0].status, StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("capacity of 4")));
  EXPECT_THAT(requests[2].status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("token id 176")));
  ASSERT_THAT(requests[1].status, IsOk());
  ExpectNear(b, Extend(**model_->NewSession(40), ids));
  EXPECT_EQ(small->length() + strange->length(), 0);
}

TEST_F(StepSchedulerTest, KvMemoryThatRunsOutEndsOneRequest) {
  Load(4);
  EXPECT_THAT(model_->NewSession(65), StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("64 tokens")));
  auto first = *model_->NewSession(64), second = *model_->NewSession(64);
  const auto ids = Ids(40, 1), more = Ids(24, 2);
  Extend(*first, ids);          // three blocks
  Extend(*second, Ids(16, 3));  // and the fourth
  std::vector<float> a, b;
  const auto three = Ids(3, 2), one = Ids(1, 5);
  StepRequest requests[] = {{first.get(), three, LogitsOf::kLast, &a, absl::OkStatus()},
                            {second.get(), one, LogitsOf::kLast, &b, absl::OkStatus()}};
  Step(absl::MakeSpan(requests), CallContext());
  EXPECT_THAT(requests[0].status, IsOk());
  EXPECT_THAT(requests[1].status, StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("--kv-memory")));
  EXPECT_EQ(second->length(), 16);
  first.reset();
  EXPECT_EQ(Extend(*second, one).size(), kVocab);
  EXPECT_EQ(Extend(*second, more).size(), kVocab);
}

TEST_F(StepSchedulerTest, ForksGoOnFromTheSameTokens) {
  Load();
  auto session = *model_->NewSession(100);
  const auto prompt = Ids(37, 1);
  Extend(*session, prompt);
  auto fork = session->Fork(), other = session->Fork();
  EXPECT_EQ(fork->length(), 37);
  for (const auto& [one, seed] : {std::pair(session.get(), 2), std::pair(fork.get(), 3), std::pair(other.get(), 4)}) {
    std::vector<int32_t> whole = prompt;
    const auto more = Ids(20, seed);
    whole.insert(whole.end(), more.begin(), more.end());
    ExpectNear(Extend(*one, more), Extend(**model_->NewSession(100), whole));
  }
  // The first is cut within what all share and goes on with other tokens: the second does not see them.
  fork->Truncate(37);
  session->Truncate(5);
  Extend(*session, Ids(60, 9));
  std::vector<int32_t> whole = prompt;
  whole.push_back(Ids(1, 7)[0]);
  ExpectNear(Extend(*fork, Ids(1, 7)), Extend(**model_->NewSession(100), whole));
}

// More decoding sessions than one step takes, beside prompts: each keeps its turn.
TEST_F(StepSchedulerTest, MoreSessionsThanAStepHolds) {
  Load();
  constexpr size_t kDecoding = 300, kPrompts = 3;
  std::vector<std::unique_ptr<DecoderSession>> sessions;
  std::vector<std::vector<int32_t>> tokens;
  std::vector<std::vector<float>> logits(kDecoding + kPrompts);
  std::vector<StepRequest> requests;
  for (size_t i = 0; i < logits.size(); ++i) {
    sessions.push_back(*model_->NewSession(300));
    tokens.push_back(Ids(i < kDecoding ? 1 : 200 + static_cast<int>(i % 7), static_cast<int>(i % 11)));
  }
  for (size_t i = 0; i < logits.size(); ++i) {
    requests.push_back({sessions[i].get(), tokens[i], LogitsOf::kLast, &logits[i], absl::OkStatus()});
  }
  Step(absl::MakeSpan(requests), CallContext());
  for (size_t i = 0; i < logits.size(); ++i) {
    SCOPED_TRACE(i);
    ASSERT_THAT(requests[i].status, IsOk());
    if (i % 29 == 0 || i >= kDecoding) ExpectNear(logits[i], Extend(**model_->NewSession(300), tokens[i]));
  }
}

// Callers of many threads, some of whom give up: who stays gets what it gets alone, and all memory comes back.
TEST_F(StepSchedulerTest, ManyCallersAtOnce) {
  Load(64);
  auto prompt_of = [](int t) { return Ids(t % 3 == 0 ? 150 : 10 + t, t); };
  std::vector<std::vector<float>> want;
  for (int t = 0; t < 8; ++t) {
    std::vector<int32_t> whole = prompt_of(t);
    for (int i = 0; i < 12; ++i) whole.push_back(Ids(1, t + i)[0]);
    want.push_back(Extend(**model_->NewSession(200), whole));
  }
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < 3; ++round) {
        auto session = *model_->NewSession(200);
        std::atomic<int> asked = 0;
        const bool gives_up = (t + round) % 4 == 3;
        const CallContext context =
            CallContext::Until(absl::InfiniteFuture(), [&] { return gives_up && ++asked > 20; });
        std::vector<float> logits;
        absl::Status status = session->Extend(prompt_of(t), LogitsOf::kLast, context, &logits);
        for (int i = 0; i < 12 && status.ok(); ++i) {
          status = session->Extend(Ids(1, t + i), LogitsOf::kLast, context, &logits);
        }
        if (gives_up) {
          EXPECT_THAT(status, StatusIs(absl::StatusCode::kCancelled, _));
        } else {
          EXPECT_THAT(status, IsOk());
          ExpectNear(logits, want[static_cast<size_t>(t)]);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  // All of the memory is free again.
  EXPECT_EQ(Extend(**model_->NewSession(512), Ids(512, 1)).size(), kVocab);
  auto whole = *model_->NewSession(512), rest = *model_->NewSession(512);
  EXPECT_EQ(Extend(*whole, Ids(512, 1)).size(), kVocab);
  EXPECT_EQ(Extend(*rest, Ids(512, 2)).size(), kVocab);
}

// Steps that run one at a time, when the test says so.
class StepSchedulerTurnsTest : public StepSchedulerTest {
 protected:
  StepSchedulerTurnsTest() {
    Load();
    blocker_ = std::make_unique<QueueBlocker>(queue());
    blocker_->AwaitStart();
  }

  struct Text {
    std::unique_ptr<DecoderSession> session;
    std::thread caller;
    std::atomic<int> looked = 0;
    std::atomic<bool> done = false;
    absl::Status status;
    std::vector<float> logits;
  };

  // `ids` must outlive the call. Returns when it waits.
  void Start(Text* text, const std::vector<int32_t>& ids, Priority priority, const std::string& tenant = "") {
    text->session = *model_->NewSession(512);
    Scope scope;
    scope.tenant = tenant;
    text->caller = std::thread([text, &ids, priority, scope] {
      const auto look = [text] { return ++text->looked, false; };
      const CallContext context = CallContext::Until(absl::Now() + absl::Minutes(2), look);
      text->status = text->session->Extend(ids, LogitsOf::kLast, context.WithPriority(priority).WithScope(scope),
                                           &text->logits);
      text->done = true;
    });
    while (text->looked < 2) std::this_thread::yield();
  }

  // Lets the step run that waits, and none after it.
  void RunOneStep() {
    blocker_->AwaitStart();
    while (queue().waiting() < 1) std::this_thread::yield();
    auto next = std::make_unique<QueueBlocker>(queue());
    while (queue().waiting() < 2) std::this_thread::yield();
    blocker_->Release();
    blocker_ = std::move(next);
  }
  void RunOtherSteps() { blocker_->Release(); }

  // As if it had run by itself.
  void ExpectAlone(const Text& text, const std::vector<int32_t>& ids) {
    EXPECT_THAT(text.status, IsOk());
    ExpectNear(text.logits, Extend(**model_->NewSession(512), ids));
  }

  // Four prompts of one tenant and one of another, which ends with the second step, as do at most `loud_ended` of the
  // four, and the first of them with the first.
  void ExpectQuietAfterTwoSteps(int loud_tokens, int quiet_tokens, size_t loud_ended) {
    const std::vector<int32_t> loud_ids = Ids(loud_tokens, 1), quiet_ids = Ids(quiet_tokens, 2);
    Text loud[4], quiet;
    for (Text& text : loud) Start(&text, loud_ids, Priority::kInteractive, "loud");
    Start(&quiet, quiet_ids, Priority::kInteractive, "quiet");
    RunOneStep();
    loud[0].caller.join();
    EXPECT_FALSE(quiet.done);
    RunOneStep();
    quiet.caller.join();
    for (size_t i = loud_ended; i < std::size(loud); ++i) EXPECT_FALSE(loud[i].done);
    RunOtherSteps();
    for (size_t i = 1; i < std::size(loud); ++i) loud[i].caller.join();
    for (const Text& text : loud) ExpectAlone(text, loud_ids);
    ExpectAlone(quiet, quiet_ids);
  }

 private:
  ComputeQueue& queue() { return runtime_->backend().queue(); }

  std::unique_ptr<QueueBlocker> blocker_;  // holds the queue up
};

// Calls that come while a step waits share it: prompts that somebody waits for before one of the background, which has
// a share nevertheless.
TEST_F(StepSchedulerTurnsTest, InteractivePromptsGoFirst) {
  const std::vector<int32_t> first_ids = Ids(300, 1), background_ids = Ids(400, 2), second_ids = Ids(140, 3);
  Text first, background, second;
  Start(&first, first_ids, Priority::kInteractive);
  Start(&background, background_ids, Priority::kBackground);
  Start(&second, second_ids, Priority::kInteractive);
  RunOneStep();  // the background has what is left
  first.caller.join();
  second.caller.join();
  EXPECT_FALSE(background.done);
  RunOtherSteps();
  background.caller.join();
  for (auto& [text, ids] : {std::pair(&first, first_ids), {&second, second_ids}, {&background, background_ids}}) {
    ExpectAlone(*text, ids);
  }
}

// A tenant with many prompts does not make another wait for all of them, also where each is shorter than the other's.
TEST_F(StepSchedulerTurnsTest, TenantsGetTheSameTokens) {
  ExpectQuietAfterTwoSteps(500, 500, 1);  // 500 of loud's first, 12 of quiet's; 488 of quiet's, 24 of loud's second
}
TEST_F(StepSchedulerTurnsTest, ShortPromptsOfOneTenantDoNotHoldUpAnother) {
  ExpectQuietAfterTwoSteps(260, 300, 2);  // 260 and 252; 48, loud's second and 204 of its third
}

// Of one tenant a short prompt goes before longer ones that came with it, and those one after the other: each piece of
// a step that is left goes to the one that ends first.
TEST_F(StepSchedulerTurnsTest, WhoeverIsDueFirstEndsFirst) {
  const std::vector<int32_t> ids = Ids(500, 1), brief_ids = Ids(100, 2);
  Text first, second, third, brief;
  for (Text* text : {&first, &second, &third}) Start(text, ids, Priority::kInteractive);
  Start(&brief, brief_ids, Priority::kInteractive);
  RunOneStep();  // the short one, 412 of the first
  brief.caller.join();
  EXPECT_FALSE(first.done);
  RunOneStep();  // 88 of the first, 424 of the second
  first.caller.join();
  EXPECT_FALSE(second.done);
  RunOneStep();  // 76 of the second, 436 of the third
  second.caller.join();
  EXPECT_FALSE(third.done);
  RunOtherSteps();
  third.caller.join();
  for (const Text* text : {&first, &second, &third}) ExpectAlone(*text, ids);
  ExpectAlone(brief, brief_ids);
}

// Shorter ones that keep coming do not make a long prompt wait for more than its own length.
TEST_F(StepSchedulerTurnsTest, ShortPromptsThatComeLaterWait) {
  const std::vector<int32_t> long_ids = Ids(500, 1), with_it_ids = Ids(400, 2), later_ids = Ids(300, 3);
  Text lengthy, with_it, later;
  Start(&lengthy, long_ids, Priority::kInteractive);
  Start(&with_it, with_it_ids, Priority::kInteractive);
  RunOneStep();  // the shorter one, 112 of the long one
  with_it.caller.join();
  EXPECT_FALSE(lengthy.done);
  Start(&later, later_ids, Priority::kInteractive);
  RunOneStep();  // 388 of the long one, which are more than later's 300
  lengthy.caller.join();
  EXPECT_FALSE(later.done);
  RunOtherSteps();
  later.caller.join();
  ExpectAlone(lengthy, long_ids);
  ExpectAlone(with_it, with_it_ids);
  ExpectAlone(later, later_ids);
}

// Texts that together exceed the KV memory wait for each other; none ends midway.
TEST_F(StepSchedulerTest, TextsWaitForRoom) {
  Load(11);
  const std::vector<int32_t> prompt = Ids(40, 1);
  GenerateOptions options;
  options.max_new_tokens = 30;
  options.ignore_eos = true;
  BeamOptions beams;
  beams.width = 3;
  beams.max_new_tokens = 20;
  const std::vector<std::vector<int32_t>> continuations(5, Ids(7, 2));
  ASSERT_OK_AND_ASSIGN(const GenerateResult alone, Generate(*model_, prompt, options, CallContext()));
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < 3; ++round) {
        if (t % 4 == 2) {
          EXPECT_THAT(BeamSearch(*model_, prompt, beams, CallContext()), IsOk());
        } else if (t % 4 == 3) {
          EXPECT_THAT(ScoreContinuations(*model_, prompt, continuations, {}, CallContext()), IsOk());
        } else {
          auto result = Generate(*model_, prompt, options, CallContext());
          ASSERT_THAT(result, IsOk());
          EXPECT_EQ(result->tokens.size(), alone.tokens.size());
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace lastro::engine
