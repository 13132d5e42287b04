#include "services/config.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <map>
#include <memory>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "retrieval/index_kind.h"
#include "services/cli/help_formatter.h"
#include "services/composed_node.h"
#include "services/milvus/milvus_flags.h"
#include "services/remote/remote_channel.h"
#include "services/store_address.h"

namespace lastro::services {
namespace {

constexpr char kAbout[] =
    "lastrod: the server of Lastro. Hosts the roles of --roles behind gRPC; reaches the others at their addresses.\n"
    "Prints 'ready on HOST:PORT' when it serves; its log goes to standard error.";

constexpr char kFooter[] =
    "Examples:\n"
    "  lastrod --data /var/lib/lastro\n"
    "  lastrod --roles=embedding --listen 127.0.0.1:7421\n"
    "  lastrod --roles=retrieval --data /var/lib/lastro --embedding-address 127.0.0.1:7421\n"
    "  lastrod --store milvus:10.0.0.5:19530 --milvus-tls\n"
    "  lastrod --config /etc/lastro/lastrod.conf\n"
    "\n"
    "SIGTERM or SIGINT: health becomes NOT_SERVING, new calls are refused, running ones get --drain-seconds to "
    "finish;\n"
    "ingestion jobs go on at the next start. A second signal ends the process at once.\n"
    "\n"
    "Exit codes: 0 stopped in order; 1 could not start; 2 wrong usage or configuration.";

constexpr Role kAllRoles[] = {Role::kEmbedding, Role::kGeneration, Role::kRetrieval, Role::kIngest, Role::kAsk};

// The options as they are written; Convert() makes a configuration of them.
struct RawOptions {
  std::string roles = "all";
  std::string data;
  std::string store;
  std::string log_level = "info";
  bool no_folders = false;
  int drain_seconds = 20;
  std::map<Role, std::string> addresses;
};

void AddServing(CLI::App* app, RawOptions* raw, DaemonConfig* config) {
  app->add_option("--roles", raw->roles, "embedding,ingest,retrieval,generation,ask, or all")->capture_default_str();
  app->add_option("--listen", config->listen, "HOST:PORT; port 0: any free one")->capture_default_str();
  for (Role role : kAllRoles) {
    app->add_option(absl::StrCat("--", RoleName(role), "-address"), raw->addresses[role],
                    absl::StrCat("HOST:PORT of the ", RoleName(role), " role where it is hosted elsewhere"));
  }
  app->add_option("--max-running-texts", config->node.max_running_texts,
                  "generation calls that run at once, sharing steps of the model; more wait")
      ->check(CLI::Range(1, 512))
      ->capture_default_str();
  app->add_option("--max-waiting-calls", config->node.max_waiting_calls,
                  "calls of each kind that may wait for compute; more are RESOURCE_EXHAUSTED")
      ->check(CLI::Range(0, 512))
      ->capture_default_str();
  app->add_option("--drain-seconds", raw->drain_seconds, "time for running calls at shutdown")
      ->check(CLI::Range(0, 3600))
      ->capture_default_str();
  app->add_flag("--require-scope", config->requires_scope,
                "refuse calls that do not say their tenant and access labels (lastro-tenant, lastro-labels)");
  app->add_option("--tls-cert", config->tls_cert, "PEM certificate chain; with --tls-key the server speaks TLS");
  app->add_option("--tls-key", config->tls_key, "PEM private key");
}

void AddComponents(CLI::App* app, RawOptions* raw, DaemonConfig* config) {
  NodeConfig& node = config->node;
  app->add_option("--data", raw->data, "data folder of the store; default $LASTRO_DATA, else ~/.local/share/lastro");
  app->add_option("--store", raw->store, "milvus:HOST:PORT: the store is in a Milvus, not in a data folder");
  AddMilvusFlags(app, &node.milvus);
  app->add_option("--vector-index", node.vector_index,
                  "kind of the store's vector indexes: auto (by size), exact, hnsw, ivf-sq or ivf-pq")
      ->capture_default_str();
  app->add_option("--vector-gpu-memory", node.vector_gpu_bytes,
                  "memory of the GPU (of --device, its first) for vectors, such as 8GiB: indexes that fit are searched "
                  "there, exactly; beside --gpu-memory, which must leave so much where it is given; default: none are")
      ->option_text("SIZE")
      ->check(CLI::PositiveNumber)
      ->transform(CLI::AsSizeValue(false));
  app->add_option("--decoder", node.decoder_folder, "folder of the decoder; default: the built-in one");
  app->add_option(
         "--embedder", node.embedder_folders,
         "folder of an embedding model; may be given again: new collections get the first, each is searched by "
         "its own; default: the built-in one")
      ->allow_extra_args(false);
  app->add_option("--reranker", node.reranker_folder,
                  "folder of a cross-encoder, or built-in: the built-in reader; default: none");
  app->add_option("--reader", node.reader_folder,
                  "folder of a reader that points at answers, or none; default: the built-in one");
  app->add_option("--lora", node.adapters, "NAME=DIR of a LoRA adapter of the decoder; may be given again")
      ->allow_extra_args(false);
  AddComputeOptions(app, &node.compute);
  app->add_option("--allowed-folder-root", node.allowed_folder_root, "IngestFolder reads only below this folder");
  app->add_flag("--no-folders", raw->no_folders, "IngestFolder is PERMISSION_DENIED; documents are uploaded");
  app->add_option("--log-level", raw->log_level, "debug, info, warning, error or off")->capture_default_str();
  app->add_flag("--log-json", config->log_json, "log one JSON object a line");
}

absl::StatusOr<std::string> DataFolder(const std::string& given) {
  if (!given.empty()) return given;
  if (const char* data = std::getenv("LASTRO_DATA"); data != nullptr && *data != '\0') return std::string(data);
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home == '\0') {
    return absl::InvalidArgumentError("neither $LASTRO_DATA nor $HOME is set; name a data folder with --data DIR");
  }
  return absl::StrCat(home, "/.local/share/lastro");
}

absl::Status ChooseStore(const RawOptions& raw, NodeConfig* node) {
  if (raw.store.empty()) {
    LASTRO_ASSIGN_OR_RETURN(node->data_folder, DataFolder(raw.data));
    return absl::OkStatus();
  }
  LASTRO_ASSIGN_OR_RETURN(StoreAddress address, ParseStoreAddress(raw.store));
  if (address.kind != StoreAddress::Kind::kMilvus) {
    return absl::InvalidArgumentError(absl::StrCat("--store ", raw.store,
                                                   " is not milvus:HOST:PORT; a folder is named with --data, the "
                                                   "server of another store with --retrieval-address"));
  }
  if (!raw.data.empty()) return absl::InvalidArgumentError("give --data or --store, not both");
  node->milvus.address = address.place;
  return absl::OkStatus();
}

absl::Status Convert(const RawOptions& raw, DaemonConfig* config) {
  NodeConfig& node = config->node;
  LASTRO_ASSIGN_OR_RETURN(node.roles, ParseRoles(raw.roles));
  for (const auto& [role, address] : raw.addresses) {
    if (address.empty()) continue;
    LASTRO_RETURN_IF_ERROR(CheckAddress(address));
    node.addresses[role] = address;
  }
  LASTRO_RETURN_IF_ERROR(CheckRoles(node));
  LASTRO_RETURN_IF_ERROR(CheckAddress(config->listen, /*min_port=*/0));
  if (config->tls_cert.empty() != config->tls_key.empty()) {
    return absl::InvalidArgumentError("TLS needs both --tls-cert and --tls-key");
  }
  LASTRO_RETURN_IF_ERROR(retrieval::ParseIndexKind(node.vector_index).status());
  if (node.roles.count(Role::kRetrieval) > 0) LASTRO_RETURN_IF_ERROR(ChooseStore(raw, &node));
  node.allow_folders = !raw.no_folders;
  config->drain = absl::Seconds(raw.drain_seconds);
  LASTRO_ASSIGN_OR_RETURN(config->log_level, ParseLogLevel(raw.log_level));
  return absl::OkStatus();
}

// The roles that a role cannot do its work without.
std::vector<Role> NeededBy(Role role) {
  switch (role) {
    case Role::kRetrieval:
      return {Role::kEmbedding};
    case Role::kIngest:
      return {Role::kRetrieval, Role::kEmbedding};
    case Role::kAsk:
      return {Role::kRetrieval, Role::kEmbedding, Role::kGeneration};
    case Role::kEmbedding:
    case Role::kGeneration:
      break;
  }
  return {};
}

DaemonExit UsageError(absl::string_view message, std::ostream& err) {
  err << "lastrod: " << message << "; see 'lastrod --help'\n";
  return kDaemonUsage;
}

}  // namespace

