// From the words of a configuration or a command line to the engine's runtime options. Pure function, thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "engine/runtime.h"

namespace lastro::services {

struct ComputeConfig {
  int threads = 0;                    // 0: one per core
  std::string compute_type = "auto";  // auto, fp32 or bf16
  int64_t kv_bytes = 0;               // 0: a quarter of the machine's memory
  bool deterministic = false;
};

// INVALID_ARGUMENT for another compute type.
absl::StatusOr<engine::RuntimeOptions> MakeRuntimeOptions(const ComputeConfig& config);

}  // namespace lastro::services
