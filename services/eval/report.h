// The report of an evaluation: what all its questions say together. Not thread-safe.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/call_context.h"
#include "lastro/v1/eval.pb.h"
#include "services/eval/abstention_metrics.h"

namespace lastro::services::eval {

struct ReportSettings {
  double precision = 0.8;  // of the threshold that is chosen
  uint64_t seed = 1;       // of the bootstrap
};

class ReportBuilder {
 public:
  void Add(const v1::EvalQuestion& question);

  // Fills groups, abstention, durations and tokens of `report`.
  // CANCELLED or DEADLINE_EXCEEDED: what `context` ended with.
  absl::Status Fill(const ReportSettings& settings, const CallContext& context, v1::EvalReport* report) const;

 private:
  using Values = std::map<std::string, std::vector<double>>;  // by name
  void AddAnswer(const v1::EvalQuestion& question);
  absl::Status FillGroups(const ReportSettings& settings, const CallContext& context, v1::EvalReport* report) const;
  void FillAbstention(const ReportSettings& settings, v1::EvalReport* report) const;

  std::map<std::string, Values> metrics_;  // by group; "": all
  std::map<std::string, int> questions_;   // by group
  Values durations_ms_;                    // by stage
  std::vector<double> prompt_tokens_;
  std::vector<double> completion_tokens_;
  std::vector<Attempt> attempts_;
  double default_threshold_ = 0;
};

}  // namespace lastro::services::eval
