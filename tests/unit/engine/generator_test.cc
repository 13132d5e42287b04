#include "engine/generator.h"

#include <algorithm>
#include <climits>
#include <cmath>

#include "base/utf8.h"
#include "engine/decoder_model.h"
#include "tests/unit/engine/model_test_util.h"

namespace lastro::engine {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

class GeneratorTest : public ::testing::Test {
 protected:
  std::unique_ptr<Runtime> runtime_ = NewRuntime();
  std::unique_ptr<DecoderModel> model_ = *DecoderModel::Load(TinyModel("llama-scaled-tied"), *runtime_);
  const std::vector<int32_t> prompt_ = model_->tokenizer().Encode("The keel is");

  static GenerateOptions Sampled(int tokens, uint64_t seed = 3) {
    GenerateOptions options;
    options.max_new_tokens = tokens;
    options.sampling.temperature = 1.0f;
    options.sampling.seed = seed;
    options.ignore_eos = true;
    return options;
  }
  GenerateResult Generated(const GenerateOptions& options) {
    auto result = Generate(*model_, prompt_, options, CallContext());
    EXPECT_THAT(result, IsOk());
    return result.ok() ? *std::move(result) : GenerateResult();
  }
  static std::vector<int32_t> IdsOf(const GenerateResult& result) {
    std::vector<int32_t> ids;
    for (const GeneratedToken& token : result.tokens) ids.push_back(token.id);
    return ids;
  }
};

TEST_F(GeneratorTest, GreedyIsTheArgmaxOfTheModel) {
  GenerateOptions options;
  options.max_new_tokens = 12;
  options.ignore_eos = true;
  const GenerateResult result = Generated(options);
  ASSERT_EQ(result.tokens.size(), 12u);
  EXPECT_EQ(result.finish, FinishReason::kMaxTokens);
  EXPECT_EQ(result.prompt_tokens, static_cast<int>(prompt_.size()));
  auto session = *model_->NewSession(100);
  std::vector<int32_t> next = prompt_;
  for (const GeneratedToken& token : result.tokens) {
    std::vector<float> logits;
    ASSERT_THAT(session->Extend(next, LogitsOf::kLast, CallContext(), &logits), IsOk());
    EXPECT_EQ(token.id, std::max_element(logits.begin(), logits.end()) - logits.begin());
    next = {token.id};
  }
}

TEST_F(GeneratorTest, SeedDecides) {
  EXPECT_EQ(IdsOf(Generated(Sampled(40, 1))), IdsOf(Generated(Sampled(40, 1))));
  EXPECT_NE(IdsOf(Generated(Sampled(40, 1))), IdsOf(Generated(Sampled(40, 2))));
}

TEST_F(GeneratorTest, TextIsTheTokensTextAndAlwaysWholeUtf8) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    std::string streamed;
    auto sink = [&](const GeneratedToken& token) {
      streamed += token.text;
      EXPECT_EQ(streamed.size(), CompleteUtf8Prefix(streamed));
      return absl::OkStatus();
    };
    ASSERT_OK_AND_ASSIGN(GenerateResult result, Generate(*model_, prompt_, Sampled(60, seed), CallContext(), sink));
    EXPECT_EQ(streamed, result.text);
    EXPECT_TRUE(IsValidUtf8(result.text));
    EXPECT_EQ(result.text, ReplaceInvalidUtf8(model_->tokenizer().Decode(IdsOf(result))));
  }
}

// Every substring of what a seed generates, as a stop string: the text ends before it, also where it spans tokens.
TEST_F(GeneratorTest, StopStringsEndTheTextWhereverTheyLie) {
  const std::string whole = Generated(Sampled(40)).text;
  ASSERT_GE(whole.size(), 30u);
  for (size_t begin = 0; begin + 5 < whole.size(); begin += 3) {
    const std::string stop = whole.substr(begin, 1 + begin % 5);
    if (!IsValidUtf8(stop)) continue;
    GenerateOptions options = Sampled(40);
    options.stop = {"never to be found", stop};
    const GenerateResult result = Generated(options);
    EXPECT_EQ(result.text, whole.substr(0, whole.find(stop))) << stop;
    EXPECT_EQ(result.finish, FinishReason::kStopString);
    std::string streamed;
    for (const GeneratedToken& token : result.tokens) streamed += token.text;
    EXPECT_EQ(streamed, result.text);
  }
}

TEST_F(GeneratorTest, EndOfTextAndStopIdsEndWithoutShowingThemselves) {
  const std::vector<int32_t> ids = IdsOf(Generated(Sampled(30)));
  GenerateOptions options = Sampled(30);
  options.stop_ids = {ids[10]};
  const GenerateResult result = Generated(options);
  const size_t first = static_cast<size_t>(std::find(ids.begin(), ids.end(), ids[10]) - ids.begin());
  ASSERT_EQ(result.tokens.size(), first + 1);
  EXPECT_EQ(result.finish, FinishReason::kEndOfText);
  EXPECT_EQ(result.text, ReplaceInvalidUtf8(model_->tokenizer().Decode({ids.data(), first})));
  // The model's own end of text, forced by a bias.
  options = Sampled(30);
  options.sampling.logit_bias = {{1, 1000.0f}};
  EXPECT_EQ(Generated(options).tokens.size(), 30u);
  options.ignore_eos = false;
  EXPECT_EQ(Generated(options).tokens.size(), 1u);
  EXPECT_EQ(Generated(options).text, "");
}

