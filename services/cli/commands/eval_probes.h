// `lastro eval --probes`: attacks by documents and questions, and whether one succeeds.
#pragma once

#include "absl/status/statusor.h"
#include "services/cli/session.h"

namespace lastro::services {

// Prints the report; kExitProblems when a probe succeeded.
absl::StatusOr<int> RunProbes(Session& session);

}  // namespace lastro::services
