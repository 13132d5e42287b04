// Doctor: looks at every file of a store that nobody has open, and mends what can be made anew from the truth.
//
// Mended by `repair`: SQLite's own indexes, full-text indexes, vector indexes, counts, records that belong to no
// document, jobs that cannot be read, and damaged pages that hold nothing else. Documents that are damaged cannot be:
// `drop_damaged` removes them, so that the next ingestion reads them again. What else is damaged needs a backup.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/call_context.h"
#include "retrieval/integrity.h"

namespace lastro::retrieval {

struct DoctorOptions {
  std::string folder;
  bool repair = false;
  bool drop_damaged = false;  // with `repair`: also give up what cannot be mended: damaged documents, lost commits
  CheckProgress progress = nullptr;
};

struct DoctorReport {
  std::vector<Finding> findings;           // as found
  std::vector<Finding> left;               // as they are after the repair; without one, the same
  std::vector<DamagedDocument> documents;  // damaged: after a repair, those it left or removed
  bool dropped = false;                    // they were removed
  bool healthy() const;                    // nothing is left
};

// NOT_FOUND: there is no store; FAILED_PRECONDITION: it is open in another process; CANCELLED; DEADLINE_EXCEEDED.
absl::StatusOr<DoctorReport> RunDoctor(const DoctorOptions& options, const CallContext& context);

// What to do about a finding that a repair leaves, or that has had none.
std::string AdviceFor(const Finding& finding);

}  // namespace lastro::retrieval
