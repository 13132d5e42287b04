#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "services/cli/commands/commands.h"
#include "services/cli/format.h"
#include "services/cli/table.h"

namespace lastro::services {
namespace {

const char* RoleName(v1::ModelRole role) {
  switch (role) {
    case v1::MODEL_ROLE_DECODER:
      return "decoder";
    case v1::MODEL_ROLE_EMBEDDER:
      return "embedder";
    case v1::MODEL_ROLE_RERANKER:
      return "reranker";
    case v1::MODEL_ROLE_READER:
      return "reader";
    case v1::MODEL_ROLE_ADAPTER:
      return "adapter";
    default:
      return "?";
  }
}

absl::StatusOr<int> RunModels(Session& session) {
  LASTRO_ASSIGN_OR_RETURN(Node * node, session.node());
  LASTRO_ASSIGN_OR_RETURN(v1::ListModelsResponse response, node->models().ListModels({}, session.context()));
  if (session.options().json) {
    LASTRO_RETURN_IF_ERROR(session.PrintJson(response));
    return kExitOk;
  }
  Table table({{"role"},
               {"name"},
               {"architecture"},
               {"parameters", Table::Align::kRight},
               {"max tokens", Table::Align::kRight},
               {"vocabulary", Table::Align::kRight},
               {"device"},
               {"fingerprint"}});
  for (const v1::Model& model : response.models()) {
    table.AddRow({RoleName(model.role()), model.name(), model.architecture(), FormatCount(model.parameters()),
                  FormatCount(model.max_tokens()), FormatCount(model.vocab_size()), model.device(),
                  model.fingerprint().substr(0, 12)});
  }
  table.Print(session.out(), session.out_terminal());
  return kExitOk;
}

}  // namespace

void AddModelsCommand(CommandSet* set) {
  CLI::App* command =
      set->Add("models", "Lists the models in use", {"lastro models", "lastro models --server localhost:7420 --json"});
  set->OnRun(command, RunModels);
  AddModelsVerifyCommand(set, command);
}

}  // namespace lastro::services
