// Attention on AMX's tiles, in simd_attention.cc's namespace for AVX-512, whose queries, masks and softmax it takes.
// `Policy` is one of tiles.h.
//
// Tiles multiply BF16. So that scores stay what they are, each factor x becomes two BF16 numbers: high, x rounded to
// nearest, and low, the next eight bits of what that leaves over; of the four products all but low times low are added
// up, the smaller first, in fp32. |x - high - low| < 2^-16 |x|, nothing for what fp16 holds, and |low low'| <=
// 2^-16 |x x'|: a score is off by less than 3 * 2^-16 sum |q_i k_i| scale beside what fp32 rounds, and the weighted sum
// of values by less than 3 * 2^-16 of the sum of weight |v|.
//
// Of random heads of 64 and 128 numbers over 512 and 2048 tokens in fp16, outputs are off by 1e-5 of their size (root
// mean square); by 5e-4 to 2e-3 without the low parts of weights or of values, and by 1.5e-3 to 4e-3 without those of
// queries or of keys. Leaving some out would save little: what is done on vectors takes about three times as long as
// all products are said to take on tiles (16 cycles for two of them).
//
// A left side is rows of numbers in groups of 32, which the 16 dwords of the high parts and then those of the low parts
// take the place of: a dword pairs numbers j and j + 16 of the group, so that vectors are split without a shuffle. A
// right side is blocks of 32 by 16, whose rows are paired alike. The cache has its tokens in blocks of 16, components
// first for keys and last for values, so neither is transposed.
constexpr int64_t kSplitDims = 256;              // the widest head
constexpr int64_t kSplitGroup = kTileBytes / 2;  // numbers that a row of a tile holds
constexpr int64_t kBlockRows = kTileRows;        // rows and columns of a tile of sums
static_assert(kKvBlock == kBlockRows && 2 * kBlockRows == kSplitGroup);
static_assert(kMaxAttentionQueries % kBlockRows == 0 && kTileDims % kSplitGroup == 0);

constexpr int64_t BlocksOf(int64_t n, int64_t size) { return (n + size - 1) / size; }

struct RightBlock {
  alignas(64) float high[kBlockRows][kBlockRows];  // dwords of two BF16 numbers
  alignas(64) float low[kBlockRows][kBlockRows];
};

// What a call needs beside `Tiles`, some 320 KiB.
struct SplitTiles {
  int64_t width;                                                  // of a head, in whole groups
  alignas(64) float queries[kMaxAttentionQueries * kSplitDims];   // [Q, width], left sides, times the scale
  alignas(64) float weighted[kMaxAttentionQueries * kSplitDims];  // [Q, width], sums of weighted values so far
  // Of the tile: keys [blocks of tokens, groups of components], then values [blocks of components, groups of tokens].
  RightBlock right[kTileTokens * kSplitDims / (kBlockRows * kSplitGroup)];
};

// Rounded to nearest, ties away from zero. What is not finite may become a number, but leaves NaN over.
HWY_INLINE VF32 HighPart(VF32 x) {
  const hn::RebindToUnsigned<F32> du;
  const auto rounded = hn::Add(hn::BitCast(du, x), hn::Set(du, 0x8000u));
  return hn::BitCast(F32(), hn::And(rounded, hn::Set(du, 0xFFFF0000u)));
}

// Dwords of the upper halves of both.
HWY_INLINE VF32 PairUp(VF32 a, VF32 b) {
  const hn::RebindToUnsigned<F32> du;
  const auto upper = hn::And(hn::BitCast(du, b), hn::Set(du, 0xFFFF0000u));
  return hn::BitCast(F32(), hn::Or(hn::ShiftRight<16>(hn::BitCast(du, a)), upper));
}

HWY_INLINE void Split(VF32 a, VF32 b, float* high, float* low) {
  const F32 d;
  const VF32 high_a = HighPart(a), high_b = HighPart(b);
  hn::Store(PairUp(high_a, high_b), d, high);
  hn::Store(PairUp(hn::Sub(a, high_a), hn::Sub(b, high_b)), d, low);
}

