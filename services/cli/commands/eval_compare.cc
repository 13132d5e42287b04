#include "base/status_macros.h"
#include "services/cli/commands/commands.h"
#include "services/cli/eval_view.h"
#include "services/eval/comparison.h"
#include "services/eval/input_file.h"

namespace lastro::services {
namespace {

struct CompareOptions {
  std::string a;
  std::string b;
  uint64_t seed = 1;
};

absl::StatusOr<std::vector<v1::EvalQuestion>> ReadQuestions(const std::string& path) {
  LASTRO_ASSIGN_OR_RETURN(std::string content, eval::ReadInput(path));
  return eval::ReadQuestionLines(content, path);
}

absl::StatusOr<int> RunCompare(const CompareOptions& options, Session& session) {
  LASTRO_ASSIGN_OR_RETURN(std::vector<v1::EvalQuestion> a, ReadQuestions(options.a));
  LASTRO_ASSIGN_OR_RETURN(std::vector<v1::EvalQuestion> b, ReadQuestions(options.b));
  LASTRO_ASSIGN_OR_RETURN(v1::EvalComparison comparison, eval::Compare(a, b, options.seed, session.context()));
  if (session.options().json) {
    LASTRO_RETURN_IF_ERROR(session.PrintJson(comparison));
  } else {
    PrintEvalComparison(comparison, session.out(), session.out_terminal());
  }
  return kExitOk;
}

}  // namespace

void AddEvalCompareCommand(CommandSet* set, CLI::App* eval) {
  auto options = std::make_shared<CompareOptions>();
  CLI::App* command = set->AddTo(eval, "compare", "Compares two evaluations of the same questions by paired bootstrap",
                                 {"lastro eval compare before/questions.jsonl after/questions.jsonl",
                                  "lastro eval compare a.jsonl b.jsonl --seed 7 --json"});
  command->add_option("a", options->a, "questions.jsonl of the first")->type_name("FILE")->required();
  command->add_option("b", options->b, "questions.jsonl of the second")->type_name("FILE")->required();
  command->add_option("--seed", options->seed, "Of the draws (default 1)")->type_name("N");
  set->OnRun(command, [options](Session& session) { return RunCompare(*options, session); });
}

}  // namespace lastro::services
