// The configuration of lastrod: its command line and configuration file. No side effects, so that tests call it.
#pragma once

#include <ostream>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/grpc/event_log.h"
#include "services/node.h"

namespace lastro::services {

// Exit codes of lastrod; also in its --help.
enum DaemonExit : int {
  kDaemonOk = 0,
  kDaemonFailure = 1,  // could not start
  kDaemonUsage = 2,    // wrong usage or configuration
};

struct DaemonConfig {
  NodeConfig node;
  std::string listen = "127.0.0.1:7420";
  std::string tls_cert;
  std::string tls_key;
  bool requires_scope = false;
  absl::Duration drain = absl::Seconds(20);
  LogLevel log_level = LogLevel::kInfo;
  bool log_json = false;
};

// The configuration, or, after --help, --version or an error whose message went to `out` or `err`, the exit code.
// `arguments` are without the program's name. $LASTRO_DATA or $HOME give the default data folder.
std::variant<DaemonConfig, DaemonExit> ParseDaemonConfig(const std::vector<std::string>& arguments, std::ostream& out,
                                                         std::ostream& err);

// "embedding,ask" or "all". INVALID_ARGUMENT names the roles there are.
absl::StatusOr<std::set<Role>> ParseRoles(const std::string& list);

// INVALID_ARGUMENT unless every role that a hosted role needs is hosted too or has an address.
absl::Status CheckRoles(const NodeConfig& config);

}  // namespace lastro::services
