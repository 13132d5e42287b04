#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "services/cli/commands/commands.h"
#include "services/cli/format.h"
#include "services/cli/table.h"
#include "services/cli/text_width.h"

namespace lastro::services {
namespace {

struct NameOptions {
  std::string name;
  bool yes = false;
};

absl::StatusOr<int> ListCollections(Session& session) {
  LASTRO_ASSIGN_OR_RETURN(Node * node, session.node());
  LASTRO_ASSIGN_OR_RETURN(v1::ListCollectionsResponse response,
                          node->retrieval().ListCollections({}, session.context()));
  if (session.options().json) {
    LASTRO_RETURN_IF_ERROR(session.PrintJson(response));
    return kExitOk;
  }
  Table table({{"name"},
               {"documents", Table::Align::kRight},
               {"chunks", Table::Align::kRight},
               {"embedding model"},
               {"created", Table::Align::kRight}});
  for (const v1::Collection& collection : response.collections()) {
    table.AddRow({collection.name(), FormatCount(collection.documents()), FormatCount(collection.chunks()),
                  collection.embedding_model(), FormatTime(collection.created_at())});
  }
  if (table.empty()) {
    session.out() << "No collections. Begin with: lastro ingest FOLDER\n";
  } else {
    table.Print(session.out(), session.out_terminal());
  }
  return kExitOk;
}

absl::StatusOr<int> RunShow(const NameOptions& options, Session& session) {
  LASTRO_ASSIGN_OR_RETURN(Node * node, session.node());
  v1::GetCollectionRequest request;
  request.set_collection(options.name.empty() ? session.options().collection : options.name);
  LASTRO_ASSIGN_OR_RETURN(v1::Collection collection, node->retrieval().GetCollection(request, session.context()));
  if (session.options().json) {
    LASTRO_RETURN_IF_ERROR(session.PrintJson(collection));
    return kExitOk;
  }
  Properties properties;
  properties.Add("name", collection.name());
  properties.Add("documents", FormatCount(collection.documents()));
  properties.Add("chunks", FormatCount(collection.chunks()));
  properties.Add("embedding model", collection.embedding_model());
  properties.Add("dimension", absl::StrCat(collection.dimension()));
  properties.Add("fingerprint", collection.embedding_fingerprint());
  properties.Add("created", FormatTime(collection.created_at()));
  properties.Print(session.out(), session.out_terminal());
  return kExitOk;
}

// Asks on a terminal; elsewhere --yes is needed.
absl::Status Confirm(const NameOptions& options, Session& session) {
  if (options.yes) return absl::OkStatus();
  if (!session.in_is_terminal()) {
    return absl::InvalidArgumentError("deleting a collection must be confirmed; add --yes");
  }
  session.err() << "Delete collection " << OneLine(options.name) << " with everything in it? [y/N] " << std::flush;
  std::string answer;
  std::getline(session.in(), answer);
  answer = absl::AsciiStrToLower(absl::StripAsciiWhitespace(answer));
  if (answer == "y" || answer == "yes") return absl::OkStatus();
  return absl::CancelledError("nothing was deleted; answer y to delete");
}

absl::StatusOr<int> RunDelete(const NameOptions& options, Session& session) {
  LASTRO_RETURN_IF_ERROR(Confirm(options, session));
  LASTRO_ASSIGN_OR_RETURN(Node * node, session.node());
  v1::DeleteCollectionRequest request;
  request.set_collection(options.name);
  LASTRO_ASSIGN_OR_RETURN(v1::DeleteCollectionResponse response,
                          node->retrieval().DeleteCollection(request, session.context()));
  if (session.options().json) {
    LASTRO_RETURN_IF_ERROR(session.PrintJson(response));
  } else {
    session.out() << "Deleted collection " << OneLine(options.name) << ".\n";
  }
  return kExitOk;
}

}  // namespace

void AddCollectionsCommand(CommandSet* set) {
  CLI::App* collections = set->Add("collections", "Lists, shows and deletes collections",
                                   {"lastro collections list", "lastro collections delete old"});
  collections->require_subcommand(1);
  CLI::App* list = set->AddTo(collections, "list", "Lists collections",
                              {"lastro collections list", "lastro collections list --json"});
  set->OnRun(list, ListCollections);

  auto show_options = std::make_shared<NameOptions>();
  CLI::App* show = set->AddTo(collections, "show", "Shows one collection",
                              {"lastro collections show", "lastro collections show handbook --json"});
  show->add_option("name", show_options->name, "Its name (default: --collection)");
  set->OnRun(show, [show_options](Session& session) { return RunShow(*show_options, session); });

  auto delete_options = std::make_shared<NameOptions>();
  CLI::App* remove = set->AddTo(collections, "delete", "Deletes a collection with everything in it",
                                {"lastro collections delete old", "lastro collections delete old --yes"});
  remove->add_option("name", delete_options->name, "Its name")->required();
  remove->add_flag("--yes", delete_options->yes, "Do not ask");
  set->OnRun(remove, [delete_options](Session& session) { return RunDelete(*delete_options, session); });
}

}  // namespace lastro::services
