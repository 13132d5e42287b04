#include "engine/sampler.h"

#include <cmath>
#include <limits>
#include <map>

#include "tests/test_util.h"

namespace lastro::engine {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

SamplingParams Hot(float temperature = 1.0f) {
  SamplingParams params;
  params.temperature = temperature;
  params.seed = 7;
  return params;
}

// How often each id is drawn, of `draws`.
std::map<int32_t, int> Histogram(const SamplingParams& params, const std::vector<float>& logits, int draws = 20000,
                                 const std::vector<int32_t>& seen = {}) {
  Sampler sampler(params);
  std::map<int32_t, int> counts;
  for (int i = 0; i < draws; ++i) ++counts[sampler.Sample(logits, seen, {}).value()];
  return counts;
}

std::vector<double> Softmax(const std::vector<float>& logits, double temperature = 1) {
  std::vector<double> p;
  double total = 0;
  for (float l : logits) total += p.emplace_back(std::exp(l / temperature));
  for (double& x : p) x /= total;
  return p;
}

TEST(SamplerTest, GreedyTakesTheBestAndTheLowerIdOfATie) {
  Sampler sampler({});
  EXPECT_EQ(sampler.Sample({1.0f, 3.0f, 3.0f, -2.0f}, {}, {}).value(), 1);
  EXPECT_EQ(sampler.Sample({kNaN, -kInfinity, -5.0f, kNaN}, {}, {}).value(), 2);
}

TEST(SamplerTest, NoFiniteLogitIsAnError) {
  Sampler sampler({});
  EXPECT_THAT(sampler.Sample({kNaN, kNaN}, {}, {}), StatusIs(absl::StatusCode::kInternal, HasSubstr("finite")));
  EXPECT_THAT(sampler.Sample({}, {}, {}), StatusIs(absl::StatusCode::kInternal, HasSubstr("finite")));
}

TEST(SamplerTest, DrawsFollowTheSoftmaxAtTheTemperature) {
  const std::vector<float> logits = {0.0f, 1.0f, 2.0f, -1.0f};
  for (float temperature : {0.5f, 1.0f, 2.0f}) {
    const auto counts = Histogram(Hot(temperature), logits, 40000);
    const auto want = Softmax(logits, temperature);
    for (const auto& [id, count] : counts) {
      const double p = want[static_cast<size_t>(id)];
      EXPECT_NEAR(count / 40000.0, p, 5 * std::sqrt(p * (1 - p) / 40000)) << id;
    }
  }
}

TEST(SamplerTest, SameSeedSameDrawsOtherSeedOthers) {
  const std::vector<float> logits(50, 0.0f);
  auto draw = [&](uint64_t seed) {
    SamplingParams params = Hot();
    params.seed = seed;
    Sampler sampler(params);
    std::vector<int32_t> ids;
    for (int i = 0; i < 30; ++i) ids.push_back(sampler.Sample(logits, {}, {}).value());
    return ids;
  };
  EXPECT_EQ(draw(1), draw(1));
  EXPECT_NE(draw(1), draw(2));
}

TEST(SamplerTest, TopKKeepsTheBest) {
  SamplingParams params = Hot(50.0f);
  params.top_k = 2;
  const auto counts = Histogram(params, {0.0f, 5.0f, 1.0f, 4.0f});
  EXPECT_EQ(counts.size(), 2u);
  EXPECT_TRUE(counts.count(1) && counts.count(3));
}

TEST(SamplerTest, TopPKeepsTheSmallestSetThatReachesIt) {
  // Probabilities 0.5, 0.3, 0.15, 0.05.
  std::vector<float> logits;
  for (double p : {0.05, 0.5, 0.15, 0.3}) logits.push_back(static_cast<float>(std::log(p)));
  SamplingParams params = Hot();
  params.top_p = 0.79f;
  EXPECT_EQ(Histogram(params, logits).size(), 2u);
  params.top_p = 0.81f;
  EXPECT_EQ(Histogram(params, logits).size(), 3u);
  params.top_p = 1e-6f;
  EXPECT_EQ(Histogram(params, logits).size(), 1u);
}

TEST(SamplerTest, TopPOverManyEqualTokens) {
  SamplingParams params = Hot();
  params.top_p = 0.5f;
  const auto counts = Histogram(params, std::vector<float>(4000, 0.0f), 20000);
  for (const auto& [id, count] : counts) EXPECT_LT(id, 2001);  // ties by lower id
  EXPECT_GT(counts.size(), 1800u);
}

TEST(SamplerTest, MinPDropsWhatIsFarBelowTheBest) {
  SamplingParams params = Hot();
  params.min_p = 0.2f;
  const auto counts = Histogram(params, {0.0f, std::log(0.21f), std::log(0.19f)});
  EXPECT_EQ(counts.size(), 2u);
  EXPECT_FALSE(counts.count(2));
}

TEST(SamplerTest, RepetitionPenaltyOncePerTokenOnBothSigns) {
  SamplingParams params;
  params.repetition_penalty = 2.0f;
  Sampler sampler(params);
  EXPECT_EQ(sampler.Sample({3.0f, 2.0f}, {0, 0}, {0}).value(), 1);   // 3 / 2 < 2
  EXPECT_EQ(sampler.Sample({5.0f, 2.0f}, {0, 0}, {0}).value(), 0);   // 5 / 2 > 2: not divided three times
  EXPECT_EQ(sampler.Sample({-1.0f, -1.5f}, {0}, {}).value(), 1);     // -1 * 2 < -1.5
  EXPECT_EQ(sampler.Sample({1.0f, 0.5f}, {-5, 99}, {}).value(), 0);  // ids outside are ignored
}

TEST(SamplerTest, PresenceAndFrequencyPenaltiesOfGeneratedTokens) {
  SamplingParams params;
  params.presence_penalty = 1.0f;
  Sampler presence(params);
  EXPECT_EQ(presence.Sample({3.0f, 2.5f}, {}, {0, 0, 0}).value(), 1);  // 3 - 1 < 2.5
  EXPECT_EQ(presence.Sample({3.0f, 1.5f}, {}, {0, 0, 0}).value(), 0);  // once, not three times
  EXPECT_EQ(presence.Sample({3.0f, 2.5f}, {0, 0}, {}).value(), 0);     // the prompt does not count
  params.presence_penalty = 0.0f;
  params.frequency_penalty = 0.5f;
  Sampler frequency(params);
  EXPECT_EQ(frequency.Sample({3.0f, 1.7f}, {}, {0, 0, 0}).value(), 1);  // 3 - 1.5 < 1.7
  EXPECT_EQ(frequency.Sample({3.0f, 1.7f}, {}, {0, 0}).value(), 0);
  params.frequency_penalty = std::nanf("");
  EXPECT_THAT(params.Validate(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("frequency_penalty")));
}

TEST(SamplerTest, LogitBias) {
  SamplingParams params;
  params.logit_bias = {{2, 10.0f}, {0, -10.0f}};
  EXPECT_EQ(Sampler(params).Sample({3.0f, 2.0f, 0.0f}, {}, {}).value(), 2);
  params.logit_bias = {{3, 1.0f}};
  EXPECT_THAT(Sampler(params).Sample({3.0f, 2.0f, 0.0f}, {}, {}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("logit_bias")));
}

TEST(SamplerTest, TinyTemperatureIsGreedyNotNaN) {
  EXPECT_EQ(Histogram(Hot(1e-30f), {1.0f, 2.0f, 1.9f}, 100).size(), 1u);
}

TEST(SamplerTest, ValidateNamesTheField) {
  auto expect_bad = [](auto edit, const char* field) {
    SamplingParams params;
    edit(params);
    EXPECT_THAT(params.Validate(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(field)));
  };
  EXPECT_THAT(SamplingParams().Validate(), IsOk());
  for (float bad : {-0.1f, kNaN, kInfinity}) {
    expect_bad([&](SamplingParams& p) { p.temperature = bad; }, "temperature");
    expect_bad([&](SamplingParams& p) { p.top_p = bad; }, "top_p");
    expect_bad([&](SamplingParams& p) { p.min_p = bad; }, "min_p");
    expect_bad([&](SamplingParams& p) { p.repetition_penalty = bad; }, "repetition_penalty");
  }
  expect_bad([](SamplingParams& p) { p.top_p = 0; }, "top_p");
  expect_bad([](SamplingParams& p) { p.top_k = -1; }, "top_k");
  expect_bad([](SamplingParams& p) { p.logit_bias = {{-1, 0.0f}}; }, "logit_bias");
  expect_bad([](SamplingParams& p) { p.logit_bias = {{1, kNaN}}; }, "logit_bias");
}

TEST(SamplerTest, LogprobsAreLogSoftmax) {
  const std::vector<float> logits = {1000.0f, 1001.0f, 998.0f};  // exp alone would overflow
  const auto p = Softmax({-1.0f, 0.0f, -3.0f});
  for (int32_t i = 0; i < 3; ++i) EXPECT_NEAR(LogprobOf(logits, i), std::log(p[static_cast<size_t>(i)]), 1e-5);
  const auto top = TopLogprobs(logits, 2);
  ASSERT_EQ(top.size(), 2u);
  EXPECT_EQ(top[0].id, 1);
  EXPECT_EQ(top[1].id, 0);
  EXPECT_NEAR(top[0].logprob, std::log(p[1]), 1e-5);
  EXPECT_EQ(TopLogprobs(logits, 10).size(), 3u);
  EXPECT_TRUE(TopLogprobs(logits, 0).empty());
  EXPECT_EQ(TopLogprobs({2.0f, 2.0f}, 1)[0].id, 0);
}

}  // namespace
}  // namespace lastro::engine
