// GgufWriter: writes a GGUF file, version 3 (engine/gguf.h has the layout). Tensors are produced one at a time while
// the file is written, so that a model larger than memory can be converted. Not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/gguf.h"
#include "engine/tensor_file.h"

namespace lastro::engine {

class GgufWriter {
 public:
  // Appends the tensor's bytes to the string, which is empty.
  using Fill = std::function<absl::Status(std::string*)>;

  void AddUint(absl::string_view key, uint32_t value);
  void AddInt(absl::string_view key, int32_t value);
  void AddFloat(absl::string_view key, float value);
  void AddBool(absl::string_view key, bool value);
  void AddString(absl::string_view key, absl::string_view value);
  void AddStrings(absl::string_view key, absl::Span<const std::string> values);
  void AddInts(absl::string_view key, absl::Span<const int32_t> values);
  void AddFloats(absl::string_view key, absl::Span<const float> values);
  // A value with its type as a GGUF file holds it.
  void AddRaw(absl::string_view key, absl::string_view typed_value);

  // `shape` is slowest dimension first. INVALID_ARGUMENT for a name, type or shape that the format does not have.
  absl::Status AddTensor(absl::string_view name, StoredType type, absl::Span<const int64_t> shape, Fill fill);

  // Writes into "<path>.part", which becomes `path` when it is whole. INTERNAL when a tensor has not the size that its
  // shape says; else errors of the file system and of Fill.
  absl::Status Write(const std::string& path) const;

 private:
  struct Tensor {
    int64_t bytes = 0;
    Fill fill;
  };
  template <typename T>
  void AddValue(absl::string_view key, GgufType type, T value);
  template <typename T>
  void AddArray(absl::string_view key, GgufType type, absl::Span<const T> values);
  void AddKey(absl::string_view key, GgufType type);

  std::string pairs_;
  std::string infos_;
  uint64_t pair_count_ = 0;
  int64_t data_bytes_ = 0;  // of the tensors so far, padded
  std::vector<Tensor> tensors_;
};

}  // namespace lastro::engine
