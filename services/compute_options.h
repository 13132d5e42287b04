// Where and how models are computed: the options that the daemon and the command line share, and what the engine makes
// of them. Pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "engine/runtime.h"

namespace CLI {
class App;
}

namespace lastro::services {

struct ComputeConfig {
  int threads = 0;                    // 0: one per core
  std::string compute_type = "auto";  // auto, fp32, bf16, fp16 or fp8
  std::string device = "auto";        // auto, cpu, cuda or cuda:N
  int64_t gpu_bytes = 0;              // 0: nine tenths of what is free
  bool kernels_overlap = false;       // engine::RuntimeOptions::kernels_overlap
  int64_t kv_bytes = 0;               // 0: a quarter of the machine's memory, half of what a GPU has left
  int64_t reuse_bytes = engine::RuntimeOptions().reuse_bytes;  // of this, for texts that have ended
  bool reuse_chunks = false;                                   // engine::RuntimeOptions::reuse_chunks
  std::string kv_type = "auto";                                // auto, fp32, fp16 or int8
  bool deterministic = false;                                  // engine::RuntimeOptions::deterministic
};

// --threads, --compute-type, --device and so on.
void AddComputeOptions(CLI::App* app, ComputeConfig* config);

// INVALID_ARGUMENT for another compute type.
absl::StatusOr<engine::RuntimeOptions> MakeRuntimeOptions(const ComputeConfig& config);

}  // namespace lastro::services
