#include "engine/cuda/cuda_weights.h"

#include <algorithm>
#include <utility>

#include "base/status_macros.h"
#include "engine/cuda/cuda_status.h"
#include "kernels/cuda/row_kernels.h"

namespace lastro::engine {
namespace {

using kernels::cuda::Matrix;
using kernels::cuda::StoredRows;

// Rows converted at once, so that a large matrix is not there twice.
constexpr int64_t kConvertedBytes = int64_t{64} << 20;

// Loading has the default stream to itself: it may run on any thread, beside a step's stream.
constexpr cudaStream_t kLoadStream = nullptr;

absl::Status CopyToDevice(const void* from, int64_t bytes, void* to) {
  LASTRO_RETURN_IF_ERROR(CudaStatus(
      cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyHostToDevice, kLoadStream), "copy of weights"));
  return CudaStatus(cudaStreamSynchronize(kLoadStream), "copy of weights");
}

absl::Status ConvertRows(const HostMatrix& part, const Matrix& to, CudaBudget& budget) {
  const int64_t step = std::clamp<int64_t>(kConvertedBytes / part.row_bytes(), 1, part.rows);
  LASTRO_ASSIGN_OR_RETURN(CudaMemory staged, budget.Allocate(step * part.row_bytes()));
  for (int64_t row = 0; row < part.rows; row += step) {
    const HostMatrix some = part.Rows(row, std::min(step, part.rows - row));
    LASTRO_RETURN_IF_ERROR(CopyToDevice(some.data, some.rows * some.row_bytes(), staged.data()));
    Matrix out = to;
    out.data = static_cast<uint8_t*>(to.data) + row * kernels::RowBytes(to.type, to.cols);
    out.rows = some.rows;
    LASTRO_RETURN_IF_ERROR(
        CudaStatus(kernels::cuda::ReadRows({staged.data(), part.type, some.rows, part.cols}, 0, out, kLoadStream),
                   "conversion of weights"));
    LASTRO_RETURN_IF_ERROR(CudaStatus(cudaStreamSynchronize(kLoadStream), "conversion of weights"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<CudaTable>> CudaTable::Create(const HostMatrix& table, CudaBudget& budget) {
  auto weight = std::make_unique<CudaTable>();
  weight->rows_ = table.rows;
  weight->cols_ = table.cols;
  const int64_t bytes = table.rows * table.row_bytes();
  LASTRO_ASSIGN_OR_RETURN(weight->memory_, budget.Allocate(bytes));
  LASTRO_RETURN_IF_ERROR(CopyToDevice(table.data, bytes, weight->memory_.data()));
  weight->stored_ = {weight->memory_.data(), table.type, table.rows, table.cols};
  return weight;
}

absl::StatusOr<std::unique_ptr<CudaLinear>> CudaLinear::Create(absl::Span<const HostMatrix> parts,
                                                               absl::Span<const float> bias, DataType type,
                                                               CudaBudget& budget) {
  auto weight = std::make_unique<CudaLinear>();
  weight->k_ = parts[0].cols;
  const bool plain =
      std::none_of(parts.begin(), parts.end(), [](const HostMatrix& p) { return kernels::IsQuantized(p.type); });
  if (plain) {
    // One matrix, so that the product is one.
    for (const HostMatrix& part : parts) weight->n_ += part.rows;
    LASTRO_ASSIGN_OR_RETURN(CudaMemory memory, budget.Allocate(weight->n_ * kernels::RowBytes(type, weight->k_)));
    int64_t row = 0;
    for (const HostMatrix& part : parts) {
      uint8_t* to = memory.as<uint8_t>() + row * kernels::RowBytes(type, weight->k_);
      LASTRO_RETURN_IF_ERROR(part.type == type
                                 ? CopyToDevice(part.data, part.rows * part.row_bytes(), to)
                                 : ConvertRows(part, {to, type, part.rows, part.cols, part.cols}, budget));
      row += part.rows;
    }
    weight->parts_.push_back({{memory.data(), type, weight->n_, weight->k_}, 0});
    weight->memory_.push_back(std::move(memory));
  } else {
    for (const HostMatrix& part : parts) LASTRO_RETURN_IF_ERROR(weight->AddPart(part, type, budget));
  }
  if (bias.empty()) return weight;
  const int64_t n = static_cast<int64_t>(bias.size());
  LASTRO_ASSIGN_OR_RETURN(weight->bias_, budget.Allocate(kernels::RowBytes(DataType::kF32, n)));
  LASTRO_RETURN_IF_ERROR(CopyToDevice(bias.data(), kernels::RowBytes(DataType::kF32, n), weight->bias_.data()));
  LASTRO_ASSIGN_OR_RETURN(weight->bias_bf16_, budget.Allocate(kernels::RowBytes(DataType::kBF16, n)));
  LASTRO_RETURN_IF_ERROR(ConvertRows({DataType::kF32, reinterpret_cast<const uint8_t*>(bias.data()), 1, n},
                                     {weight->bias_bf16_.data(), DataType::kBF16, 1, n, n}, budget));
  return weight;
}

absl::Status CudaLinear::AddPart(const HostMatrix& part, DataType type, CudaBudget& budget) {
  const bool keep = kernels::IsQuantized(part.type) || part.type == type;
  const DataType stored = keep ? part.type : type;
  LASTRO_ASSIGN_OR_RETURN(CudaMemory memory, budget.Allocate(part.rows * kernels::RowBytes(stored, part.cols)));
  LASTRO_RETURN_IF_ERROR(keep ? CopyToDevice(part.data, part.rows * part.row_bytes(), memory.data())
                              : ConvertRows(part, {memory.data(), stored, part.rows, part.cols, part.cols}, budget));
  parts_.push_back({{memory.data(), stored, part.rows, part.cols}, n_});
  memory_.push_back(std::move(memory));
  n_ += part.rows;
  return absl::OkStatus();
}

}  // namespace lastro::engine