absl::StatusOr<std::set<Role>> ParseRoles(const std::string& list) {
  std::set<Role> roles;
  for (absl::string_view part : absl::StrSplit(list, ',', absl::SkipWhitespace())) {
    const absl::string_view name = absl::StripAsciiWhitespace(part);
    if (name == "gateway") {
      return absl::InvalidArgumentError("this version has no gateway role; programs speak gRPC to the other roles");
    }
    bool known = false;
    for (Role role : kAllRoles) {
      if (name != "all" && name != RoleName(role)) continue;
      roles.insert(role);
      known = true;
    }
    if (!known) {
      return absl::InvalidArgumentError(
          absl::StrCat("role '", name, "' is none of embedding, ingest, retrieval, generation, ask, all"));
    }
  }
  if (roles.empty()) return absl::InvalidArgumentError("--roles names no role");
  return roles;
}

absl::Status CheckRoles(const NodeConfig& config) {
  for (Role role : config.roles) {
    for (Role needed : NeededBy(role)) {
      if (config.roles.count(needed) > 0 || config.addresses.count(needed) > 0) continue;
      return absl::InvalidArgumentError(absl::StrCat("the ", RoleName(role), " role needs the ", RoleName(needed),
                                                     " role: host it too, or give --", RoleName(needed),
                                                     "-address HOST:PORT"));
    }
  }
  return absl::OkStatus();
}

std::variant<DaemonConfig, DaemonExit> ParseDaemonConfig(const std::vector<std::string>& arguments, std::ostream& out,
                                                         std::ostream& err) {
  DaemonConfig config;
  RawOptions raw;
  CLI::App app(kAbout, "lastrod");
  app.footer(kFooter);
  app.formatter(std::make_shared<HelpFormatter>());
  app.set_version_flag("--version", "lastrod " LASTRO_VERSION);
  app.set_config("--config", "", "file of options, one 'name = value' a line; see lastrod.conf.example")
      ->check(CLI::ExistingFile);
  app.allow_config_extras(CLI::config_extras_mode::error);
  AddServing(&app, &raw, &config);
  AddComponents(&app, &raw, &config);
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));  // CLI11 takes them last first
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) return UsageError(error.what(), err);
    app.exit(error, out, err);  // --help, --version
    return kDaemonOk;
  }
  absl::Status status = Convert(raw, &config);
  if (!status.ok()) return UsageError(absl::string_view(status.message()), err);
  return config;
}

}  // namespace lastro::services
