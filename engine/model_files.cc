#include "engine/model_files.h"

#include "engine/hf_folder.h"

namespace lastro::engine {

absl::StatusOr<std::unique_ptr<ModelFiles>> OpenModel(const std::string& path) { return HfFolder::Open(path); }

}  // namespace lastro::engine