TEST_F(GeneratorTest, Logprobs) {
  GenerateOptions options = Sampled(5);
  options.top_logprobs = 3;
  for (const GeneratedToken& token : Generated(options).tokens) {
    ASSERT_EQ(token.top.size(), 3u);
    EXPECT_LE(token.logprob, token.top[0].logprob + 1e-6);
    EXPECT_LE(token.logprob, 0.0f);
  }
  options.top_logprobs = 0;
  for (const GeneratedToken& token : Generated(options).tokens) EXPECT_TRUE(token.top.empty() && token.logprob < 0);
}

TEST_F(GeneratorTest, RefusesBadOptionsAndOverlongPrompts) {
  auto status = [&](auto edit) {
    GenerateOptions options = Sampled(4);
    edit(options);
    return Generate(*model_, prompt_, options, CallContext()).status();
  };
  EXPECT_THAT(status([](auto& o) { o.max_new_tokens = 0; }), StatusIs(kInvalid, HasSubstr("max_new_tokens")));
  EXPECT_THAT(status([](auto& o) { o.stop = {""}; }), StatusIs(kInvalid, HasSubstr("stop")));
  EXPECT_THAT(status([](auto& o) { o.stop.assign(65, "x"); }), StatusIs(kInvalid, HasSubstr("stop")));
  EXPECT_THAT(status([](auto& o) { o.top_logprobs = -2; }), StatusIs(kInvalid, HasSubstr("top_logprobs")));
  EXPECT_THAT(status([](auto& o) { o.sampling.top_p = 2; }), StatusIs(kInvalid, HasSubstr("top_p")));
  EXPECT_THAT(status([](auto& o) { o.max_new_tokens = 510; }),
              StatusIs(kInvalid, AllOf(HasSubstr(std::to_string(prompt_.size()) + " tokens"), HasSubstr("510"),
                                       HasSubstr("512"))));
  EXPECT_THAT(Generate(*model_, {}, Sampled(4), CallContext()), StatusIs(kInvalid, HasSubstr("empty")));
  EXPECT_THAT(status([](auto& o) { o.max_new_tokens = INT_MAX; }), StatusIs(kInvalid, HasSubstr("exceed")));
}

TEST_F(GeneratorTest, SinkErrorsAndCancellationEndIt) {
  int tokens = 0;
  auto sink = [&](const GeneratedToken&) { return ++tokens == 3 ? absl::UnavailableError("gone") : absl::OkStatus(); };
  EXPECT_THAT(Generate(*model_, prompt_, Sampled(50), CallContext(), sink),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("gone")));
  EXPECT_EQ(tokens, 3);
  CallContext context;
  auto cancelling = [&](const GeneratedToken&) {
    if (++tokens == 8) context.Cancel();
    return absl::OkStatus();
  };
  EXPECT_THAT(Generate(*model_, prompt_, Sampled(50), context, cancelling),
              StatusIs(absl::StatusCode::kCancelled, ::testing::_));
  EXPECT_EQ(tokens, 8);
}

TEST_F(GeneratorTest, ScoresEqualTheSumOfLogSoftmax) {
  std::vector<std::vector<int32_t>> continuations = {{5}, {}, {7, 9, 11}, {}};
  for (int i = 0; i < 150; ++i) continuations[3].push_back(3 + i);  // more than one piece
  ASSERT_OK_AND_ASSIGN(auto scored, ScoreContinuations(*model_, prompt_, continuations, {}, CallContext()));
  const std::vector<ContinuationScore>& scores = scored.scores;
  ASSERT_EQ(scores.size(), 4u);
  for (size_t i = 0; i < continuations.size(); ++i) {
    std::vector<int32_t> all = prompt_;
    all.insert(all.end(), continuations[i].begin(), continuations[i].end());
    auto session = *model_->NewSession(static_cast<int>(all.size()));
    std::vector<float> logits;
    ASSERT_THAT(session->Extend(all, LogitsOf::kAll, CallContext(), &logits), IsOk());
    double want = 0;
    for (size_t t = prompt_.size(); t < all.size(); ++t) {
      const float* row = &logits[(t - 1) * 176];
      double total = 0;
      for (int v = 0; v < 176; ++v) total += std::exp(static_cast<double>(row[v]));
      want += row[all[t]] - std::log(total);
    }
    EXPECT_NEAR(scores[i].logprob, want, 1e-4 * (1 + static_cast<double>(continuations[i].size())));
    EXPECT_EQ(scores[i].tokens, static_cast<int>(continuations[i].size()));
  }
}

TEST_F(GeneratorTest, ScoringRefusesBadInput) {
  EXPECT_THAT(ScoreContinuations(*model_, {}, {{1}}, {}, CallContext()), StatusIs(kInvalid, HasSubstr("empty")));
  EXPECT_THAT(ScoreContinuations(*model_, prompt_, {{1, 176}}, {}, CallContext()),
              StatusIs(kInvalid, HasSubstr("176")));
  EXPECT_THAT(ScoreContinuations(*model_, prompt_, {std::vector<int32_t>(510, 5)}, {}, CallContext()),
              StatusIs(kInvalid, AllOf(HasSubstr("510"), HasSubstr("512"))));
}

}  // namespace
}  // namespace lastro::engine
