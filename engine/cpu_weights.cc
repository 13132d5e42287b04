#include "engine/cpu_weights.h"

#include <algorithm>
#include <cstring>

#include "base/status_macros.h"

namespace lastro::engine {
namespace {

bool IsAligned(const HostMatrix& m) {
  return reinterpret_cast<uintptr_t>(m.data) % static_cast<uintptr_t>(SizeOfType(m.type)) == 0;
}

int64_t BytesOf(const HostMatrix& m) { return m.rows * m.cols * SizeOfType(m.type); }

// Copies `from` into `to` as F32 or BF16, a strip at a time through aligned memory.
void ConvertMatrix(const HostMatrix& from, DataType type, const kernels::Kernels& kernels, uint8_t* to) {
  if (from.type == type) {
    std::memcpy(to, from.data, static_cast<size_t>(BytesOf(from)));
    return;
  }
  constexpr int64_t kStrip = 4096;
  alignas(64) uint8_t source[kStrip * sizeof(float)];
  alignas(64) float values[kStrip];
  const int64_t count = from.rows * from.cols, from_size = SizeOfType(from.type), to_size = SizeOfType(type);
  for (int64_t begin = 0; begin < count; begin += kStrip) {
    const int64_t n = std::min(kStrip, count - begin);
    std::memcpy(source, from.data + begin * from_size, static_cast<size_t>(n * from_size));
    if (type == DataType::kF32) {
      kernels.to_f32(source, from.type, n, false, reinterpret_cast<float*>(to + begin * to_size));
    } else {
      kernels.to_f32(source, from.type, n, false, values);
      kernels.to_bf16({values, n}, 1, n, reinterpret_cast<uint16_t*>(to + begin * to_size));
    }
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<CpuTable>> CpuTable::Create(const HostMatrix& table) {
  auto result = std::make_unique<CpuTable>();
  result->rows_ = table.rows;
  result->cols_ = table.cols;
  result->type_ = table.type;
  result->row_bytes_ = table.cols * SizeOfType(table.type);
  result->data_ = table.data;
  if (!IsAligned(table)) {
    LASTRO_ASSIGN_OR_RETURN(result->copy_, CpuMemory::Allocate(BytesOf(table)));
    std::memcpy(result->copy_.data(), table.data, static_cast<size_t>(BytesOf(table)));
    result->data_ = result->copy_.as<uint8_t>();
  }
  return result;
}

absl::Status CpuLinear::FillRows(absl::Span<const HostMatrix> parts, const kernels::Kernels& kernels) {
  if (parts.size() == 1 && parts[0].type == type_ && IsAligned(parts[0])) {
    rows_ = parts[0].data;
    return absl::OkStatus();
  }
  const int64_t row_bytes = k_ * SizeOfType(type_);
  LASTRO_ASSIGN_OR_RETURN(copy_, CpuMemory::Allocate(n_ * row_bytes));
  uint8_t* to = copy_.as<uint8_t>();
  for (const HostMatrix& part : parts) {
    ConvertMatrix(part, type_, kernels, to);
    to += part.rows * row_bytes;
  }
  rows_ = copy_.data();
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<CpuLinear>> CpuLinear::Create(absl::Span<const HostMatrix> parts,
                                                             absl::Span<const float> bias, LinearHints hints,
                                                             DataType type, bool use_onednn,
                                                             const kernels::Kernels& kernels) {
  auto result = std::make_unique<CpuLinear>();
  result->type_ = type;
  result->k_ = parts[0].cols;
  for (const HostMatrix& part : parts) result->n_ += part.rows;
  result->bias_.assign(bias.begin(), bias.end());
  LASTRO_RETURN_IF_ERROR(result->FillRows(parts, kernels));
  if (!use_onednn) return result;
  result->matmul_ = OneDnnMatmul::Create(result->rows_, type, result->n_, result->k_, result->bias(), hints.many_rows);
  if (result->matmul_ != nullptr && hints.many_rows && !hints.few_rows) {
    result->rows_ = nullptr;
    result->copy_ = CpuMemory();
  }
  return result;
}

}  // namespace lastro::engine
