// Evaluator, reports and comparisons on components that answer what the test says.
#include "services/eval/evaluator.h"

#include "absl/strings/str_cat.h"
#include "services/cli/eval_view.h"
#include "services/cli/json_output.h"
#include "services/eval/comparison.h"
#include "services/eval/report.h"
#include "tests/test_util.h"
#include "tests/unit/services/answer_fakes.h"

namespace lastro::services::eval {
namespace {

using lastro::testing::IsOk;
using lastro::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Finds p0, p1, ... by words; the other way round by meaning; p1 first by both.
class RankedRetrieval : public testing::FakeRetrieval {
 public:
  std::vector<v1::SearchRequest> requests;
  absl::Status status;
  absl::StatusOr<v1::SearchResponse> Search(const v1::SearchRequest& request, const CallContext&) override {
    requests.push_back(request);
    if (!status.ok()) return status;
    std::vector<int> order = {1, 0, 2};
    if (request.mode() == v1::SearchRequest::LEXICAL) order = {0, 1, 2};
    if (request.mode() == v1::SearchRequest::DENSE) order = {2, 1, 0};
    v1::SearchResponse response;
    for (int i : order) response.add_hits()->mutable_document()->set_uri(absl::StrCat("p", i));
    return response;
  }
};

// Says `text` with `evidence`, citing `cited`; abstains below `threshold` unless told not to.
class FakeAsk : public AskApi {
 public:
  std::string text;
  double evidence = 0;
  double threshold = 0.4;
  std::vector<std::string> cited;
  std::vector<v1::AskRequest> requests;
  std::vector<v1::Passage> passages;
  absl::StatusOr<v1::Answer> Ask(const v1::AskRequest& request, const CallContext&,
                                 const Sink<v1::AskStreamResponse>&) override {
    requests.push_back(request);
    v1::Answer answer;
    const double wanted = request.has_min_evidence() ? request.min_evidence() : threshold;
    answer.set_evidence(evidence);
    answer.set_evidence_threshold(wanted);
    if (request.include_passages()) *answer.mutable_passages() = {passages.begin(), passages.end()};
    answer.mutable_usage()->set_prompt_tokens(100);
    answer.set_answerability(evidence >= wanted ? v1::ANSWERED : v1::WEAK_EVIDENCE);
    answer.set_text(evidence >= wanted ? text : "I do not know.");
    if (evidence < wanted) return answer;
    for (const std::string& uri : cited) answer.add_claims()->add_citations()->set_document_uri(uri);
    return answer;
  }
};

class EvaluatorTest : public ::testing::Test {
 protected:
  v1::EvalQuestion Evaluate(const Question& question, EvalSettings settings = {.collection = "c"}) {
    absl::StatusOr<v1::EvalQuestion> result =
        Evaluator(&retrieval_, &ask_, &corpus_, settings).Evaluate(question, CallContext());
    EXPECT_THAT(result, IsOk());
    return result.ok() ? *result : v1::EvalQuestion();
  }
  static double Metric(const v1::EvalQuestion& question, const std::string& name) {
    auto found = question.metrics().find(name);
    return found == question.metrics().end() ? -1 : found->second;
  }

