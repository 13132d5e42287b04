#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "services/cli/answer_view.h"
#include "services/cli/commands/ask_chat.h"
#include "services/cli/commands/commands.h"
#include "services/cli/filter_parser.h"
#include "services/cli/format.h"
#include "services/cli/source_lines.h"

namespace lastro::services {
namespace {

struct AskOptions {
  std::string question;
  std::string mode = "quote";
  int max_passages = 0;
  int max_sentences = 0;
  int max_new_tokens = 0;
  std::string filter;
  std::optional<double> min_evidence;
  std::optional<double> max_risk;
  std::string unsupported = "mark";
  bool free_quotes = false;
  bool show_passages = false;
  bool chat = false;
  bool fail_on_abstain = false;
  double temperature = 0;
  uint64_t seed = 0;
};

absl::StatusOr<v1::AskRequest> MakeRequest(const AskOptions& options, Session& session) {
  v1::AskRequest request;
  if (!options.question.empty()) {
    LASTRO_ASSIGN_OR_RETURN(*request.mutable_question(), session.TextOrInput(options.question, "the question"));
  }
  LASTRO_ASSIGN_OR_RETURN(*request.mutable_filter(), ParseFilter(options.filter));
  request.set_collection(session.options().collection);
  request.set_mode(options.mode == "generate" ? v1::ANSWER_MODE_GENERATE : v1::ANSWER_MODE_QUOTE);
  request.set_max_passages(options.max_passages);
  request.set_max_sentences(options.max_sentences);
  request.set_max_new_tokens(options.max_new_tokens);
  request.mutable_sampling()->set_temperature(options.temperature);
  request.mutable_sampling()->set_seed(options.seed);
  if (options.min_evidence) request.set_min_evidence(*options.min_evidence);
  if (options.max_risk) request.set_max_risk(*options.max_risk);
  if (options.unsupported == "withhold") request.set_unsupported(v1::UNSUPPORTED_TEXT_WITHHOLD);
  if (options.free_quotes) request.set_verbatim_quotes(false);
  request.set_include_passages(options.show_passages);
  return request;
}

void PrintDurations(const v1::Answer& answer, Session& session) {
  session.err() << "evidence " << FormatNumber(answer.evidence(), 3) << " (threshold "
                << FormatNumber(answer.evidence_threshold(), 3) << ")";
  for (const v1::StageDuration& stage : answer.durations()) {
    session.err() << ", " << stage.stage() << " " << FormatNumber(stage.duration_ms(), 1) << " ms";
  }
  session.err() << "\n";
}

absl::Status PrintForPeople(const v1::AskRequest& request, const v1::Answer& answer, Node& node, Session& session) {
  std::vector<v1::Citation> citations = DistinctCitations(answer);
  std::vector<LineRange> lines = FindLines(citations, request.collection(), node.retrieval(), session.context());
  PrintAnswer(answer, citations, lines, session.out_terminal(), session.out());
  if (request.include_passages()) PrintPassages(answer, session.out_terminal(), session.out());
  if (session.options().verbose) PrintDurations(answer, session);
  return absl::OkStatus();
}

// Asks, showing the text as it is made; the live text is taken away before the answer or an error is printed.
absl::StatusOr<v1::Answer> AskLive(const v1::AskRequest& request, Node& node, Session& session) {
  LiveText live(session.out_terminal(), session.out());
  auto sink = [&](const v1::AskStreamResponse& event) {
    if (event.has_text_delta()) live.Append(event.text_delta());
    return session.out().fail() ? absl::CancelledError("the output was closed") : absl::OkStatus();
  };
  absl::StatusOr<v1::Answer> answer = node.ask().Ask(request, session.context(), sink);
  live.Clear();
  return answer;
}

absl::StatusOr<v1::Answer> AskOnce(const v1::AskRequest& request, Session& session) {
  LASTRO_ASSIGN_OR_RETURN(Node * node, session.node());
  bool live = session.out_terminal().is_terminal && !session.options().json;
  LASTRO_ASSIGN_OR_RETURN(v1::Answer answer,
                          live ? AskLive(request, *node, session) : node->ask().Ask(request, session.context()));
  if (session.options().json) {
    LASTRO_RETURN_IF_ERROR(session.PrintJson(answer));
  } else {
    LASTRO_RETURN_IF_ERROR(PrintForPeople(request, answer, *node, session));
  }
  return answer;
}

absl::StatusOr<int> RunAsk(const AskOptions& options, Session& session) {
  if (options.question.empty() && !options.chat) {
    return absl::InvalidArgumentError("give a question, - to read it from standard input, or --chat");
  }
  if (options.question == "-" && options.chat) {
    return absl::InvalidArgumentError("--chat reads a question a line from standard input; leave - out");
  }
  LASTRO_ASSIGN_OR_RETURN(v1::AskRequest request, MakeRequest(options, session));
  if (options.chat) return AskInTurns(std::move(request), &AskOnce, session);
  LASTRO_ASSIGN_OR_RETURN(v1::Answer answer, AskOnce(request, session));
  bool abstained = answer.answerability() != v1::ANSWERED;
  return abstained && options.fail_on_abstain ? kExitAbstained : kExitOk;
}

}  // namespace

void AddAskCommand(CommandSet* set) {
  auto options = std::make_shared<AskOptions>();
  CLI::App* command = set->Add("ask", "Answers a question from the documents, with verified citations",
                               {"lastro ask \"How many days of leave do I have?\"",
                                "lastro ask --mode generate --show-passages \"Who approves a refund?\"",
                                "lastro ask --filter 'language = \"pt\" and year >= 2020' \"Qual o prazo?\" --json",
                                "lastro ask - < question.txt", "lastro ask --chat"});
  command->add_option("question", options->question, "The question; - reads standard input");
  command->add_flag("--chat", options->chat, "Converse: a question a line, each with what was said before");
  command->add_option("--mode", options->mode, "quote (words of the documents) or generate (free text)")
      ->check(CLI::IsMember({"quote", "generate"}))
      ->type_name("MODE");
  command->add_option("--top,--limit", options->max_passages, "Passages to retrieve, at most 50 (default 8)")
      ->type_name("N");
  command->add_option("--max-sentences", options->max_sentences, "quote: sentences, at most 8 (default 2)")
      ->type_name("N");
  command->add_option("--max-new-tokens", options->max_new_tokens, "generate: new tokens (default 128)")
      ->type_name("N");
  command->add_option("--temperature", options->temperature, "generate: 0 is greedy (default)")->type_name("X");
  command->add_option("--seed", options->seed, "generate: of the draws")->type_name("N");
  command->add_option("--filter", options->filter, "Only these documents, e.g. 'year >= 2020'")->type_name("EXPR");
  command->add_option("--min-evidence", options->min_evidence, "Abstain below this evidence, 0 to 1")
      ->type_name("X")
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--max-risk", options->max_risk, "Put up with so many wrong answers, 0 to 1 (default 0.38)")
      ->type_name("X")
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--unsupported", options->unsupported, "generate: mark or withhold what no source says")
      ->type_name("WHAT")
      ->check(CLI::IsMember({"mark", "withhold"}));
  command->add_flag("--free-quotes", options->free_quotes, "generate: let it quote otherwise than word for word");
  command->add_flag("--show-passages", options->show_passages, "Also show the passages that were considered");
  command->add_flag("--fail-on-abstain", options->fail_on_abstain, "Exit with 4 when there is no answer");
  set->OnRun(command, [options](Session& session) { return RunAsk(*options, session); });
}

}  // namespace lastro::services
