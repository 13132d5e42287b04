// ParseGguf: the metadata and tensors of a GGUF file (https://github.com/ggml-org/ggml, docs/gguf.md), versions 2 and
// 3, little-endian, as views into its bytes. Pure functions and const values, thread-safe.
//
// Layout: "GGUF"; u32 version; u64 number of tensors; u64 number of metadata pairs; the pairs (string key, u32 type,
// value; a string is u64 length and bytes; an array is u32 element type, u64 count, elements); per tensor: string name,
// u32 number of dimensions, u64 dimensions (fastest first), u32 type, u64 offset; padding to general.alignment (32);
// the data section, in which offsets count and each tensor is padded to the alignment.
//
// Checked here, before anything is allocated by a number from the file: every count against the bytes that are left;
// keys and tensor names unique; booleans 0 or 1; arrays nested no deeper than 4; dimensions, their product and the
// block size of the type with checked arithmetic; the tensors cover the data section without hole or overlap, and end
// within the file.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/tensor_file.h"

namespace lastro::engine {

// Numbers of the format.
enum class GgufType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};
absl::string_view NameOf(GgufType type);

// The number that GGUF gives a tensor type; none for kBool and kU8, which it does not have.
absl::StatusOr<uint32_t> GgufTensorType(StoredType type);

inline constexpr char kGgufMagic[] = "GGUF";
inline constexpr uint32_t kGgufVersion = 3;
inline constexpr uint64_t kGgufAlignment = 32;  // unless general.alignment says otherwise
inline constexpr size_t kMaxGgufTensorName = 64;

// The key-value pairs, with conversions that check the type that the file gives. Errors are INVALID_ARGUMENT and name
// the file, the key, and the types expected and found.
class GgufMetadata {
 public:
  explicit GgufMetadata(std::string name) : name_(std::move(name)) {}

  bool Has(absl::string_view key) const { return values_.contains(key); }

  absl::StatusOr<int64_t> Int(absl::string_view key) const;    // any integer type, within int64
  absl::StatusOr<double> Double(absl::string_view key) const;  // any number
  absl::StatusOr<bool> Bool(absl::string_view key) const;
  absl::StatusOr<absl::string_view> String(absl::string_view key) const;
  absl::StatusOr<std::vector<absl::string_view>> Strings(absl::string_view key) const;  // an array of strings
  absl::StatusOr<std::vector<int64_t>> Ints(absl::string_view key) const;    // an array of any one integer type
  absl::StatusOr<std::vector<double>> Doubles(absl::string_view key) const;  // an array of f32 or f64
  // True when the value is an array.
  bool IsArray(absl::string_view key) const;

  // The type and value of a key that is there, as the file holds them (GgufWriter::AddRaw).
  std::string TypedBytes(absl::string_view key) const;

  const std::string& name() const { return name_; }  // opens error messages
  std::vector<std::string> keys() const;             // sorted

 private:
  friend class GgufParser;
  struct Value {
    GgufType type = GgufType::kU8;     // of an array: kArray
    GgufType element = GgufType::kU8;  // of an array
    uint64_t count = 1;                // elements of an array
    absl::Span<const uint8_t> bytes;   // the value, or all elements, as the file holds them
  };
  absl::StatusOr<const Value*> Find(absl::string_view key) const;
  absl::StatusOr<const Value*> FindArray(absl::string_view key) const;
  absl::Status TypeError(absl::string_view key, absl::string_view expected, const Value& found) const;

  std::string name_;
  absl::flat_hash_map<std::string, Value> values_;
};

struct GgufContents {
  uint32_t version = 0;
  GgufMetadata metadata;
  // In the order of the file; shapes slowest dimension first, as in safetensors.
  std::vector<std::pair<std::string, StoredTensor>> tensors;
};

// Views of `bytes`, a whole file. `name` opens every error message. INVALID_ARGUMENT: malformed, and where;
// UNIMPLEMENTED: a version, byte order or tensor type that is not read; RESOURCE_EXHAUSTED: more than 1,000,000 tensors
// or metadata pairs.
absl::StatusOr<GgufContents> ParseGguf(absl::Span<const uint8_t> bytes, const std::string& name);

}  // namespace lastro::engine
