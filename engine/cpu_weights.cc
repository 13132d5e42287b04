#include "engine/cpu_weights.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/status_macros.h"
#include "kernels/quant.h"

namespace lastro::engine {
namespace {

bool IsAligned(const HostMatrix& m) {
  if (kernels::IsQuantized(m.type)) return true;  // blocks are bytes
  return reinterpret_cast<uintptr_t>(m.data) % static_cast<uintptr_t>(SizeOfType(m.type)) == 0;
}

int64_t BytesOf(const HostMatrix& m) { return m.rows * kernels::RowBytes(m.type, m.cols); }

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
  result->row_bytes_ = kernels::RowBytes(table.type, table.cols);
  result->data_ = table.data;
  if (!IsAligned(table)) {
    LASTRO_ASSIGN_OR_RETURN(result->copy_, CpuMemory::Allocate(BytesOf(table)));
    std::memcpy(result->copy_.data(), table.data, static_cast<size_t>(BytesOf(table)));
    result->data_ = result->copy_.as<uint8_t>();
  }
  return result;
}

void CpuTable::Read(int64_t r, bool accumulate, const kernels::Kernels& kernels, float* out) const {
  if (kernels::IsQuantized(type_)) {
    kernels::QuantKernelsOf(kernels).dequantize(row(r), type_, cols_, accumulate, out);
  } else {
    kernels.to_f32(row(r), type_, cols_, accumulate, out);
  }
}

// Stacks `parts`, none quantised, into one part of type_.
absl::Status CpuLinear::AddPlain(absl::Span<const HostMatrix> parts, const kernels::Kernels& kernels) {
  const int64_t first = parts_.empty() ? 0 : parts_.back().first + parts_.back().count;
  if (parts.size() == 1 && parts[0].type == type_ && IsAligned(parts[0])) {
    parts_.push_back({type_, parts[0].data, first, parts[0].rows});
    return absl::OkStatus();
  }
  const int64_t row_bytes = k_ * SizeOfType(type_);
  int64_t count = 0;
  for (const HostMatrix& part : parts) count += part.rows;
  LASTRO_ASSIGN_OR_RETURN(CpuMemory copy, CpuMemory::Allocate(count * row_bytes));
  uint8_t* to = copy.as<uint8_t>();
  parts_.push_back({type_, to, first, count});
  for (const HostMatrix& part : parts) {
    ConvertMatrix(part, type_, kernels, to);
    to += part.rows * row_bytes;
  }
  copies_.push_back(std::move(copy));
  return absl::OkStatus();
}

// Each of `parts` on its own, so that those that are quantised, or of type_ already, need no copy.
absl::Status CpuLinear::AddApart(absl::Span<const HostMatrix> parts, const kernels::Kernels& kernels) {
  for (const HostMatrix& part : parts) {
    if (!kernels::IsQuantized(part.type)) {
      LASTRO_RETURN_IF_ERROR(AddPlain(absl::MakeConstSpan(&part, 1), kernels));
      continue;
    }
    quantized_ = true;
    const int64_t first = parts_.empty() ? 0 : parts_.back().first + parts_.back().count;
    parts_.push_back({part.type, part.data, first, part.rows});
  }
  return absl::OkStatus();
}

// The rows of `parts`, none quantised, as panels.
absl::Status CpuLinear::Pack(absl::Span<const HostMatrix> parts, const kernels::Kernels& kernels) {
  const int64_t groups = kernels::PackedGroups(k_), width = kernels::kPackedColumns;
  const int64_t bytes = (n_ + width - 1) / width * groups * static_cast<int64_t>(sizeof(kernels::PackedWeights));
  LASTRO_ASSIGN_OR_RETURN(panels_, CpuMemory::Allocate(bytes));
  kernels::PackedWeights* panel = panels_.as<kernels::PackedWeights>();
  std::vector<float> features(static_cast<size_t>(width * k_));
  int64_t count = 0, left = n_;
  for (const HostMatrix& part : parts) {
    for (int64_t row = 0; row < part.rows; ++row) {
      HostMatrix one = part;
      one.data += row * kernels::RowBytes(part.type, part.cols);
      one.rows = 1;
      ConvertMatrix(one, DataType::kF32, kernels, reinterpret_cast<uint8_t*>(features.data() + count * k_));
      if (++count < std::min(width, left)) continue;
      kernels::SimdPackedGemmKernels().pack_panel({features.data(), k_}, count, k_, panel);
      panel += groups;
      left -= std::exchange(count, 0);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<CpuLinear>> CpuLinear::Create(absl::Span<const HostMatrix> parts,
                                                             absl::Span<const float> bias, LinearHints hints,
                                                             DataType type, Form form,
                                                             const kernels::Kernels& kernels) {
  auto result = std::make_unique<CpuLinear>();
  result->type_ = type;
  result->few_rows_ = hints.few_rows;
  result->k_ = parts[0].cols;
  for (const HostMatrix& part : parts) result->n_ += part.rows;
  result->bias_.assign(bias.begin(), bias.end());
  const bool quantized =
      std::any_of(parts.begin(), parts.end(), [](const HostMatrix& m) { return kernels::IsQuantized(m.type); });
  if (quantized || form == Form::kRows) {
    LASTRO_RETURN_IF_ERROR(result->AddApart(parts, kernels));
    return result;
  }
  if (form == Form::kPanels) {
    LASTRO_RETURN_IF_ERROR(result->Pack(parts, kernels));
    return result;
  }
  LASTRO_RETURN_IF_ERROR(result->AddPlain(parts, kernels));
  const Part& all = result->parts_.front();
  result->matmul_ = OneDnnMatmul::Create(all.rows, type, result->n_, result->k_, result->bias(), hints.many_rows);
  if (result->matmul_ != nullptr && hints.many_rows && !hints.few_rows) {
    result->parts_.clear();
    result->copies_.clear();
  }
  return result;
}

}  // namespace lastro::engine
