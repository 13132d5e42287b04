#include "services/cli/line_prompt.h"

#include <istream>

#include "absl/strings/ascii.h"
#include "base/status_macros.h"

namespace lastro::services {
namespace {

constexpr char kQuit[] = "/quit";

}  // namespace

LinePrompt::LinePrompt(const std::string& what, Session& session)
    : what_(what), session_(session), prompts_(session.in_is_terminal() && session.out_terminal().is_terminal) {
  if (prompts_) session_.err() << "Write " << what_ << " a line; " << kQuit << " or Ctrl-D ends.\n";
}

absl::StatusOr<std::string> LinePrompt::Next() {
  std::string line;
  for (;;) {
    if (prompts_) session_.out() << session_.style().Bold("> ") << std::flush;
    if (!std::getline(session_.in(), line)) return "";
    std::string text(absl::StripAsciiWhitespace(line));
    if (text == kQuit) return "";
    if (text.empty()) continue;
    LASTRO_RETURN_IF_ERROR(CheckUtf8(text, what_));
    return text;
  }
}

}  // namespace lastro::services
