// The measures of lastro eval against values computed by hand.
#include <cmath>

#include "services/eval/abstention_metrics.h"
#include "services/eval/answer_metrics.h"
#include "services/eval/ranking_metrics.h"
#include "services/eval/sample.h"
#include "services/eval/statistics.h"
#include "tests/test_util.h"

namespace lastro::services::eval {
namespace {

using ::testing::ElementsAre;

TEST(AnswerMetrics, WordsAreNormalized) {
  EXPECT_THAT(NormalizedWords("  The Eiffel-Tower, an icon!  ", "en"), ElementsAre("eiffeltower", "icon"));
  EXPECT_THAT(NormalizedWords("«O prazo» é de 30 dias — as férias", "pt"),
              ElementsAre("prazo", "é", "de", "30", "dias", "férias"));
  EXPECT_THAT(NormalizedWords("o prazo", "en"), ElementsAre("o", "prazo"));  // no article of English
}

TEST(AnswerMetrics, TheBestGoldAnswerCounts) {
  const AnswerMatch match = MatchAnswer("thirty days a year", {"30", "thirty days", "the year"}, "en");
  EXPECT_EQ(match.exact, 0);
  EXPECT_DOUBLE_EQ(match.f1, 2 * (2.0 / 3) * 1 / (2.0 / 3 + 1));  // thirty, days of thirty, days, year
  EXPECT_EQ(match.contained, 1);
  EXPECT_EQ(MatchAnswer("The Thirty Days.", {"thirty days"}, "en").exact, 1);
  EXPECT_EQ(MatchAnswer("days thirty", {"thirty days"}, "en").contained, 0);  // in this order only
}

TEST(AnswerMetrics, UnanswerableMeansNoAnswer) {
  EXPECT_EQ(MatchAnswer("", {}, "en").f1, 1);
  EXPECT_EQ(MatchAnswer("", {}, "en").exact, 1);
  EXPECT_EQ(MatchAnswer("something", {}, "en").f1, 0);
  EXPECT_EQ(MatchAnswer("", {"something"}, "en").f1, 0);
}

TEST(RankingMetrics, ByHand) {
  const std::vector<std::string> ranked = {"a", "b", "c", "d"};
  const std::vector<Judgement> judgements = {{"b", 1}, {"d", 3}, {"x", 1}};
  EXPECT_DOUBLE_EQ(RecallAt(ranked, judgements, 2), 1.0 / 3);
  EXPECT_DOUBLE_EQ(RecallAt(ranked, judgements, 100), 2.0 / 3);
  EXPECT_DOUBLE_EQ(ReciprocalRankAt(ranked, judgements, 10), 0.5);
  EXPECT_EQ(ReciprocalRankAt(ranked, judgements, 1), 0);
  const double ideal = 3 + 1 / std::log2(3) + 1 / std::log2(4);
  EXPECT_DOUBLE_EQ(NdcgAt(ranked, judgements, 10), (1 / std::log2(3) + 3 / std::log2(5)) / ideal);
  EXPECT_EQ(NdcgAt({"d", "b", "x"}, judgements, 10), 1);
  EXPECT_DOUBLE_EQ(CitationPrecision({"b", "c"}, judgements), 0.5);
  EXPECT_DOUBLE_EQ(CitationRecall({"b", "c"}, judgements), 1.0 / 3);
}

// Right at 0.9 and 0.7, wrong at 0.7 and 0.2; the last is unanswerable; one has no answer at all.
const std::vector<Attempt> kAttempts = {
    {0.9, true, true}, {0.7, true, true}, {0.7, false, true}, {0.2, false, false}, {-1, false, true}};

TEST(AbstentionMetrics, TheCurveHasAPointForEveryThreshold) {
  const std::vector<OperatingPoint> curve = RiskCoverageCurve(kAttempts);
  ASSERT_EQ(curve.size(), 3u);
  EXPECT_DOUBLE_EQ(curve[0].coverage, 0.2);
  EXPECT_DOUBLE_EQ(curve[0].risk, 0);
  EXPECT_DOUBLE_EQ(curve[1].coverage, 0.6);  // equal confidences come together
  EXPECT_DOUBLE_EQ(curve[1].risk, 1.0 / 3);
  EXPECT_DOUBLE_EQ(curve[1].refused_unanswerable, 1);
  EXPECT_DOUBLE_EQ(curve[2].coverage, 0.8);
  EXPECT_DOUBLE_EQ(curve[2].risk, 0.5);
  EXPECT_DOUBLE_EQ(curve[2].refused_unanswerable, 0);
  EXPECT_DOUBLE_EQ(AreaUnderRiskCoverage(kAttempts), (0 + 1.0 / 3 + 1.0 / 3 + 0.5) / 4);
}

TEST(AbstentionMetrics, PointsOnTheCurve) {
  EXPECT_DOUBLE_EQ(PointAtPrecision(kAttempts, 0.6).coverage, 0.6);
  EXPECT_DOUBLE_EQ(PointAtPrecision(kAttempts, 0.6).threshold, 0.7);
  EXPECT_DOUBLE_EQ(PointAtPrecision(kAttempts, 0.8).coverage, 0.2);
  EXPECT_DOUBLE_EQ(PointAtThreshold(kAttempts, 0.5).coverage, 0.6);
  EXPECT_DOUBLE_EQ(PointAtThreshold(kAttempts, 0).coverage, 0.8);  // never what has no answer
  const OperatingPoint none = PointAtPrecision({{0.5, false, true}}, 0.8);
  EXPECT_EQ(none.coverage, 0);
  EXPECT_GT(none.threshold, 1);
}

TEST(Statistics, Quantiles) {
  EXPECT_EQ(Quantile({}, 0.5), 0);
  EXPECT_DOUBLE_EQ(Quantile({4, 1, 3, 2}, 0.5), 2.5);
  EXPECT_DOUBLE_EQ(Quantile({4, 1, 3, 2}, 1), 4);
  EXPECT_DOUBLE_EQ(Quantile({0, 10}, 0.95), 9.5);
}

TEST(Statistics, AnIntervalOfAMeanIsThatOfTheNormalDistribution) {
  std::vector<double> values;
  for (int i = 0; i < 1000; ++i) values.push_back(i % 2);  // a standard error of 0.5 / sqrt(1000)
  const Interval interval = MeanInterval(values, 1, 10'000);
  const double reach = 1.96 * 0.5 / std::sqrt(1000.0);
  EXPECT_NEAR(interval.low, 0.5 - reach, 0.1 * reach);
  EXPECT_NEAR(interval.high, 0.5 + reach, 0.1 * reach);
  const Interval again = MeanInterval(values, 1, 10'000);
  EXPECT_EQ(again.low, interval.low);  // the same seed
  EXPECT_EQ(again.high, interval.high);
}

TEST(Statistics, PairsThatDoNotDifferHaveAPOfOne) {
  const std::vector<double> a = {0, 1, 0.5, 1};
  const PairedComparison same = ComparePaired(a, a, 1);
  EXPECT_EQ(same.difference, 0);
  EXPECT_EQ(same.p, 1);
}

TEST(Statistics, PIsSmallForALargeDifferenceOnly) {
  std::vector<double> a(400, 0.5), b(400, 0.5);
  for (size_t i = 0; i < b.size(); ++i) b[i] += i % 4 == 0 ? -0.1 : 0.1;
  const PairedComparison clear = ComparePaired(a, b, 7);
  EXPECT_NEAR(clear.difference, 0.05, 1e-12);
  EXPECT_LT(clear.p, 0.001);
  EXPECT_GT(clear.interval.low, 0);
  std::vector<double> few_a(12, 0.5), few_b(12, 0.5);
  for (size_t i = 0; i < 12; ++i) few_b[i] += i % 2 == 0 ? -0.1 : 0.11;
  const PairedComparison unclear = ComparePaired(few_a, few_b, 7);
  EXPECT_GT(unclear.p, 0.5);
  EXPECT_LT(unclear.interval.low, 0);
  EXPECT_GT(unclear.interval.high, 0);
}

TEST(Sample, KeepsTheOrderAndDependsOnTheSeed) {
  Dataset all;
  for (int i = 0; i < 100; ++i) all.questions.push_back({.id = std::to_string(1000 + i), .text = "?"});
  auto ids = [&](size_t limit, uint64_t seed) {
    Dataset dataset = all;
    TakeSample(limit, seed, &dataset);
    std::vector<std::string> taken;
    for (const Question& question : dataset.questions) taken.push_back(question.id);
    EXPECT_TRUE(std::is_sorted(taken.begin(), taken.end()));
    return taken;
  };
  EXPECT_EQ(ids(10, 1).size(), 10u);
  EXPECT_EQ(ids(10, 1), ids(10, 1));
  EXPECT_NE(ids(10, 1), ids(10, 2));
  EXPECT_EQ(ids(0, 1).size(), 100u);
  EXPECT_EQ(ids(100, 1).size(), 100u);
}

}  // namespace
}  // namespace lastro::services::eval
