// The subcommands of `lastro`: how each is declared, and which one a command line chose.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "services/cli/session.h"

namespace lastro::services {

// Runs a parsed command; gives its exit code.
using CommandBody = std::function<absl::StatusOr<int>(Session&)>;

class CommandSet {
 public:
  // `app` must outlive the set.
  explicit CommandSet(CLI::App* app) : app_(app) {}

  // A subcommand. `examples`: command lines, one each, shown at the end of its --help.
  CLI::App* Add(const std::string& name, const std::string& purpose, const std::vector<std::string>& examples) {
    return AddTo(app_, name, purpose, examples);
  }
  // A subcommand of a subcommand, as `docs list`.
  CLI::App* AddTo(CLI::App* parent, const std::string& name, const std::string& purpose,
                  const std::vector<std::string>& examples);

  void OnRun(CLI::App* command, CommandBody body) { bodies_[command] = std::move(body); }

  // The innermost subcommand that was parsed. REQUIRES: the command line was parsed without error.
  const CommandBody& Chosen() const;

 private:
  CLI::App* const app_;
  std::map<const CLI::App*, CommandBody> bodies_;
};

}  // namespace lastro::services
