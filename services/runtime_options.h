// From the words of a configuration or a command line to the engine's runtime options. Pure function, thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "engine/runtime.h"

namespace lastro::services {

// `compute_type` is "auto", "fp32" or "bf16", else INVALID_ARGUMENT; `threads` 0 is one per core; `kv_bytes` 0 is a
// quarter of the machine's memory.
absl::StatusOr<engine::RuntimeOptions> MakeRuntimeOptions(int threads, const std::string& compute_type,
                                                          int64_t kv_bytes);

}  // namespace lastro::services
