// LinePrompt: what somebody writes line by line, until the end of the input or /quit. On a terminal it prompts. Not
// thread-safe.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "services/cli/session.h"

namespace lastro::services {

class LinePrompt {
 public:
  // `what` is written a line: "a message". `session` must outlive the object.
  LinePrompt(const std::string& what, Session& session);

  // The next line that is not empty, without white space around it; "" at the end. INVALID_ARGUMENT when it is no
  // UTF-8.
  absl::StatusOr<std::string> Next();

 private:
  const std::string what_;
  Session& session_;
  const bool prompts_;
};

}  // namespace lastro::services
