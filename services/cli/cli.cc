#include "services/cli/cli.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "services/cli/command_set.h"
#include "services/cli/commands/commands.h"
#include "services/cli/help_formatter.h"
#include "services/cli/text_width.h"
#include "services/scope_headers.h"

namespace lastro::services {
namespace {

constexpr char kAbout[] =
    "Answers questions from your own documents, with citations verified to the byte.\n"
    "Without --server everything runs in this process, on the data folder.";

constexpr char kFooter[] =
    "Begin:\n"
    "  lastro ingest ~/Documents/handbook\n"
    "  lastro ask \"How many days of leave do I have?\"\n"
    "Environment:\n"
    "  LASTRO_DATA     the data folder (--data)\n"
    "  LASTRO_SERVER   HOST:PORT of a server (--server)\n"
    "  LASTRO_MODELS   the folder of the built-in models\n"
    "  NO_COLOR        set: no colours\n"
    "Exit codes:\n"
    "  0    ok (also a question that the documents do not answer)\n"
    "  1    failure\n"
    "  2    wrong usage or invalid argument\n"
    "  3    ingest --strict: some files were not ingested; doctor: something is\n"
    "       damaged; eval --probes: an attack succeeded\n"
    "  4    ask --fail-on-abstain: the documents do not answer the question\n"
    "  5    a server cannot be reached, or --timeout ran out\n"
    "  6    replay: an answer is not what it was\n"
    "  130  interrupted (Ctrl-C)";

void AddGlobalOptions(CLI::App& app, GlobalOptions* options) {
  app.add_option("--data", options->data, "Data folder (default: $LASTRO_DATA or ~/.local/share/lastro)")
      ->type_name("DIR");
  app.add_option("--server", options->server, "Work on this server instead of in process")
      ->type_name("HOST:PORT")
      ->envname("LASTRO_SERVER");
  app.add_option("--collection", options->collection, "Collection of documents (default: default)")->type_name("NAME");
  app.add_option("--tenant", options->tenant, "Whose collections (default: the tenant without a name)")
      ->type_name("NAME");
  app.add_option("--labels", options->labels,
                 "See only what these access labels open, and what has none (default: all)")
      ->type_name("LABEL,...");
  app.add_flag("--json", options->json, "Print one JSON object");
  app.add_option("--vector-index", options->vector_index,
                 "Kind of the store's vector indexes: auto (default), exact, hnsw, ivf-sq or ivf-pq")
      ->type_name("KIND");
  app.add_option("--decoder", options->decoder, "Folder of the decoder (default: built in)")->type_name("DIR");
  app.add_option("--embedder", options->embedders,
                 "Folder of an embedding model; may be given again: new collections get the first, each is searched by "
                 "its own (default: built in)")
      ->type_name("DIR")
      ->allow_extra_args(false);
  app.add_option("--reranker", options->reranker,
                 "Folder of a cross-encoder, or built-in: the built-in reader (default: none)")
      ->type_name("DIR");
  app.add_option("--reader", options->reader, "Folder of a reader that points at answers, or none (default: built in)")
      ->type_name("DIR");
  app.add_option("--lora", options->adapters, "A LoRA adapter of the decoder; may be given again")
      ->type_name("NAME=DIR")
      ->allow_extra_args(false);
  AddComputeOptions(&app, &options->compute);
  app.add_option("--timeout", options->timeout_s, "Give up after so many seconds (default: never)")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.0, 1e9));
  app.add_flag("--no-color", options->no_color, "No colours");
  app.add_flag("-v,--verbose", options->verbose, "Tell more: durations and scores");
}

void AddCommands(CommandSet* set) {
  AddIngestCommand(set);
  AddAskCommand(set);
  AddReplayCommand(set);
  AddSearchCommand(set);
  AddDocsCommand(set);
  AddCollectionsCommand(set);
  AddReembedCommand(set);
  AddJobsCommand(set);
  AddStoreCommand(set);
  AddDoctorCommand(set);
  AddEmbedCommand(set);
  AddClusterCommand(set);
  AddRerankCommand(set);
  AddGenerateCommand(set);
  AddChatCommand(set);
  AddTokenizeCommand(set);
  AddInspectCommand(set);
  AddModelsCommand(set);
  AddEvalCommand(set);
  AddBenchCommand(set);
  AddQuantizeCommand(set);
  AddPerplexityCommand(set);
}

