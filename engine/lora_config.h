// LoraConfig: what a PEFT adapter_config.json says of ranks and scales. Pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/json.h"

namespace lastro::engine {

struct LoraConfig {
  int64_t rank = 0;
  double alpha = 0;
  bool rank_stabilized = false;
  // By the last parts of a module's name, such as "q_proj" or "layers.3.mlp.up_proj".
  std::map<std::string, int64_t> ranks;
  std::map<std::string, double> alphas;

  // INVALID_ARGUMENT: not LoRA, a field of another type or out of range; UNIMPLEMENTED: a setting that changes the
  // mathematics and is not supported, or a key that is not known and says something.
  static absl::StatusOr<LoraConfig> Read(const JsonValue& config);

  int64_t RankOf(absl::string_view module) const;
  // What B's rows are multiplied with.
  double ScaleOf(absl::string_view module) const;
};

}  // namespace lastro::engine
