// A mixture of experts for many rows: the pairs of a row and one of its experts (experts.h) are gathered by expert on
// the device, and each expert's meet its rows of W on tensor cores, bf16 or fp16 with fp32 sums. A pair's results do
// not depend on the others. See matrix.h for what holds of every launcher.
#pragma once

#include "kernels/cuda/experts.h"

namespace lastro::kernels::cuda {

// Pairs of one expert: `count` of `order` (PairGroups) from `first` on; 0 of a tile that is not needed.
struct ExpertTile {
  int32_t expert = 0;
  int32_t first = 0;
  int32_t count = 0;
};

inline constexpr int kTilePairs = 64;
inline constexpr int64_t kGroupedMultiple = 8;  // of columns, so that rows of two bytes an element are aligned
inline constexpr int64_t kMostGroupedExperts = 4096;
inline constexpr int64_t kMostGroupedPairs = int64_t{1} << 20;

// The most tiles that so many pairs can make.
constexpr int64_t MostTiles(int64_t pairs, int64_t experts) {
  return pairs / kTilePairs + (pairs < experts ? pairs : experts);
}

// Device memory.
struct PairGroups {
  int32_t* order = nullptr;     // [pairs]: all of them, those of an expert together
  ExpertTile* tiles = nullptr;  // [MostTiles]
  int64_t most_tiles = 0;
};

// REQUIRES: at most kMostGroupedExperts and kMostGroupedPairs.
cudaError_t GroupPairs(const ExpertRoute* routes, int64_t pairs, int64_t experts, const PairGroups& groups,
                       Stream stream);

// Whether GroupedProduct takes such rows: kBF16 or kF16, 16-byte aligned.
bool CanGroup(const Matrix& x);

// out[pair] = x[pair / pairs_per_row] W^T + bias of the pair's expert; out is of x's type.
cudaError_t GroupedProduct(const ExpertMap& map, const PairGroups& groups, int64_t pairs_per_row, Matrix x, Matrix out,
                           Stream stream);

}  // namespace lastro::kernels::cuda