// What is wrong with the command line; of what no command knows, its name.
std::string ParseErrorText(const CLI::App& app, const CLI::ParseError& error) {
  const std::vector<std::string> unknown = app.remaining(true);
  const auto option = std::find_if(unknown.begin(), unknown.end(),
                                   [](const std::string& word) { return word.size() > 1 && word[0] == '-'; });
  if (option != unknown.end()) return absl::StrCat("there is no option ", OneLine(*option));
  const bool no_command = dynamic_cast<const CLI::RequiredError*>(&error) != nullptr && !unknown.empty();
  return no_command ? absl::StrCat("there is no command ", OneLine(unknown[0])) : OneLine(error.what());
}

int ReportParseError(const CLI::App& app, const CLI::ParseError& error, Environment& environment) {
  if (error.get_exit_code() == 0) return app.exit(error, environment.out, environment.err);  // --help, --version
  const CLI::App* command = &app;
  std::string name = "lastro";
  while (!command->get_subcommands().empty()) {
    command = command->get_subcommands().front();
    absl::StrAppend(&name, " ", command->get_name());
  }
  environment.err << "lastro: " << ParseErrorText(app, error) << "; see '" << name << " --help'\n";
  return kExitUsage;
}

int Run(const CommandSet& set, const GlobalOptions& options, Environment& environment) {
  if (options.no_color) environment.out_terminal.colours = environment.err_terminal.colours = false;
  absl::StatusOr<Scope> scope = ScopeOfHeaders({options.tenant, options.labels}, /*required=*/false);
  if (!scope.ok()) {
    environment.err << ErrorLine(scope.status()) << "\n";
    return ExitCodeOf(scope.status());
  }
  Session session(environment, options, *scope);
  absl::StatusOr<int> result = set.Chosen()(session);
  environment.out.flush();
  if (result.ok()) return session.interrupted() ? int{kExitInterrupted} : *result;
  if (session.interrupted()) {
    environment.err << "lastro: interrupted\n";
    return kExitInterrupted;
  }
  if (environment.out.fail()) return kExitOk;  // the reader has gone, which ended the call; main() looks at the stream
  environment.err << ErrorLine(result.status()) << "\n";
  return ExitCodeOf(result.status());
}

absl::StatusOr<std::string> DefaultDataFolder() {
  if (const char* data = std::getenv("LASTRO_DATA"); data != nullptr && *data != '\0') return std::string(data);
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home == '\0') {
    return absl::InvalidArgumentError("neither $LASTRO_DATA nor $HOME is set; name a data folder with --data DIR");
  }
  return absl::StrCat(home, "/.local/share/lastro");
}

}  // namespace

absl::StatusOr<std::string> LocalDataFolder(const GlobalOptions& options) {
  if (!options.server.empty()) {
    return absl::InvalidArgumentError(
        "this works on the files of a data folder, not over --server; run it where the folder is, with --data DIR");
  }
  if (!options.data.empty()) return options.data;
  return DefaultDataFolder();
}

int RunCli(const std::vector<std::string>& arguments, Environment& environment) {
  CLI::App app(kAbout, "lastro");
  app.footer(kFooter);
  app.set_version_flag("--version", "lastro " LASTRO_VERSION);
  app.require_subcommand(1);
  app.formatter(std::make_shared<HelpFormatter>(environment.out_terminal.columns));
  GlobalOptions options;
  AddGlobalOptions(app, &options);
  CommandSet set(&app);
  AddCommands(&set);
  if (arguments.empty()) {
    environment.err << app.help();
    return kExitUsage;
  }
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));  // CLI11 takes them last first
  } catch (const CLI::ParseError& error) {
    return ReportParseError(app, error, environment);
  }
  return Run(set, options, environment);
}

absl::StatusOr<std::unique_ptr<Node>> MakeNodeFromOptions(const GlobalOptions& options) {
  if (!options.server.empty()) return ConnectToServer(options.server);
  NodeConfig config;
  config.roles = {Role::kEmbedding, Role::kGeneration, Role::kRetrieval, Role::kIngest, Role::kAsk};
  LASTRO_ASSIGN_OR_RETURN(config.data_folder, LocalDataFolder(options));
  config.decoder_folder = options.decoder;
  config.embedder_folders = options.embedders;
  config.reranker_folder = options.reranker;
  config.reader_folder = options.reader;
  config.adapters = options.adapters;
  config.compute = options.compute;
  config.lazy_models = true;
  return Node::Create(config);
}

}  // namespace lastro::services
