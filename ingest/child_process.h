// Runs a foreign program on untrusted input: no shell, an empty environment, its own process group, limits on memory,
// processor time and output, killed when its time is up. Thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/call_context.h"

namespace lastro::ingest {

struct ChildLimits {
  double timeout_s = 60;
  uint64_t memory_bytes = 1ull << 30;  // address space
  uint64_t output_bytes = 32u << 20;   // of standard output, and of standard error
};

struct ChildResult {
  int exit_code = 0;
  std::string output;
  std::string errors;  // the first 4 KiB of standard error
};

// Runs `arguments` (the first is the program's absolute path) with `input` as its standard input, a seekable file.
// NOT_FOUND when the program cannot be started, DEADLINE_EXCEEDED when it ran out of time, RESOURCE_EXHAUSTED when its
// output is too long, INTERNAL when a signal ended it (out of memory, a crash), CANCELLED.
absl::StatusOr<ChildResult> RunChild(const std::vector<std::string>& arguments, absl::string_view input,
                                     const ChildLimits& limits, const CallContext& context);

// The absolute path of `program` in the system's folders for programs; empty when it is not installed.
std::string FindProgram(const std::string& program);

}  // namespace lastro::ingest
