// SafetensorsFile: the tensors of a model.safetensors, or of all shards that a model.safetensors.index.json names,
// mapped read-only. Const after Open and thread-safe; every view lives as long as the object.
//
// Format (https://github.com/huggingface/safetensors, "Format"): u64 little-endian N; N bytes of JSON header
// {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, ..., "__metadata__": {"k": "v"}}; data.
// Offsets count from the end of the header. Checked here: N <= 100 MB and within the file; header starts with '{'; each
// tensor's length is product(shape) * size(dtype), with checked multiplication; the tensors cover the data section
// without hole or overlap, to its last byte; no name occurs twice, within a file or between shards.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/file.h"
#include "engine/tensor_file.h"

namespace lastro::engine {

class SafetensorsFile : public TensorFile {
 public:
  // Opens one .safetensors file, or, when `path` ends in ".index.json", all the shards it names (in the same folder;
  // a path that leaves it is refused). Errors: NOT_FOUND, INVALID_ARGUMENT (what is malformed, and where),
  // RESOURCE_EXHAUSTED (more than 1,000,000 tensors or 4,096 shards).
  static absl::StatusOr<SafetensorsFile> Open(const std::string& path);

  SafetensorsFile(SafetensorsFile&&) = default;
  SafetensorsFile& operator=(SafetensorsFile&&) = default;

  absl::StatusOr<const StoredTensor*> Find(absl::string_view name) const override;
  bool Contains(absl::string_view name) const override { return tensors_.contains(name); }
  const std::vector<std::string>& names() const override { return names_; }
  // The file, or all shards.
  absl::Span<const MappedFile> files() const override { return files_; }
  const std::string& path() const override { return path_; }

 private:
  SafetensorsFile() = default;
  absl::Status AddFile(const std::string& path);

  std::string path_;
  std::vector<MappedFile> files_;
  absl::flat_hash_map<std::string, StoredTensor> tensors_;
  std::vector<std::string> names_;
};

// The parser alone: the tensors of `bytes`, a whole file, as views into it. `name` opens every error message.
absl::StatusOr<std::vector<std::pair<std::string, StoredTensor>>> ParseSafetensors(absl::Span<const uint8_t> bytes,
                                                                                   const std::string& name);

}  // namespace lastro::engine
