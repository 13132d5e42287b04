// Sampling on the device: the next token of each row of logits, so that a few bytes a row go to the host and not a row
// of the vocabulary. See kernels/sampling.h for what is chosen and matrix.h for what holds of every launcher.
#pragma once

#include "kernels/cuda/matrix.h"
#include "kernels/sampling.h"

namespace lastro::kernels::cuda {

// How one row of logits is sampled.
struct SampledRow {
  int32_t row = 0;  // of the logits
  int32_t first_edit = 0, edits = 0;
  SamplingRule rule;
};

// Chooses out[i] by rows[i], one block a row. `logits` is kF32 with at most kMaxSampledVocabulary columns and is left
// edited; no row of it twice. `rows`, `edits`, `originals` (as many as edits) and `out` are device memory; the edits of
// a row have each id once.
cudaError_t Sample(Matrix logits, const SampledRow* rows, int64_t count, const LogitEdit* edits, float* originals,
                   SampledToken* out, Stream stream);

}  // namespace lastro::kernels::cuda
