// Tokens that the device chooses, against the sampler of the host: from logits of every kind by rules of every kind,
// and through whole texts.
#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/decoder_model.h"
#include "engine/generator.h"
#include "tests/gpu/backend_test_util.h"
#include "tests/unit/engine/model_test_util.h"

namespace lastro::engine {
namespace {

using testing::IsOk;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

class CudaSampling : public ::testing::Test {
 protected:
  float Uniform() { return std::uniform_real_distribution<float>(0, 1)(random_); }
  int Below(int bound) { return static_cast<int>(random_() % static_cast<uint64_t>(bound)); }

  // Spread as a model's are, all of a few values, or with numbers that are none.
  std::vector<float> Logits(int vocab) {
    const int kind = Below(4);
    std::normal_distribution<float> normal(0, 3.0f);
    std::vector<float> logits(static_cast<size_t>(vocab));
    for (float& logit : logits) {
      logit = kind == 1   ? static_cast<float>(Below(3) - 1)
              : kind == 2 ? 0.0f * static_cast<float>(Below(3) - 1)
                          : normal(random_);
      if (kind == 3 && Below(4) == 0) logit = Below(2) == 0 ? std::nanf("") : Below(2) == 0 ? kInfinity : -kInfinity;
    }
    return logits;
  }

  SamplingParams Params(int vocab) {
    SamplingParams params;
    params.seed = random_();
    if (Below(4) > 0) params.temperature = Below(8) == 0 ? 1e-20f : 2.0f * Uniform();
    if (Below(3) == 0) params.top_k = 1 + Below(std::max(2, vocab + vocab / 2));
    if (Below(3) == 0) params.top_p = std::max(1e-6f, Below(4) == 0 ? 1e-6f : Uniform());
    if (Below(3) == 0) params.min_p = Below(5) == 0 ? 1.0f : 0.3f * Uniform();
    if (Below(3) == 0) params.repetition_penalty = 0.5f + Uniform();
    if (Below(3) == 0) params.presence_penalty = 2.0f * Uniform() - 1.0f;
    if (Below(3) == 0) params.frequency_penalty = Uniform();
    for (int i = Below(3); i > 0; --i) params.logit_bias.emplace_back(Below(vocab), 10.0f * Uniform() - 5.0f);
    return params;
  }

  std::vector<int32_t> Tokens(int vocab, int count) {
    std::vector<int32_t> ids(static_cast<size_t>(count));
    for (int32_t& id : ids) id = Below(vocab);
    return ids;
  }

