// The CPU backend's weights: rows of a matrix in the type they are computed in, viewed in the mapped file where it
// already has that type or is quantised, and oneDNN's product over them; or panels. Const after construction,
// thread-safe.
#pragma once

#include <memory>
#include <vector>

#include "engine/backend.h"
#include "engine/cpu_buffer.h"
#include "engine/onednn_matmul.h"
#include "kernels/packed_gemm.h"

namespace lastro::engine {

class CpuTable : public TableWeight {
 public:
  // Keeps the stored type; copies only when `table` is not aligned for it.
  static absl::StatusOr<std::unique_ptr<CpuTable>> Create(const HostMatrix& table);
  DataType type() const { return type_; }
  const uint8_t* row(int64_t r) const { return data_ + r * row_bytes_; }
  // out[i] = row r, or +=.
  void Read(int64_t r, bool accumulate, const kernels::Kernels& kernels, float* out) const;

 private:
  DataType type_ = DataType::kF32;
  const uint8_t* data_ = nullptr;
  int64_t row_bytes_ = 0;
  CpuMemory copy_;
};

class CpuLinear : public LinearWeight {
 public:
  // What becomes of weights none of which is quantised.
  enum class Form {
    kRows,
    kOneDnn,  // one part, and oneDNN's product
    kPanels,  // of kernels/packed_gemm.h alone
  };
  // Consecutive rows of one type, without padding.
  struct Part {
    DataType type;
    const uint8_t* rows;  // [count, k]
    int64_t first;        // of the output features
    int64_t count;
  };

  // Quantised weights and those of `type` (F32 or BF16) stay as they are, a part of each; others are converted to it.
  static absl::StatusOr<std::unique_ptr<CpuLinear>> Create(absl::Span<const HostMatrix> parts,
                                                           absl::Span<const float> bias, LinearHints hints,
                                                           DataType type, Form form, const kernels::Kernels& kernels);

  DataType type() const { return type_; }  // of the parts that are not quantised
  // Empty when only the packed copy, or panels, are kept.
  absl::Span<const Part> parts() const { return parts_; }
  bool quantized() const { return quantized_; }
  bool few_rows() const { return few_rows_; }  // the hint at load: products of few rows have a way of their own
  const float* bias() const { return bias_.empty() ? nullptr : bias_.data(); }
  const OneDnnMatmul* matmul() const { return matmul_.get(); }  // or null; of weights that are not quantised
  // [n / 32 rounded up, PackedGroups(k)], or null.
  const kernels::PackedWeights* panels() const { return panels_.as<kernels::PackedWeights>(); }

 private:
  absl::Status AddPlain(absl::Span<const HostMatrix> parts, const kernels::Kernels& kernels);
  absl::Status AddApart(absl::Span<const HostMatrix> parts, const kernels::Kernels& kernels);
  absl::Status Pack(absl::Span<const HostMatrix> parts, const kernels::Kernels& kernels);

  DataType type_ = DataType::kF32;
  bool quantized_ = false, few_rows_ = true;
  std::vector<Part> parts_;
  std::vector<CpuMemory> copies_;
  CpuMemory panels_;
  std::vector<float> bias_;
  std::unique_ptr<OneDnnMatmul> matmul_;
};

// Bytes of one element of a type that is not quantised.
inline int64_t SizeOfType(DataType type) { return type == DataType::kF32 ? 4 : 2; }

}  // namespace lastro::engine
