// A mixture of experts for few rows, routed on the device: no row's experts need be known to the host, and steps of as
// many rows do the same launches whatever these are. See matrix.h for what holds of every launcher.
//
// A pair is one row and one of its experts: pair row * per_token + i.
#pragma once

#include "kernels/cuda/matrix.h"

namespace lastro::kernels::cuda {

// Which expert a pair goes to, and what its output is multiplied by.
struct ExpertRoute {
  int32_t expert = 0;
  float factor = 0;
};

// A map's rows of one expert, [N, K] as StoredRows (weights.h), and its bias [N] or null. Device memory.
struct ExpertRows {
  const void* rows = nullptr;
  const float* bias = nullptr;
};

// routes [R * per_token]: the experts of the largest logits of each row [R, experts] (kF32; the lower index on a tie, a
// NaN is the smallest), best first, weighted by the softmax over those.
cudaError_t Route(Matrix logits, int64_t per_token, ExpertRoute* routes, Stream stream);

// One map of all experts.
struct ExpertMap {
  const ExpertRows* experts = nullptr;  // [experts], device memory
  DataType type = DataType::kF32;
  int64_t rows = 0;      // N
  int64_t cols = 0;      // K
  bool vectors = false;  // rows of every expert are 16-byte aligned
};

// out[pair] = x[pair / pairs_per_row] W^T + bias of the pair's expert; sums are fp32.
cudaError_t ExpertProduct(const ExpertMap& map, const ExpertRoute* routes, int64_t pairs_per_row, Matrix x, Matrix out,
                          Stream stream);

// out[row] (kF32) = the sum over its pairs of factor * y[pair].
cudaError_t SumPairs(Matrix y, const ExpertRoute* routes, int64_t per_token, Matrix out, Stream stream);

}  // namespace lastro::kernels::cuda
