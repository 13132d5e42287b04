#include "services/cli/commands/ask_chat.h"

#include <utility>

#include "base/status_macros.h"
#include "services/cli/line_prompt.h"
#include "services/cli/text_width.h"

namespace lastro::services {
namespace {

constexpr int kMaxTurns = 32;  // that a request may have

void AddTurn(v1::Turn::Role role, const std::string& text, v1::AskRequest* request) {
  v1::Turn* turn = request->add_history();
  turn->set_role(role);
  turn->set_text(text);
}

// Adds what was asked and answered to the history of the next question. Of a long conversation the oldest turns go:
// what a question refers back to was mostly said just before.
void Remember(const v1::Answer& answer, v1::AskRequest* request) {
  AddTurn(v1::Turn::USER, request->question(), request);
  if (answer.answerability() == v1::ANSWERED && !answer.text().empty()) {
    AddTurn(v1::Turn::ASSISTANT, answer.text(), request);
  }
  if (request->history_size() > kMaxTurns) {
    request->mutable_history()->DeleteSubrange(0, request->history_size() - kMaxTurns);
  }
}

absl::Status AskNext(const AskAndShow& ask, v1::AskRequest* request, Session& session) {
  absl::StatusOr<v1::Answer> answer = ask(*request, session);
  if (absl::IsInvalidArgument(answer.status()) && session.in_is_terminal()) {
    session.err() << ErrorLine(answer.status()) << "\n";
    return absl::OkStatus();
  }
  LASTRO_RETURN_IF_ERROR(answer.status());
  if (!session.options().json) {
    const std::string& understood = answer->standalone_question();
    if (!understood.empty() && understood != request->question()) {
      session.out() << session.style().Dim("Understood as: " + Printable(OneLine(understood), false)) << "\n";
    }
    session.out() << "\n";
  }
  session.out() << std::flush;
  Remember(*answer, request);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<int> AskInTurns(v1::AskRequest request, const AskAndShow& ask, Session& session) {
  if (!request.question().empty()) LASTRO_RETURN_IF_ERROR(AskNext(ask, &request, session));
  LinePrompt prompt("a question", session);
  for (;;) {
    LASTRO_ASSIGN_OR_RETURN(*request.mutable_question(), prompt.Next());
    if (request.question().empty()) return kExitOk;
    LASTRO_RETURN_IF_ERROR(AskNext(ask, &request, session));
  }
}

}  // namespace lastro::services
