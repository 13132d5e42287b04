#include "services/cli/command_set.h"

#include "base/check.h"

namespace lastro::services {

CLI::App* CommandSet::AddTo(CLI::App* parent, const std::string& name, const std::string& purpose,
                            const std::vector<std::string>& examples) {
  CLI::App* command = parent->add_subcommand(name, purpose);
  std::string footer = "Examples:";
  for (const std::string& example : examples) footer += "\n  " + example;
  command->footer(footer);
  command->fallthrough();
  return command;
}

const CommandBody& CommandSet::Chosen() const {
  const CLI::App* command = app_;
  while (!command->get_subcommands().empty()) command = command->get_subcommands().front();
  auto body = bodies_.find(command);
  LASTRO_CHECK(body != bodies_.end(), "no body for subcommand " + command->get_name());
  return body->second;
}

}  // namespace lastro::services