// `from`: 32 rows of 16, `stride` apart.
HWY_INLINE void SplitBlock(const float* from, int64_t stride, RightBlock* to) {
  const F32 d;
  for (int64_t j = 0; j < kBlockRows; ++j, from += stride) {
    Split(hn::LoadU(d, from), hn::LoadU(d, from + kBlockRows * stride), to->high[j], to->low[j]);
  }
}

// Whole groups of a row of a left side, in place.
HWY_INLINE void SplitRow(int64_t n, float* row) {
  const F32 d;
  for (float* end = row + n; row < end; row += kSplitGroup) {
    Split(hn::Load(d, row), hn::Load(d, row + kBlockRows), row, row + kBlockRows);
  }
}

HWY_INLINE void SplitQueries(const AttentionArgs& args, int64_t count, const Tiles& tile, SplitTiles& split) {
  const F32 d;
  const int64_t head_dim = args.cache.head_dim, width = BlocksOf(head_dim, kSplitGroup) * kSplitGroup;
  const int64_t rows = BlocksOf(count, kBlockRows) * kBlockRows;
  const VF32 scale = hn::Set(d, args.scale);
  split.width = width;
  std::fill(split.queries, split.queries + rows * width, 0.0f);
  std::fill(split.weighted, split.weighted + rows * width, 0.0f);
  for (int64_t i = 0; i < count; ++i) {
    const float* q = tile.queries[i].q;
    float* row = split.queries + i * width;
    Transform2(q, q, head_dim, row, [scale](VF32 x, VF32) { return hn::Mul(x, scale); });
    SplitRow(width, row);
  }
}

template <KvType kType>
HWY_INLINE void SplitKeys(const AttentionArgs& args, Tiles& tile, SplitTiles& split) {
  const int64_t groups = split.width / kSplitGroup;
  ForDims(args.cache.head_dim, [&](const Dims& part) HWY_ATTR {
    UnpackTileKeys<kType>(args, part, tile);
    const int64_t padded = BlocksOf(part.dims, kSplitGroup) * kSplitGroup;
    std::fill(tile.unpacked + part.dims * kTileTokens, tile.unpacked + padded * kTileTokens, 0.0f);
    for (int64_t t = 0; t < tile.tokens; t += kBlockRows) {
      RightBlock* to = split.right + t / kBlockRows * groups + part.first / kSplitGroup;
      for (int64_t c = 0; c < padded; c += kSplitGroup) {
        SplitBlock(tile.unpacked + c * kTileTokens + t, kTileTokens, to + c / kSplitGroup);
      }
    }
  });
}

template <KvType kType>
HWY_INLINE void SplitValues(const AttentionArgs& args, Tiles& tile, SplitTiles& split) {
  constexpr int64_t kGroups = kTileTokens / kSplitGroup;
  const int64_t padded = BlocksOf(tile.tokens, kSplitGroup) * kSplitGroup;
  ForDims(args.cache.head_dim, [&](const Dims& part) HWY_ATTR {
    UnpackTileValues<kType>(args, part, tile);
    std::fill(tile.unpacked + tile.tokens * kTileDims, tile.unpacked + padded * kTileDims, 0.0f);
    for (int64_t c = 0; c < part.dims; c += kBlockRows) {
      RightBlock* to = split.right + (part.first + c) / kBlockRows * kGroups;
      for (int64_t t = 0; t < padded; t += kSplitGroup) {
        SplitBlock(tile.unpacked + t * kTileDims + c, kTileDims, to + t / kSplitGroup);
      }
    }
  });
}

// Tiles 0 to 3: sums, of two blocks of rows times two of columns. 4, 5: blocks of rows. 6, 7: blocks of columns.
constexpr TileConfig WholeTiles() {
  TileConfig config;
  for (int t = 0; t < kTiles; ++t) config.Set(t, kTileRows, kTileBytes);
  return config;
}

// A product of split sides, in whole blocks.
struct SplitProduct {
  const float* left;
  int64_t left_stride;
  const RightBlock* right;
  int64_t right_stride;  // from one block of columns to the next, in blocks
  int64_t groups;        // of the inner dimension
  float* sums;
  int64_t sums_stride;
};

