// Runtime: what every loaded model of a process shares: the compute backend (device, threads, precision). Thread-safe;
// one per process, made first and destroyed last.
#pragma once

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
};

class Runtime {
 public:
  // INVALID_ARGUMENT for a device this build does not have.
  static absl::StatusOr<std::unique_ptr<Runtime>> Create(const RuntimeOptions& options);
  ~Runtime();

  Backend& backend() const { return *backend_; }
  ComputeType compute_type() const { return compute_type_; }  // never kAuto
  std::string Description() const;                            // such as "cpu, 2 threads, bf16 (avx512_bf16)"

 private:
  Runtime();
  std::unique_ptr<Backend> backend_;
  ComputeType compute_type_ = ComputeType::kFloat32;
};

}  // namespace lastro::engine