  Side cuda_{NewCuda(DataType::kBF16)};
  std::mt19937_64 random_ = testing::SeededRandom(20261129);
};

TEST_F(CudaSampling, ChoosesWhatTheHostChooses) {
  for (int vocab : {1, 2, 31, 255, 1000, 1024, 1025, 5003, 40000}) {
    for (int round = 0; round < 12; ++round) {
      SCOPED_TRACE(::testing::Message() << vocab << " ids, round " << round);
      const int64_t rows = 1 + Below(5);
      std::vector<float> logits;
      std::vector<TokenChoice> choices;
      std::vector<int32_t> sampled;  // some rows, in any order
      for (int32_t row = 0; row < rows; ++row) {
        const std::vector<float> some = Logits(vocab);
        logits.insert(logits.end(), some.begin(), some.end());
        ASSERT_OK_AND_ASSIGN(TokenChoice choice,
                             Sampler(Params(vocab)).Plan(Tokens(vocab, Below(40)), Tokens(vocab, Below(40)), vocab));
        choices.push_back(choice);
        if (Below(4) > 0) sampled.push_back(row);
      }
      std::shuffle(sampled.begin(), sampled.end(), random_);
      std::vector<const TokenChoice*> pointers;
      for (int32_t row : sampled) pointers.push_back(&choices[static_cast<size_t>(row)]);
      const MatrixView on_device = cuda_.Put(logits, rows, vocab, DataType::kF32, 3);
      std::vector<kernels::SampledToken> got(sampled.size());
      cuda_->BeginStep({});
      cuda_->Sample(on_device, sampled, pointers, absl::MakeSpan(got));
      const std::vector<float> left = cuda_.Get(on_device);  // synchronises; nothing outside the rows was touched
      for (size_t i = 0; i < sampled.size(); ++i) {
        const size_t first = static_cast<size_t>(sampled[i]) * static_cast<size_t>(vocab);
        std::vector<float> row(logits.begin() + static_cast<ptrdiff_t>(first),
                               logits.begin() + static_cast<ptrdiff_t>(first) + vocab);
        const std::vector<float> before = row;
        std::vector<std::pair<float, int32_t>> scratch;
        const auto want = ChooseToken(*pointers[i], absl::MakeSpan(row), &scratch);
        if (!want.ok()) {
          EXPECT_EQ(got[i].id, -1) << want.status();
          continue;
        }
        ASSERT_EQ(got[i].id, *want);
        EXPECT_EQ(got[i].logit, before[static_cast<size_t>(*want)]);
        double sum = 0;
        for (float logit : before) sum += std::isfinite(logit) ? std::exp(static_cast<double>(logit)) : 0;
        EXPECT_NEAR(got[i].log_sum, std::log(sum), 1e-4);
        for (size_t id = 0; id < row.size(); ++id) {
          if (std::isfinite(row[id])) ASSERT_EQ(left[first + id], row[id]) << id;
        }
      }
    }
  }
}

TEST_F(CudaSampling, ARowWithoutAFiniteLogitHasNoToken) {
  const TokenChoice greedy;
  TokenChoice hot;
  hot.rule.temperature = 1;
  const std::vector<float> logits = {std::nanf(""), -kInfinity, kInfinity, 1, 2, 3};
  const MatrixView on_device = cuda_.Put(logits, 2, 3, DataType::kF32, 0);
  for (const TokenChoice* choice : std::initializer_list<const TokenChoice*>{&greedy, &hot}) {
    std::vector<kernels::SampledToken> got(2);
    const TokenChoice* choices[] = {choice, &greedy};
    cuda_->BeginStep({});
    cuda_->Sample(on_device, {0, 1}, choices, absl::MakeSpan(got));
    ASSERT_THAT(cuda_->Synchronize(), IsOk());
    EXPECT_EQ(got[0].id, -1);
    EXPECT_EQ(got[1].id, 2);
  }
}

#ifdef LASTRO_CUDA_EMULATOR
// Whatever call fails: the step says so, and the next chooses as if nothing had been.
TEST_F(CudaSampling, AFailureInTheMiddleLeavesLaterStepsSound) {
  TokenChoice hot;
  hot.edits = {{0, 1, 0, 0}};
  hot.rule.temperature = 1;
  const TokenChoice* const choices[] = {&hot};
  int failed = 0;
  for (int64_t calls = 0; calls < 20; ++calls) {
    const MatrixView on_device = cuda_.Put({1, 90, 3}, 1, 3, DataType::kF32, 0);
    const auto step = [&]() -> absl::StatusOr<int32_t> {
      std::vector<kernels::SampledToken> got(1);
      cuda_->BeginStep({});
      cuda_->Sample(on_device, {0}, choices, absl::MakeSpan(got));
      if (absl::Status status = cuda_->Synchronize(); !status.ok()) return status;
      return got[0].id;
    };
    CudaEmulatorFailAfter(calls);
    const absl::StatusOr<int32_t> first = step();
    CudaEmulatorFailAfter(-1);
    failed += !first.ok();
    if (first.ok()) EXPECT_EQ(*first, 1);
    const absl::StatusOr<int32_t> next = step();
    ASSERT_THAT(next, IsOk()) << "after " << first.status();
    EXPECT_EQ(*next, 1);
  }
  EXPECT_GT(failed, 3);
}
#endif

// The same draws wherever tokens are chosen: asking for alternatives makes the host choose. Drafts, recorded steps and
// growing penalties included.
TEST(CudaSampledTexts, AreTheHostsTexts) {
  for (ComputeType type : {ComputeType::kFloat32, ComputeType::kBFloat16}) {
    auto runtime = NewRuntime(type);
    ASSERT_OK_AND_ASSIGN(auto model, DecoderModel::Load(TinyModel("llama-scaled-tied"), *runtime));
    const std::vector<int32_t> prompt = model->tokenizer().Encode("The keel is the keel is the");
    for (int kind = 0; kind < 4; ++kind) {
      // With drafts, and in fp32 also without.
      for (uint64_t seed = 1; seed <= (type == ComputeType::kFloat32 ? 2 : 1); ++seed) {
        SCOPED_TRACE(::testing::Message() << "kind " << kind << ", seed " << seed);
        GenerateOptions options;
        options.max_new_tokens = 24;
        options.ignore_eos = true;
        options.top_logprobs = 0;
        options.sampling.seed = seed;
        options.draft_tokens = seed == 2 ? 0 : options.draft_tokens;
        if (kind > 0) options.sampling.temperature = kind == 3 ? 0.3f : 0.9f;
        if (kind == 2) {
          options.sampling.top_k = 20;
          options.sampling.top_p = 0.9f;
          options.sampling.repetition_penalty = 1.2f;
          options.sampling.frequency_penalty = 0.1f;
          options.sampling.logit_bias = {{5, 2.0f}};
        }
        ASSERT_OK_AND_ASSIGN(const GenerateResult device, Generate(*model, prompt, options, CallContext()));
        options.top_logprobs = 1;
        ASSERT_OK_AND_ASSIGN(const GenerateResult host, Generate(*model, prompt, options, CallContext()));
        EXPECT_EQ(device.text, host.text);
        ASSERT_EQ(device.tokens.size(), host.tokens.size());
        for (size_t i = 0; i < host.tokens.size(); ++i) {
          ASSERT_EQ(device.tokens[i].id, host.tokens[i].id) << i;
          EXPECT_NEAR(device.tokens[i].logprob, host.tokens[i].logprob, 1e-4);
        }
      }
    }
  }
}

}  // namespace
}  // namespace lastro::engine