template <class Policy, int kRows>
HWY_INLINE void LoadLeft(const float* from, int64_t stride) {
  Policy::template Load<4>(from, 4 * stride);
  if (kRows == 2) Policy::template Load<5>(from + kBlockRows * stride, 4 * stride);
}
template <class Policy, int kColumns>
HWY_INLINE void LoadRight(const float (&first)[kBlockRows][kBlockRows], const float (&second)[kBlockRows][kBlockRows]) {
  Policy::template Load<6>(first, kTileBytes);
  if (kColumns == 2) Policy::template Load<7>(second, kTileBytes);
}
template <class Policy, int kRows, int kColumns>
HWY_INLINE void AddProducts() {
  Policy::template DotBf16<0, 4, 6>();
  if (kColumns == 2) Policy::template DotBf16<1, 4, 7>();
  if (kRows == 2) Policy::template DotBf16<2, 5, 6>();
  if (kRows == 2 && kColumns == 2) Policy::template DotBf16<3, 5, 7>();
}

template <class Policy>
HWY_INLINE void ZeroSums() {
  Policy::template Zero<0>();
  Policy::template Zero<1>();
  Policy::template Zero<2>();
  Policy::template Zero<3>();
}
template <class Policy, int kRows, int kColumns>
HWY_INLINE void LoadSums(const float* sums, int64_t stride) {
  const float* second = sums + kBlockRows * stride;
  Policy::template Load<0>(sums, 4 * stride);
  if (kColumns == 2) Policy::template Load<1>(sums + kBlockRows, 4 * stride);
  if (kRows == 2) Policy::template Load<2>(second, 4 * stride);
  if (kRows == 2 && kColumns == 2) Policy::template Load<3>(second + kBlockRows, 4 * stride);
}
template <class Policy, int kRows, int kColumns>
HWY_INLINE void StoreSums(float* sums, int64_t stride) {
  float* second = sums + kBlockRows * stride;
  Policy::template Store<0>(sums, 4 * stride);
  if (kColumns == 2) Policy::template Store<1>(sums + kBlockRows, 4 * stride);
  if (kRows == 2) Policy::template Store<2>(second, 4 * stride);
  if (kRows == 2 && kColumns == 2) Policy::template Store<3>(second + kBlockRows, 4 * stride);
}

// kRows by kColumns blocks of the product from block `column` on; with kAdd onto what is there.
template <class Policy, bool kAdd, int kRows, int kColumns>
HWY_NOINLINE void MultiplyBlocks(const SplitProduct& p, int64_t column) {
  float* sums = p.sums + column * kBlockRows;
  kAdd ? LoadSums<Policy, kRows, kColumns>(sums, p.sums_stride) : ZeroSums<Policy>();
  const RightBlock* right = p.right + column * p.right_stride;
  const float* left = p.left;
  for (int64_t g = 0; g < p.groups; ++g, ++right, left += kSplitGroup) {
    const RightBlock &first = right[0], &second = right[kColumns == 2 ? p.right_stride : 0];
    LoadLeft<Policy, kRows>(left + kBlockRows, p.left_stride);
    LoadRight<Policy, kColumns>(first.high, second.high);
    AddProducts<Policy, kRows, kColumns>();
    LoadLeft<Policy, kRows>(left, p.left_stride);
    AddProducts<Policy, kRows, kColumns>();
    LoadRight<Policy, kColumns>(first.low, second.low);
    AddProducts<Policy, kRows, kColumns>();
  }
  StoreSums<Policy, kRows, kColumns>(sums, p.sums_stride);
}

template <class Policy, bool kAdd, int kRows>
HWY_INLINE void MultiplyRows(const SplitProduct& product, int64_t columns) {
  int64_t column = 0;
  for (; column + 2 <= columns; column += 2) MultiplyBlocks<Policy, kAdd, kRows, 2>(product, column);
  if (column < columns) MultiplyBlocks<Policy, kAdd, kRows, 1>(product, column);
}
template <class Policy, bool kAdd>
HWY_INLINE void Multiply(const SplitProduct& product, int64_t rows, int64_t columns) {
  rows == 2 ? MultiplyRows<Policy, kAdd, 2>(product, columns) : MultiplyRows<Policy, kAdd, 1>(product, columns);
}

// Calls body(first query, blocks of queries, tokens that their last sees) for one or two blocks at a time of those that
// the queries [i, stop) are in.
template <class Body>
HWY_INLINE void ForQueryBlocks(const Tiles& tile, int64_t i, int64_t stop, const Body& body) {
  for (int64_t q = i / kBlockRows * kBlockRows; q < stop; q += 2 * kBlockRows) {
    body(q, q + kBlockRows < stop ? 2 : 1, tile.TokensOf(std::min(q + 2 * kBlockRows, stop) - 1));
  }
}

