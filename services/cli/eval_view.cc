#include "services/cli/eval_view.h"

#include <algorithm>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/cli/format.h"
#include "services/cli/table.h"
#include "services/cli/text_width.h"
#include "services/eval/line_plot.h"

namespace lastro::services {
namespace {

constexpr const char* kStages[] = {"bm25", "dense", "hybrid", "reranked"};
constexpr const char* kRankingMetrics[] = {"recall@1", "recall@5", "recall@10", "recall@100", "mrr@10", "ndcg@10"};
constexpr int kShownGroups = 40;

const v1::EvalMetric* FindMetric(const v1::EvalGroup& group, const std::string& name) {
  for (const v1::EvalMetric& metric : group.metrics()) {
    if (metric.name() == name) return &metric;
  }
  return nullptr;
}

std::string MeanOf(const v1::EvalGroup& group, const std::string& name) {
  const v1::EvalMetric* metric = FindMetric(group, name);
  return metric == nullptr ? "-" : FormatNumber(metric->mean(), 4);
}

std::string DurationsOf(const v1::EvalReport& report, const std::string& stage) {
  for (const v1::EvalDuration& duration : report.durations()) {
    if (duration.stage() != stage) continue;
    return absl::StrCat(FormatNumber(duration.p50_ms(), 1), " / ", FormatNumber(duration.p95_ms(), 1));
  }
  return "-";
}

void PrintRankings(const v1::EvalReport& report, std::ostream& out, const Terminal& terminal) {
  std::vector<Table::Column> columns = {{"search"}};
  for (const char* metric : kRankingMetrics) columns.push_back({metric, Table::Align::kRight});
  columns.push_back({"ms p50 / p95", Table::Align::kRight});
  Table table(columns);
  for (const char* stage : kStages) {
    if (FindMetric(report.groups(0), absl::StrCat(stage, ".ndcg@10")) == nullptr) continue;
    std::vector<std::string> cells = {stage};
    for (const char* metric : kRankingMetrics) {
      cells.push_back(MeanOf(report.groups(0), absl::StrCat(stage, ".", metric)));
    }
    cells.push_back(DurationsOf(report, stage));
    table.AddRow(std::move(cells));
  }
  if (table.empty()) return;
  table.Print(out, terminal);
  out << "\n";
}

void AddMean(const v1::EvalGroup& group, const std::string& metric, const std::string& label, Properties* properties) {
  const v1::EvalMetric* found = FindMetric(group, metric);
  if (found == nullptr) return;
  properties->Add(label, absl::StrCat(FormatNumber(found->mean(), 4), "  (", FormatNumber(found->low(), 4), " to ",
                                      FormatNumber(found->high(), 4), ", ", FormatCount(found->questions()), ")"));
}

std::string Refused(const v1::EvalAbstention& abstention, double share) {
  if (abstention.unanswerable() == 0) return "";
  return absl::StrCat("; refuses ", FormatShare(share), " of the ", FormatCount(abstention.unanswerable()),
                      " unanswerable");
}

void AddAbstention(const v1::EvalAbstention& abstention, Properties* properties) {
  properties->Add("area under risk-coverage", FormatNumber(abstention.area(), 4));
  properties->Add("by Ask's threshold", absl::StrCat("answers ", FormatShare(abstention.default_coverage()),
                                                     ", wrongly ", FormatShare(abstention.default_risk()), " of them",
                                                     Refused(abstention, abstention.default_refused_unanswerable())));
  properties->Add(absl::StrCat("for ", FormatShare(abstention.precision()), " precision"),
                  abstention.coverage() == 0 ? "no threshold gives it"
                                             : absl::StrCat("threshold ", FormatNumber(abstention.threshold(), 3),
                                                            ": answers ", FormatShare(abstention.coverage()),
                                                            Refused(abstention, abstention.refused_unanswerable())));
}

void PrintAnswers(const v1::EvalReport& report, std::ostream& out, const Terminal& terminal) {
  const v1::EvalGroup& all = report.groups(0);
  if (FindMetric(all, "answered") == nullptr) return;
  Properties properties;
  AddMean(all, "answered", "answered", &properties);
  AddMean(all, "exact_match", "exact match", &properties);
  AddMean(all, "f1", "F1", &properties);
  AddMean(all, "contained", "gold answer contained", &properties);
  AddMean(all, "forced.f1", "F1, never abstaining", &properties);
  AddMean(all, "forced.contained", "contained, never abstaining", &properties);
  AddMean(all, "citation_precision", "citation precision", &properties);
  AddMean(all, "citation_recall", "citation recall", &properties);
  if (report.has_abstention()) AddAbstention(report.abstention(), &properties);
  properties.Add("ms p50 / p95", DurationsOf(report, "ask"));
  properties.Add("tokens a question", absl::StrCat(FormatNumber(report.prompt_tokens(), 0), " prompt, ",
                                                   FormatNumber(report.completion_tokens(), 0), " new"));
  properties.Print(out, terminal);
  out << "\n";
}

void PrintGroups(const v1::EvalReport& report, std::ostream& out, const Terminal& terminal) {
  if (report.groups_size() < 2) return;
  const std::vector<std::string> metrics = {"bm25.ndcg@10", "dense.ndcg@10", "hybrid.ndcg@10", "f1", "contained"};
  std::vector<Table::Column> columns = {{"group"}, {"questions", Table::Align::kRight}};
  for (const std::string& metric : metrics) columns.push_back({metric, Table::Align::kRight});
  Table table(columns);
  for (int i = 1; i < std::min(report.groups_size(), kShownGroups + 1); ++i) {
    std::vector<std::string> cells = {OneLine(report.groups(i).name()), FormatCount(report.groups(i).questions())};
    for (const std::string& metric : metrics) cells.push_back(MeanOf(report.groups(i), metric));
    table.AddRow(std::move(cells));
  }
  table.Print(out, terminal);
  const int more = report.groups_size() - 1 - kShownGroups;
  if (more > 0) out << "and " << more << " groups more; see --json\n";
  out << "\n";
}

}  // namespace

void PrintEvalReport(const v1::EvalReport& report, std::ostream& out, const Terminal& terminal) {
  PrintRankings(report, out, terminal);
  PrintAnswers(report, out, terminal);
  PrintGroups(report, out, terminal);
  out << OneLine(report.dataset()) << ": " << FormatCount(report.groups(0).questions()) << " questions";
  if (report.passages() > 0) {
    out << ", " << FormatCount(report.passages()) << " passages in " << FormatCount(report.chunks()) << " chunks";
  }
  if (report.skipped_passages() > 0) out << ", " << FormatCount(report.skipped_passages()) << " without text";
  out << "\n";
}

void PrintEvalComparison(const v1::EvalComparison& comparison, std::ostream& out, const Terminal& terminal) {
  Table table({{"metric"},
               {"questions", Table::Align::kRight},
               {"A", Table::Align::kRight},
               {"B", Table::Align::kRight},
               {"B - A", Table::Align::kRight},
               {"95 %", Table::Align::kRight},
               {"p", Table::Align::kRight}});
  for (const v1::EvalComparison::Metric& metric : comparison.metrics()) {
    table.AddRow({OneLine(metric.name()), FormatCount(metric.questions()), FormatNumber(metric.a(), 4),
                  FormatNumber(metric.b(), 4), FormatNumber(metric.difference(), 4),
                  absl::StrCat(FormatNumber(metric.low(), 4), " to ", FormatNumber(metric.high(), 4)),
                  FormatNumber(metric.p(), 4)});
  }
  table.Print(out, terminal);
  out << FormatCount(comparison.questions()) << " questions in both, " << FormatCount(comparison.only_in_a())
      << " only in A, " << FormatCount(comparison.only_in_b()) << " only in B\n";
}

std::string RiskCoveragePlot(const v1::EvalReport& report) {
  eval::PlotSeries series{"risk", {}};
  for (const v1::EvalAbstention::Point& point : report.abstention().curve()) {
    series.points.emplace_back(point.coverage(), point.risk());
  }
  return eval::RenderSvg({"Risk by coverage",
                          "answered, share of all questions",
                          "answered wrongly, share of the answered",
                          1,
                          1,
                          {std::move(series)}});
}

std::string RecallPlot(const v1::EvalReport& report) {
  eval::LinePlot plot{"Recall by passages", "passages", "recall", 1, 1, {}};
  for (const char* stage : kStages) {
    std::map<double, double> recall;
    for (const v1::EvalMetric& metric : report.groups(0).metrics()) {
      const std::vector<std::string> parts = absl::StrSplit(metric.name(), '@');
      double k = 0;
      if (parts.size() != 2 || parts[0] != absl::StrCat(stage, ".recall") || !absl::SimpleAtod(parts[1], &k)) continue;
      recall[k] = metric.mean();
      plot.x_max = std::max(plot.x_max, k);
    }
    if (!recall.empty()) plot.series.push_back({stage, {recall.begin(), recall.end()}});
  }
  return eval::RenderSvg(plot);
}

}  // namespace lastro::services
