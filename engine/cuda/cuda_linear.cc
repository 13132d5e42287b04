// CudaBackend::Linear: which of the matrix products runs. Few rows: our own product over the rows of W as they are
// stored, which reads each weight once. More: cuBLASLt, weights that it does not take as they are turned into
// activations' type a piece at a time.
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
// Of weights that are turned at once.
constexpr int64_t kPieceBytes = int64_t{64} << 20;
// What cuBLASLt wants of sizes, in elements: rows of two bytes an element are then aligned.
constexpr int64_t kDenseMultiple = 8;
static_assert(kDenseMultiple * 2 == cuda::DenseProducts::kAlignmentBytes);

// Whether cuBLASLt takes these, and the features from `first` on.
bool DenseFits(const MatrixView& x, const MatrixView& out, int64_t first) {
  return x.cols % kDenseMultiple == 0 && out.cols % kDenseMultiple == 0 && out.stride % kDenseMultiple == 0 &&
         first % kDenseMultiple == 0;
}

}  // namespace

void CudaBackend::DoLinear(const LinearWeight& weight, MatrixView x, MatrixView out) {
  if (!launches() || x.rows == 0) return;
  const CudaLinear& linear = static_cast<const CudaLinear&>(weight);
  if (linear.fp8() != nullptr) return Done("Linear", Fp8Product(linear, x, out));
  const auto converted = Converted("Linear", x);
  if (!converted.ok()) return;
  x = *converted;
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
  if (deterministic_ || !DenseFits(x, out, part.first) || x.rows <= (quantized ? cuda::kMaxFewRows : kFewPlainRows)) {
    const float* bias = linear.bias() != nullptr ? linear.bias() + part.first : nullptr;
    return FewRows(x, out, [&](const cuda::Matrix& some, const cuda::Matrix& to) {
      return cuda::FewRowsProduct(part.rows, bias, some, to, stream_);
    });
  }
  const uint8_t* bias = static_cast<const uint8_t*>(linear.bias(out.type));
  if (bias != nullptr) bias += kernels::RowBytes(out.type, part.first);
  if (!quantized) return Dense(part.rows.data, bias, x, out);
  return ManyRows(bias, x, out,
                  [&](int64_t first, const cuda::Matrix& to) { return cuda::ReadRows(part.rows, first, to, stream_); });
}

absl::Status CudaBackend::Fp8Product(const CudaLinear& linear, MatrixView x, MatrixView out) {
  const cuda::Fp8Matrix& weights = *linear.fp8();
  if (deterministic_ || !DenseFits(x, out, 0) || x.rows <= kFewPlainRows) {
    return FewRows(x, out, [&](const cuda::Matrix& some, const cuda::Matrix& to) {
      return cuda::FewRowsFp8Product(weights, linear.bias(), some, to, stream_);
    });
  }
  const int64_t code_bytes = DeviceAligned(x.rows * x.cols);
  void* scratch = Reserve("Linear", code_bytes + kernels::RowBytes(DataType::kF32, x.rows), &codes_);
  if (scratch == nullptr) return error_;
  uint8_t* codes = static_cast<uint8_t*>(scratch);
  const cuda::Fp8Matrix rounded = {codes, reinterpret_cast<float*>(codes + code_bytes), x.rows, x.cols};
  LASTRO_RETURN_IF_ERROR(CudaStatus(cuda::RoundToFp8(DeviceMatrix(x), rounded, stream_), "CUDA"));
  const cudaError_t error =
      products_->RunFp8(weights, linear.bias(DataType::kBF16), rounded, DeviceMatrix(out), stream_.handle);
  if (error == cudaSuccess) return absl::OkStatus();
  if (error != cudaErrorNotSupported) return absl::InternalError(products_->error());
  LASTRO_ASSIGN_OR_RETURN(x, Converted("Linear", x));
  return ManyRows(linear.bias(out.type), x, out, [&](int64_t first, const cuda::Matrix& to) {
    return cuda::ReadFp8Rows(weights, first, to, stream_);
  });
}

template <typename Product>
absl::Status CudaBackend::FewRows(MatrixView x, MatrixView out, const Product& product) {
  for (int64_t row = 0; row < x.rows; row += cuda::kMaxFewRows) {
    const int64_t count = std::min(cuda::kMaxFewRows, x.rows - row);
    LASTRO_RETURN_IF_ERROR(
        CudaStatus(product(DeviceMatrix(x.Rows(row, count)), DeviceMatrix(out.Rows(row, count))), "CUDA"));
  }
  return absl::OkStatus();
}

template <typename Read>
absl::Status CudaBackend::ManyRows(const void* bias, MatrixView x, MatrixView out, const Read& read) {
  const int64_t row_bytes = kernels::RowBytes(type_, x.cols);
  const int64_t piece = std::max<int64_t>(kPieceBytes / row_bytes / kDenseMultiple * kDenseMultiple, kDenseMultiple);
  void* rows = Reserve("Linear", std::min(piece, out.cols) * row_bytes, &weights_);
  if (rows == nullptr) return error_;
  for (int64_t first = 0; first < out.cols; first += piece) {
    const int64_t count = std::min(piece, out.cols - first);
    LASTRO_RETURN_IF_ERROR(CudaStatus(read(first, cuda::Matrix{rows, type_, count, x.cols, x.cols}), "CUDA"));
    const uint8_t* some_bias = static_cast<const uint8_t*>(bias);
    if (bias != nullptr) some_bias += kernels::RowBytes(out.type, first);
    LASTRO_RETURN_IF_ERROR(Dense(rows, some_bias, x, out.Columns(first, count)));
  }
  return absl::OkStatus();
}

absl::Status CudaBackend::Dense(const void* weights, const void* bias, MatrixView x, MatrixView out) {
  if (products_->Run(weights, bias, DeviceMatrix(x), DeviceMatrix(out), stream_.handle) == cudaSuccess)
    return absl::OkStatus();
  return absl::InternalError(products_->error());
}

}  // namespace lastro::engine