template <class Policy>
HWY_INLINE void ScoreOnTiles(int64_t i, int64_t stop, Tiles& tile, const SplitTiles& split) {
  const int64_t width = split.width, groups = width / kSplitGroup;
  ForQueryBlocks(tile, i, stop, [&](int64_t q, int64_t blocks, int64_t tokens) HWY_ATTR {
    const float* left = split.queries + q * width;
    const SplitProduct product = {left, width, split.right, groups, groups, tile.ScoresOf(q), kTileTokens};
    Multiply<Policy, false>(product, blocks, BlocksOf(tokens, kBlockRows));
  });
}

// The weights of the queries [i, stop) become a left side, zero for those that are in a block with them.
HWY_INLINE void SplitWeights(int64_t i, int64_t stop, Tiles& tile) {
  for (int64_t q = i / kBlockRows * kBlockRows; q < BlocksOf(stop, kBlockRows) * kBlockRows; ++q) {
    float* weights = tile.ScoresOf(q);
    if (q >= i && q < stop) {
      SplitRow(kTileTokens, weights);
    } else {
      std::fill(weights, weights + kTileTokens, 0.0f);
    }
  }
}

// What the queries [i, stop) have by now is taken down to their new maxima.
HWY_INLINE void Rescale(int64_t i, int64_t stop, const Tiles& tile, SplitTiles& split) {
  const F32 d;
  for (int64_t q = i; q < stop; ++q) {
    if (tile.factors[q] == 1.0f) continue;
    const VF32 factor = hn::Set(d, tile.factors[q]);
    float* row = split.weighted + q * split.width;
    Transform2(row, row, split.width, row, [factor](VF32 v, VF32) { return hn::Mul(v, factor); });
  }
}

template <class Policy>
HWY_INLINE void AddValuesOnTiles(const AttentionArgs& args, int64_t i, int64_t stop, Tiles& tile, SplitTiles& split) {
  constexpr int64_t kGroups = kTileTokens / kSplitGroup;
  const int64_t width = split.width, columns = BlocksOf(args.cache.head_dim, kBlockRows);
  ForQueryBlocks(tile, i, stop, [&](int64_t q, int64_t blocks, int64_t tokens) HWY_ATTR {
    float* sums = split.weighted + q * width;
    const int64_t groups = BlocksOf(tokens, kSplitGroup);
    const SplitProduct product = {tile.ScoresOf(q), kTileTokens, split.right, kGroups, groups, sums, width};
    Multiply<Policy, true>(product, blocks, columns);
  });
}

template <class Policy, KvType kType>
HWY_NOINLINE void AttendSplit(const AttentionArgs& args) {
  static constexpr TileConfig kConfig = WholeTiles();
  Tiles tile;
  SplitTiles split;
  const int64_t count = PrepareQueries(args, tile);
  SplitQueries(args, count, tile, split);
  Policy::Configure(kConfig);
  ForTiles(args, count, tile, [&](int64_t i, int64_t stop) HWY_ATTR {
    SplitKeys<kType>(args, tile, split);
    ScoreOnTiles<Policy>(i, stop, tile, split);
    SoftmaxTile(args, i, stop, tile);
    SplitWeights(i, stop, tile);
    Rescale(i, stop, tile, split);
    SplitValues<kType>(args, tile, split);
    AddValuesOnTiles<Policy>(args, i, stop, tile, split);
  });
  Policy::Release();
  for (int64_t q = 0; q < count; ++q) PutOutput(tile, q, split.weighted + q * split.width, args.cache.head_dim);
}

// REQUIRES: head_dim <= kSplitDims.
template <class Policy>
void TileAttention(const AttentionArgs& args) {
  switch (args.cache.type) {
    case KvType::kF32:
      return AttendSplit<Policy, KvType::kF32>(args);
    case KvType::kF16:
      return AttendSplit<Policy, KvType::kF16>(args);
    case KvType::kInt8:
      return AttendSplit<Policy, KvType::kInt8>(args);
  }
}
