// TensorFile: named tensors as a file holds them, whatever its format (engine/safetensors.h, engine/gguf_weights.h).
// Const after it is opened and thread-safe; every view lives as long as the object.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/file.h"

namespace lastro::engine {

// Types with a number in their name after Q, and MXFP4, store blocks of elements (kernels/quant.h has their layouts).
enum class StoredType {
  kF64,
  kF32,
  kF16,
  kBF16,
  kI64,
  kI32,
  kI16,
  kI8,
  kU8,
  kBool,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kMXFP4,
};

// A row is a sequence of blocks: `elements` of them in `bytes`. Plain types have blocks of one element.
struct BlockSize {
  int64_t elements = 1;
  int64_t bytes = 0;
};
BlockSize BlockOf(StoredType type);

// The name in the file's header, such as "BF16" or "Q4_K".
absl::string_view NameOf(StoredType type);

// A tensor as it lies in the file: row-major, little-endian. `data` is aligned to no more than one byte: copy it, or
// read it through memcpy, unless its address says otherwise.
struct StoredTensor {
  StoredType type = StoredType::kF32;
  std::vector<int64_t> shape;  // empty for a scalar; the last dimension is a whole number of blocks
  absl::Span<const uint8_t> data;

  int64_t elements() const {
    const BlockSize block = BlockOf(type);
    return static_cast<int64_t>(data.size()) / block.bytes * block.elements;
  }
};

class TensorFile {
 public:
  virtual ~TensorFile() = default;

  // The tensor called `name`; NOT_FOUND names the file. The pointer lives as long as this object.
  virtual absl::StatusOr<const StoredTensor*> Find(absl::string_view name) const = 0;
  virtual bool Contains(absl::string_view name) const = 0;

  // All names, sorted.
  virtual const std::vector<std::string>& names() const = 0;

  // The files it was read from, in the order of opening: for content hashes.
  virtual absl::Span<const MappedFile> files() const = 0;
  virtual const std::string& path() const = 0;

  // Takes what of the files other memory stands for, such as rows that were copied into another order, out of this
  // process's memory (MappedFile::Forget). Called while a model's files are hashed, which reads all of them.
  virtual void ForgetReplaced() const {}

 protected:
  TensorFile() = default;
  TensorFile(const TensorFile&) = default;
  TensorFile& operator=(const TensorFile&) = default;
};

}  // namespace lastro::engine
