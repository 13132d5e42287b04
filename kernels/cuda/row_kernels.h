// Work on rows of device memory: norms, activations, sums, rotary positions, gathering, pooling. See matrix.h for what
// holds of every launcher; kernels/kernels.h has the formulas. Matrices are kF32 or of one type of two bytes, mixed
// freely; sums are fp32.
#pragma once

#include "kernels/cuda/matrix.h"

namespace lastro::kernels::cuda {

struct NormArgs {
  const float* weight = nullptr;  // [width]
  const float* bias = nullptr;    // [width] or null
  float eps = 0;
  bool rms = true;  // else layer norm
};

// out = the norm of every group of `width` columns of x; out may be x. With `branch` (as x) first x += branch, in
// place: a residual sum and the norm after it in one pass.
cudaError_t Norm(const NormArgs& args, const Matrix* branch, Matrix x, int64_t width, Matrix out, Stream stream);

// out = f(x), or with `gated` f(gate) * up of x = [gate | up]. Ungated, out may be x.
cudaError_t Activate(ActivationKind kind, bool gated, Matrix x, Matrix out, Stream stream);

// inout += x.
cudaError_t Add(Matrix x, Matrix inout, Stream stream);

// In place.
cudaError_t Map(MapKind kind, float parameter, Matrix x, Stream stream);

// out = x, in out's type.
cudaError_t Convert(Matrix x, Matrix out, Stream stream);

// out[i] = x[rows[i]]. `rows` [R of out] is device memory.
cudaError_t GatherRows(Matrix x, const int32_t* rows, Matrix out, Stream stream);

// out[rows[i]] += factors[i] * x[i]; no row twice. `rows` and `factors` [R of x] are device memory.
cudaError_t AddScaledRows(Matrix x, const int32_t* rows, const float* factors, Matrix out, Stream stream);

// cos(p f) and sin(p f), times `factor`: both [count, frequency_count], without padding; the angle p f is rounded to
// fp32. All pointers are device memory.
cudaError_t RotaryAngles(const int32_t* positions, int64_t count, const float* frequencies, int64_t frequency_count,
                         double factor, float* cos, float* sin, Stream stream);

// In place, half-split pairs of every head of `head_dim` columns; cos and sin [R, rotary_dim / 2] are kF32 without
// padding.
cudaError_t Rope(const float* cos, const float* sin, int64_t rotary_dim, int64_t head_dim, Matrix x, Stream stream);

// A run of rows [first, first + count).
struct RowRange {
  int32_t first = 0;
  int32_t count = 0;
};
// out[i] = the mean over the rows of ranges[i], with `normalize` divided by max(its length, 1e-12). `ranges` [R of out]
// is device memory.
cudaError_t PoolRows(Matrix x, const RowRange* ranges, bool normalize, Matrix out, Stream stream);

}  // namespace lastro::kernels::cuda
