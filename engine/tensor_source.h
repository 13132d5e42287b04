// TensorSource: tensors of a file by name, with their shape checked against what the architecture expects, and a record
// of which were used, so that left-over tensors are noticed. Not thread-safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/backend.h"
#include "engine/tensor_file.h"

namespace lastro::engine {

// The type of a tensor that may hold weights; nullopt for the others.
std::optional<DataType> DataTypeOf(StoredType type);

class TensorSource {
 public:
  // `prefix` opens every name but those given to the Unprefixed ones.
  TensorSource(const TensorFile& file, std::string prefix) : file_(file), prefix_(std::move(prefix)) {}

  // Errors: INVALID_ARGUMENT names the file and tensor and says what was expected and what is there.
  absl::StatusOr<HostMatrix> Matrix(absl::string_view name, int64_t rows, int64_t cols);
  absl::StatusOr<HostMatrix> UnprefixedMatrix(const std::string& name, int64_t rows, int64_t cols);
  absl::StatusOr<std::vector<float>> Vector(absl::string_view name, int64_t size);
  absl::StatusOr<std::vector<float>> UnprefixedRow(const std::string& name, int64_t size);  // [1, size]
  // `count` matrices in one tensor [count, rows, cols], as one of count * rows rows.
  absl::StatusOr<HostMatrix> Matrices(absl::string_view name, int64_t count, int64_t rows, int64_t cols);
  // The bytes of a U8 tensor.
  absl::StatusOr<absl::Span<const uint8_t>> Bytes(absl::string_view name, absl::Span<const int64_t> shape);
  bool Contains(absl::string_view name) const { return file_.Contains(absl::StrCat(prefix_, name)); }
  // All elements of a small tensor of any shape.
  absl::StatusOr<std::vector<float>> Flat(absl::string_view name, absl::Span<const int64_t> shape);

  // INVALID_ARGUMENT when the file holds tensors that were not asked for and contain none of the `ignored` substrings.
  absl::Status CheckAllUsed(absl::Span<const std::string> ignored) const;

  int64_t parameters() const { return parameters_; }
  int64_t stored_bytes() const { return stored_bytes_; }

 private:
  absl::StatusOr<std::vector<float>> Floats(const std::string& name, absl::Span<const int64_t> shape);
  absl::StatusOr<const StoredTensor*> TakeStored(const std::string& name, absl::Span<const int64_t> shape);
  absl::StatusOr<HostMatrix> Take(const std::string& name, absl::Span<const int64_t> shape);

  const TensorFile& file_;
  const std::string prefix_;
  absl::flat_hash_set<std::string> used_;
  int64_t parameters_ = 0;
  int64_t stored_bytes_ = 0;
};

}  // namespace lastro::engine
