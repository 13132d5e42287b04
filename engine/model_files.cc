#include "engine/model_files.h"

#include "absl/strings/match.h"
#include "engine/gguf_model.h"
#include "engine/hf_folder.h"

namespace lastro::engine {

absl::StatusOr<std::unique_ptr<ModelFiles>> OpenModel(const std::string& path) {
  if (absl::EndsWith(path, ".gguf")) return GgufModel::Open(path);
  return HfFolder::Open(path);
}

}  // namespace lastro::engine
