#include "engine/cuda/cuda_weights.h"

#include <algorithm>
#include <utility>

#include "base/status_macros.h"
#include "engine/cuda/cuda_status.h"
#include "kernels/cuda/row_kernels.h"

namespace lastro::engine {
namespace {

using kernels::cuda::Fp8Matrix;
using kernels::cuda::Matrix;
using kernels::cuda::StoredRows;

// Rows converted at once, so that a large matrix is not there twice.
constexpr int64_t kConvertedBytes = int64_t{64} << 20;

int64_t RowsAtOnce(const HostMatrix& part) {
  return std::clamp<int64_t>(kConvertedBytes / part.row_bytes(), 1, part.rows);
}

// Calls convert(first row, some rows on the device) -> cudaError_t for all rows of `part`, RowsAtOnce(part) at most.
template <typename Convert>
absl::Status ForStagedRows(const HostMatrix& part, CudaLoader& loader, const Convert& convert) {
  const int64_t step = RowsAtOnce(part);
  LASTRO_ASSIGN_OR_RETURN(CudaMemory staged, loader.Allocate(step * part.row_bytes()));
  for (int64_t row = 0; row < part.rows; row += step) {
    const HostMatrix some = part.Rows(row, std::min(step, part.rows - row));
    LASTRO_RETURN_IF_ERROR(loader.Copy(some.data, some.rows * some.row_bytes(), staged.data()));
    LASTRO_RETURN_IF_ERROR(
        CudaStatus(convert(row, StoredRows{staged.data(), part.type, some.rows, part.cols}), "conversion of weights"));
  }
  return loader.Finish();  // before the staged rows are freed
}

absl::Status ConvertRows(const HostMatrix& part, const Matrix& to, CudaLoader& loader) {
  return ForStagedRows(part, loader, [&](int64_t row, const StoredRows& some) {
    Matrix out = to;
    out.data = static_cast<uint8_t*>(to.data) + row * kernels::RowBytes(to.type, to.cols);
    out.rows = some.rows;
    return kernels::cuda::ReadRows(some, 0, out, loader.stream());
  });
}

// Through fp32, so that they are rounded once.
absl::Status RoundRowsToFp8(const HostMatrix& part, const Fp8Matrix& to, CudaLoader& loader) {
  LASTRO_ASSIGN_OR_RETURN(CudaMemory exact,
                          loader.Allocate(kernels::RowBytes(DataType::kF32, RowsAtOnce(part) * part.cols)));
  return ForStagedRows(part, loader, [&](int64_t row, const StoredRows& some) {
    const Matrix rows = {exact.data(), DataType::kF32, some.rows, some.cols, some.cols};
    const cudaError_t error = kernels::cuda::ReadRows(some, 0, rows, loader.stream());
    if (error != cudaSuccess) return error;
    return kernels::cuda::RoundToFp8(rows, {to.codes + row * to.cols, to.scales + row, some.rows, to.cols},
                                     loader.stream());
  });
}

}  // namespace

absl::StatusOr<std::unique_ptr<CudaTable>> CudaTable::Create(const HostMatrix& table, CudaLoader& loader) {
  auto weight = std::make_unique<CudaTable>();
  weight->rows_ = table.rows;
  weight->cols_ = table.cols;
  const int64_t bytes = table.rows * table.row_bytes();
  LASTRO_ASSIGN_OR_RETURN(weight->memory_, loader.Allocate(bytes));
  LASTRO_RETURN_IF_ERROR(loader.Copy(table.data, bytes, weight->memory_.data()));
  LASTRO_RETURN_IF_ERROR(loader.Finish());
  weight->stored_ = {weight->memory_.data(), table.type, table.rows, table.cols};
  return weight;
}

absl::StatusOr<std::unique_ptr<CudaLinear>> CudaLinear::Create(absl::Span<const HostMatrix> parts,
                                                               absl::Span<const float> bias, DataType type,
                                                               CudaLoader& loader) {
  auto weight = std::make_unique<CudaLinear>();
  weight->k_ = parts[0].cols;
  const bool plain =
      std::none_of(parts.begin(), parts.end(), [](const HostMatrix& p) { return kernels::IsQuantized(p.type); });
  if (plain) {
    // One matrix, so that the product is one.
    for (const HostMatrix& part : parts) weight->n_ += part.rows;
    LASTRO_ASSIGN_OR_RETURN(CudaMemory memory, loader.Allocate(weight->n_ * kernels::RowBytes(type, weight->k_)));
    int64_t row = 0;
    for (const HostMatrix& part : parts) {
      uint8_t* to = memory.as<uint8_t>() + row * kernels::RowBytes(type, weight->k_);
      LASTRO_RETURN_IF_ERROR(part.type == type
                                 ? loader.Copy(part.data, part.rows * part.row_bytes(), to)
                                 : ConvertRows(part, {to, type, part.rows, part.cols, part.cols}, loader));
      row += part.rows;
    }
    weight->parts_.push_back({{memory.data(), type, weight->n_, weight->k_}, 0});
    weight->memory_.push_back(std::move(memory));
  } else {
    for (const HostMatrix& part : parts) LASTRO_RETURN_IF_ERROR(weight->AddPart(part, type, loader));
  }
  LASTRO_RETURN_IF_ERROR(weight->AddBias(bias, type, loader));
  LASTRO_RETURN_IF_ERROR(loader.Finish());
  return weight;
}

bool CudaLinear::MayBeFp8(absl::Span<const HostMatrix> parts) {
  int64_t n = 0;
  for (const HostMatrix& part : parts) {
    if (kernels::IsQuantized(part.type) || part.cols % kernels::cuda::kFp8Multiple != 0) return false;
    n += part.rows;
  }
  return n % kernels::cuda::kFp8Multiple == 0;
}

absl::StatusOr<std::unique_ptr<CudaLinear>> CudaLinear::CreateFp8(absl::Span<const HostMatrix> parts,
                                                                  absl::Span<const float> bias, CudaLoader& loader) {
  auto weight = std::make_unique<CudaLinear>();
  weight->k_ = parts[0].cols;
  for (const HostMatrix& part : parts) weight->n_ += part.rows;
  LASTRO_ASSIGN_OR_RETURN(CudaMemory codes, loader.Allocate(weight->n_ * weight->k_));
  LASTRO_ASSIGN_OR_RETURN(CudaMemory scales, loader.Allocate(kernels::RowBytes(DataType::kF32, weight->n_)));
  Fp8Matrix rest = weight->fp8_ = {codes.as<uint8_t>(), scales.as<float>(), weight->n_, weight->k_};
  for (const HostMatrix& part : parts) {
    rest.rows = part.rows;
    LASTRO_RETURN_IF_ERROR(RoundRowsToFp8(part, rest, loader));
    rest.codes += part.rows * rest.cols;
    rest.scales += part.rows;
  }
  weight->memory_.push_back(std::move(codes));
  weight->memory_.push_back(std::move(scales));
  LASTRO_RETURN_IF_ERROR(weight->AddBias(bias, DataType::kBF16, loader));
  LASTRO_RETURN_IF_ERROR(loader.Finish());
  return weight;
}

absl::Status CudaLinear::AddBias(absl::Span<const float> bias, DataType narrow, CudaLoader& loader) {
  if (bias.empty()) return absl::OkStatus();
  const int64_t n = static_cast<int64_t>(bias.size());
  LASTRO_ASSIGN_OR_RETURN(bias_, loader.Allocate(kernels::RowBytes(DataType::kF32, n)));
  LASTRO_RETURN_IF_ERROR(loader.Copy(bias.data(), kernels::RowBytes(DataType::kF32, n), bias_.data()));
  if (narrow == DataType::kF32) return absl::OkStatus();
  LASTRO_ASSIGN_OR_RETURN(narrow_bias_, loader.Allocate(kernels::RowBytes(narrow, n)));
  return ConvertRows({DataType::kF32, reinterpret_cast<const uint8_t*>(bias.data()), 1, n},
                     {narrow_bias_.data(), narrow, 1, n, n}, loader);
}

absl::Status CudaLinear::AddPart(const HostMatrix& part, DataType type, CudaLoader& loader) {
  const bool keep = kernels::IsQuantized(part.type) || part.type == type;
  const DataType stored = keep ? part.type : type;
  LASTRO_ASSIGN_OR_RETURN(CudaMemory memory, loader.Allocate(part.rows * kernels::RowBytes(stored, part.cols)));
  LASTRO_RETURN_IF_ERROR(keep ? loader.Copy(part.data, part.rows * part.row_bytes(), memory.data())
                              : ConvertRows(part, {memory.data(), stored, part.rows, part.cols, part.cols}, loader));
  parts_.push_back({{memory.data(), stored, part.rows, part.cols}, n_});
  memory_.push_back(std::move(memory));
  n_ += part.rows;
  return absl::OkStatus();
}

}  // namespace lastro::engine
