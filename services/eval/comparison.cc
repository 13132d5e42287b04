#include "services/eval/comparison.h"

#include <map>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "google/protobuf/util/json_util.h"
#include "services/eval/input_file.h"
#include "services/eval/statistics.h"

namespace lastro::services::eval {
namespace {

struct Pairs {
  std::vector<double> a;
  std::vector<double> b;
};

void AddPairs(const v1::EvalQuestion& a, const v1::EvalQuestion& b, std::map<std::string, Pairs>* pairs) {
  for (const auto& [name, value] : a.metrics()) {
    auto other = b.metrics().find(name);
    if (other == b.metrics().end()) continue;
    (*pairs)[name].a.push_back(value);
    (*pairs)[name].b.push_back(other->second);
  }
}

void FillMetric(const std::string& name, const Pairs& pairs, uint64_t seed, v1::EvalComparison::Metric* metric) {
  const PairedComparison compared = ComparePaired(pairs.a, pairs.b, seed);
  metric->set_name(name);
  metric->set_questions(static_cast<int>(pairs.a.size()));
  metric->set_a(Mean(pairs.a));
  metric->set_b(Mean(pairs.b));
  metric->set_difference(compared.difference);
  metric->set_low(compared.interval.low);
  metric->set_high(compared.interval.high);
  metric->set_p(compared.p);
}

}  // namespace

absl::StatusOr<std::vector<v1::EvalQuestion>> ReadQuestionLines(absl::string_view content, const std::string& path) {
  std::vector<v1::EvalQuestion> questions;
  absl::flat_hash_set<std::string> ids;
  LASTRO_RETURN_IF_ERROR(ForEachLine(content, path, [&](absl::string_view line, const std::string& where) {
    v1::EvalQuestion question;
    auto status = google::protobuf::util::JsonStringToMessage(std::string(line), &question);
    if (!status.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, " is not what lastro eval writes: ", std::string(status.message())));
    }
    for (const auto& [name, value] : question.metrics()) {
      if (value >= 0 && value <= 1 + 1e-9) continue;  // and is a number
      return absl::InvalidArgumentError(absl::StrCat(where, ": the metric ", name, " is not from 0 to 1"));
    }
    if (!ids.insert(question.id()).second) {
      return absl::InvalidArgumentError(absl::StrCat(where, ": the question ", question.id(), " was there already"));
    }
    questions.push_back(std::move(question));
    return absl::OkStatus();
  }));
  return questions;
}

absl::StatusOr<v1::EvalComparison> Compare(absl::Span<const v1::EvalQuestion> a, absl::Span<const v1::EvalQuestion> b,
                                           uint64_t seed, const CallContext& context) {
  absl::flat_hash_map<absl::string_view, const v1::EvalQuestion*> by_id;
  for (const v1::EvalQuestion& question : b) by_id[question.id()] = &question;
  std::map<std::string, Pairs> pairs;
  int common = 0;
  for (const v1::EvalQuestion& question : a) {
    auto other = by_id.find(question.id());
    if (other == by_id.end()) continue;
    ++common;
    AddPairs(question, *other->second, &pairs);
  }
  if (common == 0) return absl::InvalidArgumentError("no question is in both files");
  v1::EvalComparison comparison;
  comparison.set_questions(common);
  comparison.set_only_in_a(static_cast<int>(a.size()) - common);
  comparison.set_only_in_b(static_cast<int>(b.size()) - common);
  comparison.set_seed(seed);
  for (const auto& [name, values] : pairs) {
    LASTRO_RETURN_IF_ERROR(context.Check());
    FillMetric(name, values, seed, comparison.add_metrics());
  }
  return comparison;
}

}  // namespace lastro::services::eval
