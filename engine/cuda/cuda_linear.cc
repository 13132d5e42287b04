// CudaBackend::Linear: which of the matrix products runs. Few rows: our own product over the rows of W as they are
// stored, which reads each weight once. More: cuBLASLt, quantised weights turned into activations' type a piece at a
// time.
#include <algorithm>

#include "base/status_macros.h"
#include "engine/cuda/cuda_backend.h"
#include "engine/cuda/cuda_matrix.h"
#include "engine/cuda/cuda_status.h"
#include "kernels/cuda/row_kernels.h"

namespace lastro::engine {
namespace {

namespace cuda = kernels::cuda;

// Rows up to which our product beats cuBLASLt where weights are not quantised.
constexpr int64_t kFewPlainRows = 4;
// Of quantised weights that are turned at once.
constexpr int64_t kPieceBytes = int64_t{64} << 20;
// What cuBLASLt wants of sizes, in elements: rows of bf16 are then aligned.
constexpr int64_t kDenseMultiple = 8;
static_assert(kDenseMultiple * 2 == cuda::DenseProducts::kAlignmentBytes);

}  // namespace

void CudaBackend::DoLinear(const LinearWeight& weight, MatrixView x, MatrixView out) {
  if (!launches() || x.rows == 0) return;
  const auto converted = Converted("Linear", x);
  if (!converted.ok()) return;
  x = *converted;
  const CudaLinear& linear = static_cast<const CudaLinear&>(weight);
  for (const CudaLinear::Part& part : linear.parts()) {
    if (!ok()) return;
    Done("Linear", PartProduct(linear, part, x, out.Columns(part.first, part.rows.rows)));
  }
}

absl::StatusOr<MatrixView> CudaBackend::Converted(const char* operation, MatrixView x) {
  if (x.type == type_) return x;
  void* data = Reserve(operation, x.rows * kernels::RowBytes(type_, x.cols), &converted_);
  if (data == nullptr) return error_;
  const MatrixView converted = {data, x.rows, x.cols, x.cols, type_};
  Done(operation, cuda::Convert(DeviceMatrix(x), DeviceMatrix(converted), stream_));
  if (!ok()) return error_;
  return converted;
}

absl::Status CudaBackend::PartProduct(const CudaLinear& linear, const CudaLinear::Part& part, MatrixView x,
                                      MatrixView out) {
  const bool quantized = kernels::IsQuantized(part.rows.type);
  const bool dense_fits = x.cols % kDenseMultiple == 0 && out.cols % kDenseMultiple == 0 &&
                          out.stride % kDenseMultiple == 0 && part.first % kDenseMultiple == 0;
  if (deterministic_ || !dense_fits || x.rows <= (quantized ? cuda::kMaxFewRows : kFewPlainRows)) {
    return FewRows(linear, part, x, out);
  }
  const uint8_t* bias = static_cast<const uint8_t*>(linear.bias(out.type));
  if (bias != nullptr) bias += kernels::RowBytes(out.type, part.first);
  return quantized ? ManyRows(part, bias, x, out) : Dense(part.rows.data, bias, x, out);
}

absl::Status CudaBackend::FewRows(const CudaLinear& linear, const CudaLinear::Part& part, MatrixView x,
                                  MatrixView out) {
  const float* bias = linear.bias() != nullptr ? linear.bias() + part.first : nullptr;
  for (int64_t row = 0; row < x.rows; row += cuda::kMaxFewRows) {
    const int64_t count = std::min(cuda::kMaxFewRows, x.rows - row);
    LASTRO_RETURN_IF_ERROR(CudaStatus(cuda::FewRowsProduct(part.rows, bias, DeviceMatrix(x.Rows(row, count)),
                                                           DeviceMatrix(out.Rows(row, count)), stream_),
                                      "CUDA"));
  }
  return absl::OkStatus();
}

absl::Status CudaBackend::ManyRows(const CudaLinear::Part& part, const void* bias, MatrixView x, MatrixView out) {
  const int64_t row_bytes = kernels::RowBytes(type_, x.cols);
  const int64_t piece = std::max<int64_t>(kPieceBytes / row_bytes / kDenseMultiple * kDenseMultiple, kDenseMultiple);
  void* rows = Reserve("Linear", std::min(piece, part.rows.rows) * row_bytes, &weights_);
  if (rows == nullptr) return error_;
  for (int64_t first = 0; first < part.rows.rows; first += piece) {
    const int64_t count = std::min(piece, part.rows.rows - first);
    LASTRO_RETURN_IF_ERROR(
        CudaStatus(cuda::ReadRows(part.rows, first, {rows, type_, count, x.cols, x.cols}, stream_), "CUDA"));
    const uint8_t* some_bias = static_cast<const uint8_t*>(bias);
    if (bias != nullptr) some_bias += kernels::RowBytes(out.type, first);
    LASTRO_RETURN_IF_ERROR(Dense(rows, some_bias, x, out.Columns(first, count)));
  }
  return absl::OkStatus();
}

absl::Status CudaBackend::Dense(const void* weights, const void* bias, MatrixView x, MatrixView out) {
  if (products_->Run(weights, bias, DeviceMatrix(x), DeviceMatrix(out), stream_) == cudaSuccess)
    return absl::OkStatus();
  return absl::InternalError(products_->error());
}

}  // namespace lastro::engine
