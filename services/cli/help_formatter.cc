#include "services/cli/help_formatter.h"

#include <algorithm>
#include <sstream>

#include "absl/strings/str_join.h"
#include "services/cli/text_width.h"

namespace lastro::services {
namespace {

constexpr int kNarrowest = 20;  // of a description, however narrow the terminal is

std::string Wrapped(const std::string& text, int columns) {
  return absl::StrJoin(WrapText(text, std::max(columns, kNarrowest)), "\n");
}

}  // namespace

std::string HelpFormatter::make_description(const CLI::App* app) const {
  return Wrapped(CLI::Formatter::make_description(app), columns_);
}

std::string HelpFormatter::make_subcommand(const CLI::App* command) const {
  std::ostringstream line;
  const int beside = static_cast<int>(get_column_width());
  CLI::detail::format_help(line, command->get_display_name(true), Wrapped(command->get_description(), columns_ - beside),
                           get_column_width());
  return line.str();
}

std::string HelpFormatter::make_option_desc(const CLI::Option* option) const {
  return Wrapped(CLI::Formatter::make_option_desc(option), columns_ - static_cast<int>(get_column_width()));
}

}  // namespace lastro::services
