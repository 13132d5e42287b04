#include "engine/cuda/cuda_step.h"

#include <algorithm>
#include <bit>

namespace lastro::engine {
namespace {

// Rows times heads of a group from which a sequence has tiles of many rows.
constexpr int64_t kWideQueries = 64;

}  // namespace

std::vector<int32_t> SlotsOf(absl::Span<const SequenceSpan> sequences, int64_t block_tokens) {
  std::vector<int32_t> slots;
  for (const SequenceSpan& s : sequences) {
    for (int64_t token = s.position; token < s.position + s.rows; ++token) {
      const int64_t block = s.blocks[static_cast<size_t>(token / block_tokens)];
      slots.push_back(static_cast<int32_t>(block * block_tokens + token % block_tokens));
    }
  }
  return slots;
}

int64_t PreparedLength(absl::Span<const SequenceSpan> sequences) {
  int64_t longest = kernels::cuda::kSplitTokens;
  for (const SequenceSpan& s : sequences) longest = std::max({longest, s.position + s.rows, s.memory_tokens});
  return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(longest)));
}

AttentionTables TablesOf(absl::Span<const SequenceSpan> sequences, bool memory, int64_t table_blocks) {
  AttentionTables tables;
  for (const SequenceSpan& s : sequences) {
    const absl::Span<const int32_t> blocks = memory ? s.memory_blocks : s.blocks;
    const int64_t length = memory ? s.memory_tokens : s.position + s.rows;
    tables.sequences.push_back({static_cast<int32_t>(s.first_row), static_cast<int32_t>(s.position),
                                static_cast<int32_t>(length), static_cast<int32_t>(tables.blocks.size())});
    tables.blocks.insert(tables.blocks.end(), blocks.begin(), blocks.end());
    const size_t end = static_cast<size_t>(tables.sequences.back().table + table_blocks);
    if (tables.blocks.size() < end) tables.blocks.resize(end, 0);
  }
  return tables;
}

AttentionTiles TilesOf(absl::Span<const SequenceSpan> sequences, bool memory, int64_t group, bool wide,
                       int64_t tile_queries) {
  AttentionTiles result;
  for (size_t i = 0; i < sequences.size(); ++i) {
    const SequenceSpan& s = sequences[i];
    const int64_t queries = s.rows * group;
    if ((queries >= kWideQueries) != wide) continue;
    for (int64_t first = 0; first < queries; first += tile_queries) {
      result.tiles.push_back({static_cast<int32_t>(i), static_cast<int32_t>(first),
                              static_cast<int32_t>(std::min(tile_queries, queries - first))});
    }
    result.max_length = std::max(result.max_length, memory ? s.memory_tokens : s.position + s.rows);
  }
  return result;
}

}  // namespace lastro::engine
