// `lastro`, the command line: parses the arguments, runs one command and tells of its errors.
#pragma once

#include <string>
#include <vector>

#include "services/cli/session.h"

namespace lastro::services {

// `arguments` without the program's name. Returns the exit code. Errors go to environment.err as one line; what was
// asked for to environment.out. Throws nothing. The exit code does not tell of a broken output stream: look at it
// afterwards.
int RunCli(const std::vector<std::string>& arguments, Environment& environment);

// The data folder that the options or the environment name. INVALID_ARGUMENT: none, or --server names a server, whose
// folder is not this machine's.
absl::StatusOr<std::string> LocalDataFolder(const GlobalOptions& options);

// The components that the options ask for: a connection to --server, or everything in this process on --data.
// INVALID_ARGUMENT: no data folder is given and none can be derived from the environment.
absl::StatusOr<std::unique_ptr<Node>> MakeNodeFromOptions(const GlobalOptions& options);

}  // namespace lastro::services
