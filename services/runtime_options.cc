#include "services/runtime_options.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace lastro::services {
namespace {

absl::StatusOr<engine::ComputeType> ParseComputeType(const std::string& name) {
  if (name == "auto") return engine::ComputeType::kAuto;
  if (name == "fp32") return engine::ComputeType::kFloat32;
  if (name == "bf16") return engine::ComputeType::kBFloat16;
  return absl::InvalidArgumentError(absl::StrCat("compute type '", name, "' is none of auto, fp32, bf16"));
}

}  // namespace

absl::StatusOr<engine::RuntimeOptions> MakeRuntimeOptions(int threads, const std::string& compute_type,
                                                          int64_t kv_bytes) {
  engine::RuntimeOptions options;
  options.threads = threads;
  options.kv_bytes = kv_bytes;
  LASTRO_ASSIGN_OR_RETURN(options.compute_type, ParseComputeType(compute_type));
  return options;
}

}  // namespace lastro::services
