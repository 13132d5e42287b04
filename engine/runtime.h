// Runtime: what every loaded model of a process shares: the compute backend (device, threads, precision). Thread-safe;
// one per process, made first and destroyed last.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/thread_pool.h"
#include "kernels/kv_layout.h"

namespace lastro::engine {

class Backend;

enum class ComputeType {
  kAuto,  // bf16 on a GPU and where the CPU has fast products for it (kernels/cpu_features.h), else fp32
  kFloat32,
  kBFloat16,
  kFloat16,  // on a GPU only
  kFloat8,   // on a GPU only: dense layers' weights without blocks in FP8 (E4M3), all else as bf16
};

struct RuntimeOptions {
  int threads = 0;  // compute threads; 0: one per core
  ComputeType compute_type = ComputeType::kAuto;
  // "cpu"; "cuda" or "cuda:N", the first GPU or the one of that number; "auto": the first GPU, or the CPU where this
  // build or machine has none.
  std::string device = "auto";
  int64_t gpu_bytes = 0;        // GPU memory for everything; 0: nine tenths of what is free
  int64_t gpu_spare_bytes = 0;  // of what is free, not counted there: another part of the process will want it
  // On a GPU of compute capability 9.0 kernels may start before the one ahead has ended; results stay the same.
  bool kernels_overlap = false;
  // A row's results never depend on the rows beside it, to the last bit: the same text for the same seed whoever else
  // is served. Products run a few rows at a time, so that long prompts and batches of texts are slower.
  bool deterministic = false;
  // KV memory of each model that generates; 0: a quarter of the machine's memory, half of what a GPU has left.
  int64_t kv_bytes = 0;
  // In what precision it is kept. Unset: fp16 with bf16 compute, else fp32. On a GPU it must be unset: it keeps tokens
  // in the type it computes in.
  std::optional<kernels::KvType> kv_type;
  // Of this, what each model may keep of texts that have ended (PrefixCache); 0: nothing.
  int64_t reuse_bytes = int64_t{256} << 20;
  // Also where a prompt holds it at another place, at some cost in accuracy (engine/chunk_reuse.h). Not with
  // `deterministic`.
  bool reuse_chunks = false;
};

// The devices that `device` names: each GPU of "cuda:0,2" or of "cuda:all" (every one of the machine) by itself,
// another as it is. INVALID_ARGUMENT: a list that is none, or with a GPU twice; FAILED_PRECONDITION: "cuda:all" without
// a GPU.
absl::StatusOr<std::vector<std::string>> DevicesOf(const std::string& device);

class Runtime {
 public:
  // INVALID_ARGUMENT for a device this build does not have, and for what it does not support; of a GPU that was asked
  // for by name also FAILED_PRECONDITION (not there, or too old) and RESOURCE_EXHAUSTED.
  static absl::StatusOr<std::unique_ptr<Runtime>> Create(const RuntimeOptions& options);
  ~Runtime();

  Backend& backend() const { return *backend_; }
  // Threads for what comes before the model: on a GPU as many as options.threads says, so that texts are tokens before
  // it has done the last ones; on a CPU the caller alone, for its cores have the model's work.
  ThreadPool& tokenizing() const { return *tokenizing_; }
  ComputeType compute_type() const { return compute_type_; }  // never kAuto
  int64_t kv_bytes() const { return kv_bytes_; }              // 0: Backend::default_kv_bytes()
  int64_t reuse_bytes() const { return reuse_bytes_; }
  bool reuse_chunks() const { return reuse_chunks_; }
  // Such as "cpu, 2 threads, bf16 (avx512_bf16)"; says why where "auto" found no GPU.
  std::string Description() const;
  // Backend::DeviceClass(), with the same reason.
  std::string DeviceClass() const;

 private:
  Runtime();
  std::string WithReason(const std::string& device) const;

  std::unique_ptr<Backend> backend_;
  std::unique_ptr<ThreadPool> tokenizing_;
  std::string why_cpu_;  // "" where nothing else was wanted
  ComputeType compute_type_ = ComputeType::kFloat32;
  int64_t kv_bytes_ = 0, reuse_bytes_ = 0;
  bool reuse_chunks_ = false;
};

}  // namespace lastro::engine
