#include "engine/tensor_source.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "kernels/bfloat16.h"
#include "kernels/quant.h"

namespace lastro::engine {
namespace {

std::string ShapeText(absl::Span<const int64_t> shape) { return absl::StrCat("[", absl::StrJoin(shape, ", "), "]"); }

struct TypeRow {
  StoredType stored;
  DataType type;
};
constexpr TypeRow kTypes[] = {
    {StoredType::kF32, DataType::kF32},   {StoredType::kF16, DataType::kF16},    {StoredType::kBF16, DataType::kBF16},
    {StoredType::kQ4_0, DataType::kQ4_0}, {StoredType::kQ4_1, DataType::kQ4_1},  {StoredType::kQ5_0, DataType::kQ5_0},
    {StoredType::kQ5_1, DataType::kQ5_1}, {StoredType::kQ8_0, DataType::kQ8_0},  {StoredType::kQ2_K, DataType::kQ2_K},
    {StoredType::kQ3_K, DataType::kQ3_K}, {StoredType::kQ4_K, DataType::kQ4_K},  {StoredType::kQ5_K, DataType::kQ5_K},
    {StoredType::kQ6_K, DataType::kQ6_K}, {StoredType::kMXFP4, DataType::kMXFP4}};

absl::StatusOr<DataType> WeightType(const TensorFile& file, const std::string& name, StoredType type) {
  if (const std::optional<DataType> found = DataTypeOf(type)) return *found;
  return absl::InvalidArgumentError(absl::StrCat(file.path(), ": tensor ", name, " is of type ", NameOf(type),
                                                 "; expected F32, F16 or BF16, or a quantised type"));
}

}  // namespace

std::optional<DataType> DataTypeOf(StoredType type) {
  for (const TypeRow& row : kTypes) {
    if (row.stored == type) return row.type;
  }
  return std::nullopt;
}

absl::StatusOr<const StoredTensor*> TensorSource::TakeStored(const std::string& name, absl::Span<const int64_t> shape) {
  if (!file_.Contains(name)) {
    return absl::InvalidArgumentError(absl::StrCat(file_.path(), ": tensor ", name, " ", ShapeText(shape),
                                                   " is missing; the configuration expects it"));
  }
  LASTRO_ASSIGN_OR_RETURN(const StoredTensor* tensor, file_.Find(name));
  if (absl::Span<const int64_t>(tensor->shape) != shape) {
    return absl::InvalidArgumentError(absl::StrCat(file_.path(), ": tensor ", name, ": expected shape ",
                                                   ShapeText(shape), " by the configuration, found ",
                                                   ShapeText(tensor->shape)));
  }
  if (used_.insert(name).second) {
    parameters_ += tensor->elements();
    stored_bytes_ += static_cast<int64_t>(tensor->data.size());
  }
  return tensor;
}

absl::StatusOr<HostMatrix> TensorSource::Take(const std::string& name, absl::Span<const int64_t> shape) {
  LASTRO_ASSIGN_OR_RETURN(const StoredTensor* tensor, TakeStored(name, shape));
  LASTRO_ASSIGN_OR_RETURN(DataType type, WeightType(file_, name, tensor->type));
  return HostMatrix{type, tensor->data.data(), shape.front(), shape.back()};
}

absl::StatusOr<HostMatrix> TensorSource::Matrices(absl::string_view name, int64_t count, int64_t rows, int64_t cols) {
  LASTRO_ASSIGN_OR_RETURN(HostMatrix matrix, Take(absl::StrCat(prefix_, name), {count, rows, cols}));
  matrix.rows = count * rows;
  return matrix;
}

absl::StatusOr<absl::Span<const uint8_t>> TensorSource::Bytes(absl::string_view name, absl::Span<const int64_t> shape) {
  const std::string whole = absl::StrCat(prefix_, name);
  LASTRO_ASSIGN_OR_RETURN(const StoredTensor* tensor, TakeStored(whole, shape));
  if (tensor->type == StoredType::kU8) return tensor->data;
  return absl::InvalidArgumentError(
      absl::StrCat(file_.path(), ": tensor ", whole, " is of type ", NameOf(tensor->type), "; expected U8"));
}

absl::StatusOr<HostMatrix> TensorSource::Matrix(absl::string_view name, int64_t rows, int64_t cols) {
  return Take(absl::StrCat(prefix_, name), {rows, cols});
}

absl::StatusOr<HostMatrix> TensorSource::UnprefixedMatrix(const std::string& name, int64_t rows, int64_t cols) {
  return Take(name, {rows, cols});
}

absl::StatusOr<std::vector<float>> TensorSource::Floats(const std::string& name, absl::Span<const int64_t> shape) {
  LASTRO_ASSIGN_OR_RETURN(HostMatrix stored, Take(name, shape));
  int64_t count = 1;
  for (int64_t extent : shape) count *= extent;  // as large as the tensor, which is in memory
  std::vector<float> values(static_cast<size_t>(count));
  if (kernels::IsQuantized(stored.type)) {
    return absl::InvalidArgumentError(
        absl::StrCat(file_.path(), ": tensor ", name, " is quantised; expected F32, F16 or BF16"));
  }
  if (stored.type == DataType::kF32) {
    std::memcpy(values.data(), stored.data, values.size() * sizeof(float));
    return values;
  }
  for (size_t i = 0; i < values.size(); ++i) {
    uint16_t bits;
    std::memcpy(&bits, stored.data + 2 * i, sizeof(bits));
    values[i] = stored.type == DataType::kBF16 ? kernels::Bf16ToFloat(bits) : kernels::Fp16ToFloat(bits);
  }
  return values;
}

absl::StatusOr<std::vector<float>> TensorSource::Vector(absl::string_view name, int64_t size) {
  return Floats(absl::StrCat(prefix_, name), {size});
}

absl::StatusOr<std::vector<float>> TensorSource::UnprefixedRow(const std::string& name, int64_t size) {
  return Floats(name, {1, size});
}

absl::StatusOr<std::vector<float>> TensorSource::Flat(absl::string_view name, absl::Span<const int64_t> shape) {
  return Floats(absl::StrCat(prefix_, name), shape);
}

absl::Status TensorSource::CheckAllUsed(absl::Span<const std::string> ignored) const {
  std::vector<std::string> unexpected;
  for (const std::string& name : file_.names()) {
    auto matches = [&](const std::string& part) { return absl::StrContains(name, part); };
    if (!used_.contains(name) && std::none_of(ignored.begin(), ignored.end(), matches)) unexpected.push_back(name);
  }
  if (unexpected.empty()) return absl::OkStatus();
  const size_t count = unexpected.size();
  unexpected.resize(std::min<size_t>(count, 5));
  return absl::InvalidArgumentError(absl::StrCat(file_.path(), ": ", count, " tensors that the configuration does not ",
                                                 "expect: ", absl::StrJoin(unexpected, ", "), count > 5 ? ", ..." : "",
                                                 "; is config.json the one of these weights?"));
}

}  // namespace lastro::engine
