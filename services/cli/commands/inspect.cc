#include <cmath>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "services/cli/commands/commands.h"
#include "services/cli/format.h"
#include "services/cli/npy.h"
#include "services/cli/table.h"

namespace lastro::services {
namespace {

struct InspectOptions {
  std::string text;
  bool ids = false;
  int top = 0;
  std::string logits;
};

absl::Status ParseIds(absl::string_view text, v1::TokenIds* ids) {
  for (absl::string_view word : absl::StrSplit(text, absl::ByAnyChar(" ,\t\r\n"), absl::SkipEmpty())) {
    int32_t id = 0;
    if (!absl::SimpleAtoi(word, &id)) {
      return absl::InvalidArgumentError(absl::StrCat("'", word,
                                                     "' is no token id; give numbers as 'lastro tokenize "
                                                     "--ids' prints them"));
    }
    ids->add_ids(id);
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::InspectPromptRequest> MakeRequest(const InspectOptions& options, Session& session) {
  v1::InspectPromptRequest request;
  request.set_top(options.top);
  request.set_include_logits(!options.logits.empty());
  LASTRO_ASSIGN_OR_RETURN(std::string text, session.TextOrInput(options.text, "the text"));
  if (options.ids) {
    LASTRO_RETURN_IF_ERROR(ParseIds(text, request.mutable_prompt()->mutable_tokens()));
  } else {
    request.mutable_prompt()->set_text(std::move(text));
  }
  return request;
}

std::string Shown(const std::string& token, double logprob) {
  return absl::StrCat(token, " ", FormatShare(std::exp(logprob)));
}

void PrintTable(const v1::InspectPromptResponse& response, Session& session) {
  Table table({{"#", Table::Align::kRight},
               {"id", Table::Align::kRight},
               {"token"},
               {"log p", Table::Align::kRight},
               {"most likely next"}});
  int position = 0;
  for (const auto& entry : response.positions()) {
    std::string next;
    for (const v1::TokenProbability& candidate : entry.next()) {
      absl::StrAppend(&next, next.empty() ? "" : " | ", Shown(candidate.token(), candidate.logprob()));
    }
    table.AddRow({absl::StrCat(position++), absl::StrCat(entry.token().id()), entry.token().token(),
                  entry.has_logprob() ? FormatNumber(entry.logprob(), 3) : "", next});
  }
  table.Print(session.out(), session.out_terminal());
}

absl::StatusOr<int> RunInspect(const InspectOptions& options, Session& session) {
  LASTRO_ASSIGN_OR_RETURN(v1::InspectPromptRequest request, MakeRequest(options, session));
  LASTRO_ASSIGN_OR_RETURN(Node * node, session.node());
  LASTRO_ASSIGN_OR_RETURN(v1::InspectPromptResponse response,
                          node->inspect().InspectPrompt(request, session.context()));
  if (!options.logits.empty()) {
    LASTRO_RETURN_IF_ERROR(
        WriteNpy(options.logits, response.positions_size(), response.vocab_size(), response.logits()));
    response.clear_logits();  // they are in the file
  }
  if (session.options().json) {
    LASTRO_RETURN_IF_ERROR(session.PrintJson(response));
  } else {
    PrintTable(response, session);
  }
  return kExitOk;
}

}  // namespace

void AddInspectCommand(CommandSet* set) {
  auto options = std::make_shared<InspectOptions>();
  CLI::App* command =
      set->Add("inspect", "Shows what the decoder holds likely at each position of a text",
               {"lastro inspect \"The capital of Portugal is\"", "lastro inspect --top 10 --json \"Once upon a\"",
                "lastro inspect --ids \"1 54 902\" --logits logits.npy"});
  command->add_option("text", options->text, "The text; - reads standard input")->required();
  command->add_flag("--ids", options->ids, "The text is token ids, separated by spaces or commas");
  command->add_option("--top", options->top, "Next tokens shown, at most 20 (default 5)")->type_name("N");
  command
      ->add_option("--logits", options->logits, "Write all logits, [positions, vocabulary], as a NumPy file (float32)")
      ->type_name("FILE");
  set->OnRun(command, [options](Session& session) { return RunInspect(*options, session); });
}

}  // namespace lastro::services
