// How `--help` is laid out: descriptions are wrapped to the width of the terminal, beside the names of what they describe.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace lastro::services {

// Thread-safe once made. An App gives it to the subcommands that are added to it afterwards.
class HelpFormatter : public CLI::Formatter {
 public:
  explicit HelpFormatter(int columns = 80) : columns_(columns) {}

  std::string make_description(const CLI::App* app) const override;
  std::string make_subcommand(const CLI::App* command) const override;
  std::string make_option_desc(const CLI::Option* option) const override;

 private:
  const int columns_;
};

}  // namespace lastro::services
