// Jobs as people see them, and how a command follows one.
#pragma once

#include <ostream>
#include <string>

#include "absl/status/statusor.h"
#include "lastro/v1/ingest.pb.h"
#include "services/cli/session.h"

namespace lastro::services {

std::string JobStateName(v1::Job::State state);  // "running"

bool HasEnded(const v1::Job& job);

// What a job did, and the files it could not ingest (at most `max_problems` of them).
void PrintJobSummary(const v1::Job& job, const Terminal& terminal, int max_problems, std::ostream& out);

// Watches a job with progress on a terminal until it ends; returns it as it ended. CANCELLED and DEADLINE_EXCEEDED when
// the command was ended meanwhile: the job then goes on (on a server).
absl::StatusOr<v1::Job> FollowJob(const v1::Job& job, Node& node, Session& session);

// Ends a command that no longer follows a job, with `why`. After Ctrl-C, or in process, the job is stopped; a server's
// job goes on when only the time of the command ran out.
absl::Status AbandonJob(const std::string& job_id, const absl::Status& why, Node& node, Session& session);

}  // namespace lastro::services
