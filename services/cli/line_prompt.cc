#include "services/cli/line_prompt.h"

#include <istream>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace lastro::services {
namespace {

constexpr char kQuit[] = "/quit";
constexpr size_t kMaxLineBytes = 1u << 20;

// As std::getline; false at the end of the input. Of an endless line a little more than kMaxLineBytes is read.
bool ReadLine(std::istream& in, std::string* line) {
  line->clear();
  char c = 0;
  while (line->size() <= kMaxLineBytes && in.get(c)) {
    if (c == '\n') return true;
    line->push_back(c);
  }
  return !line->empty();
}

}  // namespace

LinePrompt::LinePrompt(const std::string& what, Session& session)
    : what_(what), session_(session), prompts_(session.in_is_terminal() && session.out_terminal().is_terminal) {
  if (prompts_) session_.err() << "Write " << what_ << " a line; " << kQuit << " or Ctrl-D ends.\n";
}

absl::StatusOr<std::string> LinePrompt::Next() {
  std::string line;
  for (;;) {
    if (prompts_) session_.out() << session_.style().Bold("> ") << std::flush;
    if (!ReadLine(session_.in(), &line)) return "";
    if (line.size() > kMaxLineBytes) {
      return absl::InvalidArgumentError(absl::StrCat(what_, ": a line is over ", kMaxLineBytes, " bytes; give less"));
    }
    std::string text(absl::StripAsciiWhitespace(line));
    if (text == kQuit) return "";
    if (text.empty()) continue;
    LASTRO_RETURN_IF_ERROR(CheckUtf8(text, what_));
    return text;
  }
}

}  // namespace lastro::services
