// CudaStep: what the kernels of one step know of its sequences, in device memory: token slots, block tables, and how
// attention cuts the queries into tiles. The layout is made by pure functions, which tests check without a device.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "engine/backend.h"
#include "kernels/cuda/attention.h"

namespace lastro::engine {

// The slot of each row's token in a store of blocks of `block_tokens`.
std::vector<int32_t> SlotsOf(absl::Span<const SequenceSpan> sequences, int64_t block_tokens);

// Tokens that a decoding step is prepared for, so that steps of growing sequences are alike: those of the longest
// sequence or memory, rounded up to a power of two.
int64_t PreparedLength(absl::Span<const SequenceSpan> sequences);

// The sequences as attention takes them, and their block tables one behind the other; with `memory` those of the
// memories. Each table has room for at least `table_blocks`.
struct AttentionTables {
  std::vector<kernels::cuda::AttentionSequence> sequences;
  std::vector<int32_t> blocks;
};
AttentionTables TablesOf(absl::Span<const SequenceSpan> sequences, bool memory, int64_t table_blocks = 0);

// The queries of all sequences whose rows times `group` heads fill a wide tile, or of those that do not.
struct AttentionTiles {
  std::vector<kernels::cuda::QueryTile> tiles;
  int64_t max_length = 0;  // tokens of their longest sequence
};
AttentionTiles TilesOf(absl::Span<const SequenceSpan> sequences, bool memory, int64_t group, bool wide,
                       int64_t tile_queries);

}  // namespace lastro::engine
