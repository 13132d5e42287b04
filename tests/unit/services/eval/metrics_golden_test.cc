// The measures of lastro eval against reference implementations: see tests/golden/export_eval.py.
#include <map>

#include "absl/strings/str_cat.h"
#include "base/json.h"
#include "services/eval/abstention_metrics.h"
#include "services/eval/answer_metrics.h"
#include "services/eval/dataset_builder.h"
#include "services/eval/ranking_metrics.h"
#include "tests/test_util.h"

namespace lastro::services::eval {
namespace {

class MetricsGolden : public ::testing::Test {
 protected:
  // Calls check(case) for every case of the file.
  template <typename Check>
  void ForEachCase(const std::string& name, Check check) {
    ASSERT_OK_AND_ASSIGN(JsonDocument document,
                         JsonDocument::ParseFile(absl::StrCat(LASTRO_SOURCE_DIR, "/tests/golden/eval/", name)));
    ASSERT_OK_AND_ASSIGN(std::vector<JsonValue> cases, document.root().AsArray());
    ASSERT_GE(cases.size(), 50u);
    for (size_t i = 0; i < cases.size(); ++i) {
      SCOPED_TRACE(absl::StrCat(name, " case ", i));
      check(cases[i]);
    }
  }
  static double Number(const JsonValue& object, absl::string_view key) {
    absl::StatusOr<double> value = object.GetDouble(key, -100);
    return value.ok() ? *value : -100;
  }
  static std::vector<std::string> Strings(const JsonValue& object, absl::string_view key) {
    absl::StatusOr<std::vector<std::string>> strings = StringsOf(object, key);
    return strings.ok() ? *strings : std::vector<std::string>();
  }
};

TEST_F(MetricsGolden, AnswersAsSquadAndMlqaHaveThem) {
  ForEachCase("answers.json", [](const JsonValue& golden) {
    ASSERT_OK_AND_ASSIGN(std::string language, golden.GetString("lang", ""));
    ASSERT_OK_AND_ASSIGN(std::string answer, golden.GetString("answer", ""));
    EXPECT_EQ(NormalizedWords(answer, language), Strings(golden, "words")) << answer;
    const AnswerMatch match = MatchAnswer(answer, Strings(golden, "gold"), language);
    EXPECT_EQ(match.exact, Number(golden, "exact")) << answer;
    EXPECT_NEAR(match.f1, Number(golden, "f1"), 1e-12) << answer;
    EXPECT_GE(match.contained, match.exact) << answer;
  });
}

TEST_F(MetricsGolden, RankingsAsTrecEvalHasThem) {
  ForEachCase("rankings.json", [](const JsonValue& golden) {
    const std::vector<std::string> ranked = Strings(golden, "ranked");
    std::vector<Judgement> judgements;
    ASSERT_OK_AND_ASSIGN(JsonValue judged, golden.Get("judgements"));
    simdjson::dom::object members;
    ASSERT_EQ(judged.element().get(members), simdjson::SUCCESS);
    for (auto [id, gain] : members) {
      judgements.push_back({std::string(id), static_cast<double>(gain.get_int64().value())});
    }
    EXPECT_NEAR(NdcgAt(ranked, judgements, 10), Number(golden, "ndcg@10"), 1e-12);
    for (size_t k : {5, 10, 100}) {
      EXPECT_NEAR(RecallAt(ranked, judgements, k), Number(golden, absl::StrCat("recall@", k)), 1e-12) << k;
    }
    EXPECT_NEAR(ReciprocalRankAt(ranked, judgements, ranked.size()), Number(golden, "mrr"), 1e-12);
  });
}

TEST_F(MetricsGolden, AreaUnderTheRiskCoverageCurveByItsDefinition) {
  ForEachCase("abstention.json", [](const JsonValue& golden) {
    std::vector<Attempt> attempts;
    ASSERT_OK_AND_ASSIGN(JsonValue list, golden.Get("attempts"));
    ASSERT_OK_AND_ASSIGN(std::vector<JsonValue> rows, list.AsArray());
    for (const JsonValue& row : rows) {
      ASSERT_OK_AND_ASSIGN(std::vector<JsonValue> cells, row.AsArray());
      ASSERT_EQ(cells.size(), 3u);
      attempts.push_back({*cells[0].AsDouble(), *cells[1].AsBool(), *cells[2].AsBool()});
    }
    EXPECT_NEAR(AreaUnderRiskCoverage(attempts), Number(golden, "area"), 1e-12);
    EXPECT_NEAR(PointAtPrecision(attempts, 0.8).coverage, Number(golden, "coverage_at_80"), 1e-12);
  });
}

}  // namespace
}  // namespace lastro::services::eval
