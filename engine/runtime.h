// Runtime: what every loaded model of a process shares: the compute backend (device, threads, precision). Thread-safe;
// one per process, made first and destroyed last.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace lastro::engine {

class Backend;

enum class ComputeType {
  kAuto,  // bf16 where the CPU multiplies it natively, else fp32
  kFloat32,
  kBFloat16,
};

struct RuntimeOptions {
  int threads = 0;  // compute threads; 0: one per core
  ComputeType compute_type = ComputeType::kAuto;
  std::string device = "auto";  // "auto" or "cpu"
  // A row's results never depend on the rows beside it, to the last bit: the same text for the same seed whoever else is
  // served. Products run a few rows at a time, so that long prompts and batches of texts are slower.
  bool deterministic = false;
  int64_t kv_bytes = 0;         // KV memory of each model that generates; 0: a quarter of the machine's memory
};

class Runtime {
 public:
  // INVALID_ARGUMENT for a device this build does not have.
  static absl::StatusOr<std::unique_ptr<Runtime>> Create(const RuntimeOptions& options);
  ~Runtime();

  Backend& backend() const { return *backend_; }
  ComputeType compute_type() const { return compute_type_; }  // never kAuto
  int64_t kv_bytes() const { return kv_bytes_; }              // 0: Backend::default_kv_bytes()
  std::string Description() const;                            // such as "cpu, 2 threads, bf16 (avx512_bf16)"

 private:
  Runtime();
  std::unique_ptr<Backend> backend_;
  ComputeType compute_type_ = ComputeType::kFloat32;
  int64_t kv_bytes_ = 0;
};

}  // namespace lastro::engine
