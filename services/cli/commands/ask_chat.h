// `lastro ask --chat`: a conversation about the documents, a question a line.
#pragma once

#include <functional>

#include "absl/status/statusor.h"
#include "lastro/v1/ask.pb.h"
#include "services/cli/session.h"

namespace lastro::services {

// Asks one question and shows its answer.
using AskAndShow = std::function<absl::StatusOr<v1::Answer>(const v1::AskRequest&, Session&)>;

// Asks `request`'s question, where it has one, and then the questions of standard input, each with what was said
// before; otherwise as `request` says. What cannot be asked is told, and the conversation goes on; any other error ends
// it.
absl::StatusOr<int> AskInTurns(v1::AskRequest request, const AskAndShow& ask, Session& session);

}  // namespace lastro::services
