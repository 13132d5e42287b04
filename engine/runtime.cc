#include "engine/runtime.h"

#include "absl/strings/str_cat.h"
#include "engine/cpu_backend.h"
#include "engine/onednn_matmul.h"

namespace lastro::engine {
namespace {

constexpr int kMaxThreads = 1024;

ComputeType Choose(ComputeType wanted, const kernels::Kernels& kernels) {
  if (wanted != ComputeType::kAuto) return wanted;
  const bool scalar = &kernels == &kernels::ReferenceKernels();
  return GetOneDnnSupport().native_bf16 && !scalar ? ComputeType::kBFloat16 : ComputeType::kFloat32;
}

}  // namespace

Runtime::Runtime() = default;
Runtime::~Runtime() = default;

absl::StatusOr<std::unique_ptr<Runtime>> Runtime::Create(const RuntimeOptions& options) {
  if (options.device != "auto" && options.device != "cpu") {
    return absl::InvalidArgumentError(
        absl::StrCat("device \"", options.device, "\" is not one of this build; use \"auto\" or \"cpu\""));
  }
  if (options.threads < 0 || options.threads > kMaxThreads) {
    return absl::InvalidArgumentError(
        absl::StrCat("threads = ", options.threads, " is out of range [0, ", kMaxThreads, "]; 0 means one per core"));
  }
  if (options.kv_bytes < 0) return absl::InvalidArgumentError("kv_bytes is negative; 0 means the default");
  const kernels::Kernels& kernels = kernels::ActiveKernels();
  std::unique_ptr<Runtime> runtime(new Runtime);
  runtime->compute_type_ = Choose(options.compute_type, kernels);
  runtime->kv_bytes_ = options.kv_bytes;
  CpuBackendOptions backend;
  backend.threads = options.threads;
  backend.bf16 = runtime->compute_type_ == ComputeType::kBFloat16;
  backend.exact = options.compute_type == ComputeType::kFloat32;
  backend.deterministic = options.deterministic;
  runtime->backend_ = std::make_unique<CpuBackend>(backend, kernels);
  return runtime;
}

std::string Runtime::Description() const { return backend_->Description(); }

}  // namespace lastro::engine
