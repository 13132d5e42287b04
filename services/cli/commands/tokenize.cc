#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "services/cli/commands/commands.h"
#include "services/cli/table.h"

namespace lastro::services {
namespace {

struct TokenizeOptions {
  std::string text;
  std::string model = "decoder";
  bool ids = false;
  bool add_special = false;
};

void PrintIds(const v1::TokenizeTextResponse& response, Session& session) {
  auto id = [](std::string* out, const v1::InspectedToken& token) { absl::StrAppend(out, token.id()); };
  session.out() << absl::StrJoin(response.tokens(), " ", id) << "\n";
}

void PrintTable(const v1::TokenizeTextResponse& response, Session& session) {
  Table table({{"#", Table::Align::kRight},
               {"id", Table::Align::kRight},
               {"begin", Table::Align::kRight},
               {"end", Table::Align::kRight},
               {"token"}});
  int position = 0;
  for (const v1::InspectedToken& token : response.tokens()) {
    table.AddRow({absl::StrCat(position++), absl::StrCat(token.id()), absl::StrCat(token.begin()),
                  absl::StrCat(token.end()), token.token()});
  }
  table.Print(session.out(), session.out_terminal());
}

absl::StatusOr<int> RunTokenize(const TokenizeOptions& options, Session& session) {
  v1::TokenizeTextRequest request;
  LASTRO_ASSIGN_OR_RETURN(*request.mutable_text(), session.TextOrInput(options.text, "the text"));
  request.set_model(options.model == "embedder" ? v1::MODEL_ROLE_EMBEDDER : v1::MODEL_ROLE_DECODER);
  request.set_add_special(options.add_special);
  LASTRO_ASSIGN_OR_RETURN(Node * node, session.node());
  LASTRO_ASSIGN_OR_RETURN(v1::TokenizeTextResponse response, node->inspect().TokenizeText(request, session.context()));
  if (session.options().json) {
    LASTRO_RETURN_IF_ERROR(session.PrintJson(response));
  } else if (options.ids) {
    PrintIds(response, session);
  } else {
    PrintTable(response, session);
  }
  return kExitOk;
}

}  // namespace

void AddTokenizeCommand(CommandSet* set) {
  auto options = std::make_shared<TokenizeOptions>();
  CLI::App* command =
      set->Add("tokenize", "Shows the tokens of a text as a model sees them",
               {"lastro tokenize \"Bom dia, mundo\"", "lastro tokenize --model embedder --ids --add-special \"a text\"",
                "lastro tokenize --json - < text.txt"});
  command->add_option("text", options->text, "The text; - reads standard input")->required();
  command->add_option("--model", options->model, "decoder or embedder")
      ->check(CLI::IsMember({"decoder", "embedder"}))
      ->type_name("ROLE");
  command->add_flag("--ids", options->ids, "Print the ids only, on one line, separated by spaces");
  command->add_flag("--add-special", options->add_special, "Add the model's own begin and end tokens");
  set->OnRun(command, [options](Session& session) { return RunTokenize(*options, session); });
}

}  // namespace lastro::services
