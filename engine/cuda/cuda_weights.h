// The CUDA backend's weights: rows in device memory, quantised blocks as they are, others in the type they are computed
// in, or in FP8. Const after construction, when the device has all of it; thread-safe.
#pragma once

#include <memory>
#include <vector>

#include "engine/backend.h"
#include "engine/cuda/cuda_loader.h"
#include "engine/cuda/cuda_memory.h"
#include "kernels/cuda/fp8.h"
#include "kernels/cuda/weights.h"

namespace lastro::engine {

class CudaTable : public TableWeight {
 public:
  static absl::StatusOr<std::unique_ptr<CudaTable>> Create(const HostMatrix& table, CudaLoader& loader);
  const kernels::cuda::StoredRows& stored() const { return stored_; }

 private:
  kernels::cuda::StoredRows stored_;
  CudaMemory memory_;
};

class CudaLinear : public LinearWeight {
 public:
  // Consecutive output features of one type.
  struct Part {
    kernels::cuda::StoredRows rows;
    int64_t first = 0;
  };

  // `type` (kF32, kBF16 or kF16) is what weights that are not quantised become.
  static absl::StatusOr<std::unique_ptr<CudaLinear>> Create(absl::Span<const HostMatrix> parts,
                                                            absl::Span<const float> bias, DataType type,
                                                            CudaLoader& loader);

  // In FP8. REQUIRES: MayBeFp8(parts).
  static absl::StatusOr<std::unique_ptr<CudaLinear>> CreateFp8(absl::Span<const HostMatrix> parts,
                                                               absl::Span<const float> bias, CudaLoader& loader);
  // Whether no part has blocks, and its sizes are those that products in FP8 want.
  static bool MayBeFp8(absl::Span<const HostMatrix> parts);

  absl::Span<const Part> parts() const { return parts_; }
  // The whole of it, in place of parts; null where it is not in FP8.
  const kernels::cuda::Fp8Matrix* fp8() const { return fp8_.codes != nullptr ? &fp8_ : nullptr; }
  // [N], in fp32 or in `type`: that or the one the weight was made for (bf16 with FP8). Null without a bias.
  const float* bias() const { return bias_.as<float>(); }
  const void* bias(DataType type) const { return type == DataType::kF32 ? bias_.data() : narrow_bias_.data(); }

 private:
  absl::Status AddPart(const HostMatrix& part, DataType type, CudaLoader& loader);
  absl::Status AddBias(absl::Span<const float> bias, DataType narrow, CudaLoader& loader);

  std::vector<Part> parts_;
  kernels::cuda::Fp8Matrix fp8_;
  std::vector<CudaMemory> memory_;
  CudaMemory bias_, narrow_bias_;
};

}  // namespace lastro::engine
