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

absl::StatusOr<engine::RuntimeOptions> MakeRuntimeOptions(const ComputeConfig& config) {
  engine::RuntimeOptions options;
  options.threads = config.threads;
  options.kv_bytes = config.kv_bytes;
  options.deterministic = config.deterministic;
  LASTRO_ASSIGN_OR_RETURN(options.compute_type, ParseComputeType(config.compute_type));
  return options;
}

}  // namespace lastro::services
