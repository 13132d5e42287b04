#include "services/eval/report.h"

#include <algorithm>

#include "base/status_macros.h"
#include "services/eval/statistics.h"

namespace lastro::services::eval {
namespace {

constexpr int kMaxCurvePoints = 1'000;

void FillCurve(const std::vector<OperatingPoint>& curve, v1::EvalAbstention* abstention) {
  const size_t step = curve.size() / kMaxCurvePoints + 1;
  for (size_t i = 0; i < curve.size(); ++i) {
    if (i % step != 0 && i + 1 != curve.size()) continue;
    v1::EvalAbstention::Point* point = abstention->add_curve();
    point->set_threshold(curve[i].threshold);
    point->set_coverage(curve[i].coverage);
    point->set_risk(curve[i].risk);
  }
}

}  // namespace

void ReportBuilder::Add(const v1::EvalQuestion& question) {
  std::vector<std::string> groups = {""};
  if (!question.group().empty()) groups.push_back(question.group());
  for (const std::string& group : groups) {
    ++questions_[group];
    for (const auto& [name, value] : question.metrics()) metrics_[group][name].push_back(value);
  }
  for (const v1::EvalRanking& ranking : question.rankings()) {
    durations_ms_[ranking.stage()].push_back(ranking.duration_ms());
  }
  if (question.has_answer()) AddAnswer(question);
}

void ReportBuilder::AddAnswer(const v1::EvalQuestion& question) {
  const v1::EvalAnswer& answer = question.answer();
  durations_ms_["ask"].push_back(answer.duration_ms());
  prompt_tokens_.push_back(answer.usage().prompt_tokens());
  completion_tokens_.push_back(answer.usage().completion_tokens());
  default_threshold_ = answer.evidence_threshold();
  const bool judged = !question.gold_answers().empty() || !question.answerable();
  if (!judged) return;
  attempts_.push_back({answer.text().empty() ? -1 : answer.evidence(), answer.correct(), question.answerable()});
}

absl::Status ReportBuilder::Fill(const ReportSettings& settings, const CallContext& context,
                                 v1::EvalReport* report) const {
  LASTRO_RETURN_IF_ERROR(FillGroups(settings, context, report));
  if (!attempts_.empty()) FillAbstention(settings, report);
  for (const auto& [stage, values] : durations_ms_) {
    v1::EvalDuration* duration = report->add_durations();
    duration->set_stage(stage);
    duration->set_p50_ms(Quantile(values, 0.5));
    duration->set_p95_ms(Quantile(values, 0.95));
  }
  report->set_prompt_tokens(Mean(prompt_tokens_));
  report->set_completion_tokens(Mean(completion_tokens_));
  report->set_seed(settings.seed);
  return absl::OkStatus();
}

absl::Status ReportBuilder::FillGroups(const ReportSettings& settings, const CallContext& context,
                                       v1::EvalReport* report) const {
  const bool only_one = questions_.size() <= 2;  // all together, and the one
  for (const auto& [name, questions] : questions_) {
    if (only_one && !name.empty()) continue;
    v1::EvalGroup* group = report->add_groups();
    group->set_name(name);
    group->set_questions(questions);
    auto metrics = metrics_.find(name);
    if (metrics == metrics_.end()) continue;
    for (const auto& [metric, values] : metrics->second) {
      v1::EvalMetric* mean = group->add_metrics();
      mean->set_name(metric);
      mean->set_mean(Mean(values));
      mean->set_questions(static_cast<int>(values.size()));
      if (!name.empty()) continue;
      LASTRO_RETURN_IF_ERROR(context.Check());  // the next takes a while
      const Interval interval = MeanInterval(values, settings.seed);
      mean->set_low(interval.low);
      mean->set_high(interval.high);
    }
  }
  return absl::OkStatus();
}

void ReportBuilder::FillAbstention(const ReportSettings& settings, v1::EvalReport* report) const {
  v1::EvalAbstention* abstention = report->mutable_abstention();
  FillCurve(RiskCoverageCurve(attempts_), abstention);
  abstention->set_unanswerable(static_cast<int>(
      std::count_if(attempts_.begin(), attempts_.end(), [](const Attempt& attempt) { return !attempt.answerable; })));
  abstention->set_area(AreaUnderRiskCoverage(attempts_));
  const OperatingPoint chosen = PointAtPrecision(attempts_, settings.precision);
  abstention->set_precision(settings.precision);
  abstention->set_threshold(chosen.threshold);
  abstention->set_coverage(chosen.coverage);
  abstention->set_refused_unanswerable(chosen.refused_unanswerable);
  const OperatingPoint by_default = PointAtThreshold(attempts_, default_threshold_);
  abstention->set_default_coverage(by_default.coverage);
  abstention->set_default_risk(by_default.risk);
  abstention->set_default_refused_unanswerable(by_default.refused_unanswerable);
}

}  // namespace lastro::services::eval