  RankedRetrieval retrieval_;
  FakeAsk ask_;
  Corpus corpus_{{{"p0", "zero"}, {"p1", "one"}, {"p2", "two"}}, 0};
  const Question question_{
      .id = "q", .text = "which?", .group = "g", .answers = {"thirty days"}, .judgements = {{"zero", 1}}};
};

TEST_F(EvaluatorTest, WhatTheReaderFoundInEachPassageIsKept) {
  v1::Passage found, unread;
  found.set_document_uri("p0");
  found.set_text("within thirty days");
  found.mutable_answer_range()->set_begin(7);
  found.mutable_answer_range()->set_end(18);
  found.set_answer_probability(0.7);
  found.mutable_answer_evidence()->set_span_score(2.5);
  unread.set_document_uri("p1");
  ask_.passages = {unread, found, found};
  ask_.passages[2].mutable_answer_range()->set_end(13);
  const v1::EvalQuestion result = Evaluate(question_);
  ASSERT_EQ(result.answer().readings_size(), 2);
  const v1::EvalReading& reading = result.answer().readings(0);
  EXPECT_EQ(reading.passage(), "zero");
  EXPECT_EQ(reading.text(), "thirty days");
  EXPECT_EQ(reading.probability(), 0.7);
  EXPECT_EQ(reading.evidence().span_score(), 2.5);
  EXPECT_TRUE(reading.correct());
  EXPECT_EQ(result.answer().readings(1).text(), "thirty");
  Question unanswerable = question_;
  unanswerable.answers.clear();
  EXPECT_FALSE(Evaluate(unanswerable).answer().readings(0).correct());
}

TEST_F(EvaluatorTest, EveryStageIsRanked) {
  const v1::EvalQuestion result = Evaluate(question_, {.collection = "c", .answer = false, .depth = 20});
  ASSERT_EQ(result.rankings_size(), 3);
  EXPECT_EQ(result.rankings(0).stage(), "bm25");
  EXPECT_EQ(result.rankings(0).passages(0).id(), "zero");
  EXPECT_EQ(Metric(result, "bm25.mrr@10"), 1);
  EXPECT_NEAR(Metric(result, "dense.mrr@10"), 1.0 / 3, 1e-12);
  EXPECT_EQ(Metric(result, "hybrid.mrr@10"), 0.5);
  EXPECT_EQ(Metric(result, "hybrid.recall@1"), 0);
  EXPECT_EQ(Metric(result, "hybrid.recall@20"), 1);
  EXPECT_EQ(Metric(result, "hybrid.recall@50"), -1);  // deeper than the list
  EXPECT_FALSE(result.has_answer());
  for (const v1::SearchRequest& request : retrieval_.requests) {
    EXPECT_EQ(request.collection(), "c");
    EXPECT_EQ(request.max_per_document(), 1);
    EXPECT_FALSE(request.rerank());
  }
  EXPECT_EQ(Evaluate(question_, {.rerank = true, .answer = false}).rankings(3).stage(), "reranked");
  EXPECT_TRUE(retrieval_.requests.back().rerank());
  EXPECT_FALSE(retrieval_.requests.back().has_rerank_weight());
  Evaluate(question_, {.rerank = true, .rerank_weight = 0.7, .answer = false});
  EXPECT_EQ(retrieval_.requests.back().rerank_weight(), 0.7);
}

TEST_F(EvaluatorTest, GivenPassagesAreAllThatIsAskedOf) {
  auto asked_of = [&](const Question& question) {
    Evaluate(question, {.collection = "c", .given_passages = true});
    const v1::Filter::Comparison& comparison = ask_.requests.back().filter().comparison();
    EXPECT_EQ(comparison.field(), "uri");
    EXPECT_EQ(comparison.op(), v1::Filter::Comparison::IN);
    std::vector<std::string> uris;
    for (const v1::MetadataValue& value : comparison.values()) uris.push_back(value.string_value());
    return uris;
  };
  EXPECT_THAT(asked_of(question_), ElementsAre("p0"));
  Question unanswerable = question_;
  unanswerable.answerable = false;
  unanswerable.judgements.clear();
  unanswerable.asked_of = "two";
  EXPECT_THAT(asked_of(unanswerable), ElementsAre("p2"));
  unanswerable.asked_of.clear();
  EXPECT_THAT(Evaluator(&retrieval_, &ask_, &corpus_, {.given_passages = true}).Evaluate(unanswerable, CallContext()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("question q: it names no passage")));
  Evaluate(question_);
  EXPECT_FALSE(ask_.requests.back().has_filter());
}

TEST_F(EvaluatorTest, AnAnswerIsMeasuredAsAskGivesIt) {
  ask_.text = "You have thirty days.";
  ask_.evidence = 0.7;
  ask_.cited = {"p0", "p2", "p0"};
  const v1::EvalQuestion result = Evaluate(question_);
  ASSERT_EQ(ask_.requests.size(), 1u);
  EXPECT_FALSE(ask_.requests[0].has_min_evidence());
  EXPECT_THAT(result.answer().cited_passages(), ElementsAre("zero", "two"));
  EXPECT_TRUE(result.answer().correct());
  EXPECT_EQ(Metric(result, "answered"), 1);
  EXPECT_EQ(Metric(result, "contained"), 1);
  EXPECT_EQ(Metric(result, "exact_match"), 0);
  EXPECT_DOUBLE_EQ(Metric(result, "f1"), 2.0 * 0.5 / 1.5);  // two of four words
  EXPECT_EQ(Metric(result, "citation_precision"), 0.5);
  EXPECT_EQ(Metric(result, "citation_recall"), 1);
}

TEST_F(EvaluatorTest, WhatWouldHaveBeenSaidIsAskedForBehindAnAbstention) {
  ask_.text = "thirty days";
  ask_.evidence = 0.3;
  const v1::EvalQuestion result = Evaluate(question_);
  ASSERT_EQ(ask_.requests.size(), 2u);
  EXPECT_EQ(ask_.requests[1].min_evidence(), 0);
  EXPECT_TRUE(ask_.requests[1].has_min_evidence());
  EXPECT_EQ(result.answer().answerability(), v1::WEAK_EVIDENCE);
  EXPECT_EQ(result.answer().evidence_threshold(), 0.4);
  EXPECT_EQ(result.answer().text(), "thirty days");
  EXPECT_EQ(Metric(result, "answered"), 0);
  EXPECT_EQ(Metric(result, "f1"), 0);
  EXPECT_EQ(Metric(result, "forced.f1"), 1);
  EXPECT_EQ(Metric(result, "citation_precision"), -1);
}

TEST_F(EvaluatorTest, ErrorsNameTheQuestion) {
  retrieval_.status = absl::UnavailableError("gone");
  EXPECT_THAT(Evaluator(&retrieval_, &ask_, &corpus_, {}).Evaluate(question_, CallContext()),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("question q: gone")));
}

// Three questions: answered rightly, answered wrongly, and unanswerable, refused.
TEST_F(EvaluatorTest, AReportAddsUp) {
  ReportBuilder builder;
  ask_.text = "thirty days";
  ask_.evidence = 0.9;
  builder.Add(Evaluate(question_));
  ask_.text = "twelve";
  ask_.evidence = 0.5;
  Question second = question_;
  second.id = "q2";
  second.group = "h";
  second.judgements = {{"two", 1}};
  builder.Add(Evaluate(second));
  ask_.evidence = 0.2;
  builder.Add(Evaluate({.id = "q3", .text = "what?", .group = "h", .answerable = false}));
  v1::EvalReport report;
  ASSERT_THAT(builder.Fill({.precision = 0.8, .seed = 3}, CallContext(), &report), IsOk());

  ASSERT_EQ(report.groups_size(), 3);
  EXPECT_EQ(report.groups(0).questions(), 3);
  EXPECT_EQ(report.groups(1).name(), "g");
  EXPECT_EQ(report.groups(2).questions(), 2);
  auto mean = [&](int group, const std::string& name) {
    for (const v1::EvalMetric& metric : report.groups(group).metrics()) {
      if (metric.name() == name) return metric.mean();
    }
    return -1.0;
  };
  EXPECT_DOUBLE_EQ(mean(0, "f1"), 2.0 / 3);  // right, wrong, rightly refused
  EXPECT_DOUBLE_EQ(mean(2, "f1"), 0.5);
  EXPECT_DOUBLE_EQ(mean(0, "bm25.mrr@10"), (1 + 1.0 / 3) / 2);  // the third has no gold passage
  EXPECT_DOUBLE_EQ(mean(0, "forced.f1"), 0.5);
  ASSERT_TRUE(report.has_abstention());
  EXPECT_EQ(report.abstention().curve_size(), 3);
  EXPECT_EQ(report.abstention().unanswerable(), 1);
  EXPECT_DOUBLE_EQ(report.abstention().area(), (0 + 0.5 + 2.0 / 3) / 3);
  EXPECT_DOUBLE_EQ(report.abstention().threshold(), 0.9);
  EXPECT_DOUBLE_EQ(report.abstention().coverage(), 1.0 / 3);
  EXPECT_DOUBLE_EQ(report.abstention().default_coverage(), 2.0 / 3);
  EXPECT_DOUBLE_EQ(report.abstention().default_risk(), 0.5);
  EXPECT_DOUBLE_EQ(report.abstention().default_refused_unanswerable(), 1);
  EXPECT_EQ(report.prompt_tokens(), 100);
  EXPECT_EQ(report.durations_size(), 4);

  std::ostringstream out;
  PrintEvalReport(report, out, Terminal());
  EXPECT_THAT(out.str(), HasSubstr("hybrid"));
  EXPECT_THAT(out.str(), HasSubstr("3 questions"));
  EXPECT_THAT(out.str(), HasSubstr("answers 67%, wrongly 50% of them; refuses 100% of the 1 unanswerable"));
  EXPECT_THAT(RiskCoveragePlot(report), HasSubstr("</svg>"));
  EXPECT_THAT(RecallPlot(report), HasSubstr(">dense</text>"));
}

class ComparisonTest : public ::testing::Test {
 protected:
  static std::string Line(const std::string& id, double f1) {
    v1::EvalQuestion question;
    question.set_id(id);
    (*question.mutable_metrics())["f1"] = f1;
    absl::StatusOr<std::string> json = ToJson(question, false);
    return json.ok() ? *json + "\n" : "";
  }
  static std::vector<v1::EvalQuestion> Questions(const std::string& lines) {
    absl::StatusOr<std::vector<v1::EvalQuestion>> questions = ReadQuestionLines(lines, "file");
    EXPECT_THAT(questions, IsOk());
    return questions.ok() ? *questions : std::vector<v1::EvalQuestion>();
  }
};

TEST_F(ComparisonTest, PairsQuestionsById) {
  const auto a = Questions(Line("1", 0.5) + Line("2", 0) + Line("only a", 1));
  const auto b = Questions(Line("2", 1) + Line("1", 0.5));
  ASSERT_OK_AND_ASSIGN(v1::EvalComparison comparison, Compare(a, b, 1, CallContext()));
  EXPECT_EQ(comparison.questions(), 2);
  EXPECT_EQ(comparison.only_in_a(), 1);
  EXPECT_EQ(comparison.only_in_b(), 0);
  ASSERT_EQ(comparison.metrics_size(), 1);
  EXPECT_EQ(comparison.metrics(0).a(), 0.25);
  EXPECT_EQ(comparison.metrics(0).b(), 0.75);
  EXPECT_EQ(comparison.metrics(0).difference(), 0.5);
  EXPECT_THAT(Compare(a, Questions(Line("9", 1)), 1, CallContext()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no question is in both")));
}

TEST_F(ComparisonTest, RefusesOtherFiles) {
  EXPECT_THAT(ReadQuestionLines("{\"id\":\"1\"}\n{\"nonsense\":1}\n", "file"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("file line 2")));
  EXPECT_THAT(ReadQuestionLines(Line("1", 0) + Line("1", 0), "file"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("the question 1 was there already")));
}

}  // namespace
}  // namespace lastro::services::eval
