// The metadata and tensor layout of a Hugging Face folder's model in GGUF's terms: the way back of gguf_config.h and
// gguf_weights.h. Pure functions, thread-safe.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/architecture.h"
#include "engine/gguf_family.h"
#include "engine/gguf_writer.h"
#include "engine/hf_folder.h"

namespace lastro::engine {

// A tensor to write: `source` with what `change` asks for still to be done.
struct ExportTensor {
  std::string name;  // in GGUF
  StoredTensor source;
  GgufChange change = GgufChange::kNone;

  // As it is written.
  std::vector<int64_t> shape() const;
};

// Adds general.architecture and name, the family's keys, the rope's scaling, special tokens, chat template, pooling,
// and the tokenizer.json itself. UNIMPLEMENTED names what the format cannot say.
absl::Status AddGgufMetadata(const HfFolder& folder, const GgufFamily& family, const Architecture& architecture,
                             GgufWriter* writer);

// The tensors in the order of their names; those that the architecture ignores are left out.
absl::StatusOr<std::vector<ExportTensor>> GgufTensorsOf(const HfFolder& folder, const GgufFamily& family,
                                                        const Architecture& architecture);

// The vectors that say how the rope is scaled, by name; empty where it needs none.
std::vector<std::pair<std::string, std::vector<float>>> RopeFactors(const Architecture& architecture);

// OK when `written`, read from the new file, is the same model as `original`. UNIMPLEMENTED names the first difference.
absl::Status CheckSameModel(const Architecture& original, const Architecture& written);

}  // namespace lastro::engine
