// Attention over the blocked KV cache, and the store into it. Streaming softmax (Dao et al. 2022, "FlashAttention",
// algorithm 1): per query a running maximum m and sum l; the output holds sum_t exp(s_t - m) v_t until the end.
//
// Tile by tile of tokens: keys are unpacked to fp32 once for all queries of the call, a few of which at a time meet
// them in registers; then the softmax of each; then values likewise. What a query's sums are made of, and in which
// order, does not depend on the queries beside it. Where the caller allows it and the CPU has AMX, its tiles multiply
// (attention_amx-inl.h).
#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "kernels/cpu_features.h"
#include "kernels/simd.h"
#include "kernels/tiles.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd_attention.cc"
// foreach_target.h comes first.
// clang-format off
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"
#include "kernels/kv_tiles-inl.h"
#include "kernels/simd_vectors-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace lastro::kernels {
namespace HWY_NAMESPACE {

// Queries, and vectors of tokens or components, whose sums are in registers at once.
#if HWY_TARGET <= HWY_AVX3
constexpr int kQueries = 6, kVectors = 4;  // 24 of 32
#else
constexpr int kQueries = 4, kVectors = 2;  // 8 of 16
#endif

// One query; it sees the tokens [first, end).
struct QueryState {
  const float* q;
  float* out;
  int64_t first;
  int64_t end;
  const float* bias;  // of token 0 for this query, or null
};

// The queries of one call, and what streams by them: a tile of tokens, unpacked to fp32 some components at a time, and
// its scores, which become weights.
struct Tiles {
  QueryState queries[kMaxAttentionQueries];
  HWY_ALIGN float maxima[kMaxAttentionQueries];           // so far
  HWY_ALIGN float factors[kMaxAttentionQueries];          // of what the output holds when the next values are added
  HWY_ALIGN float sums[kMaxAttentionQueries * kKvBlock];  // of the weights so far, in the lanes of a vector
  int64_t begin;                                          // the tile's first token
  int64_t tokens;                                         // at most kTileTokens
  const int32_t* blocks;
  HWY_ALIGN float unpacked[kTileTokens * kTileDims];
  HWY_ALIGN float scores[kMaxAttentionQueries * kTileTokens];

  float* ScoresOf(int64_t query) { return scores + query * kTileTokens; }
  // Of the tile, those that the queries up to this one see; later ones see no fewer.
  int64_t TokensOf(int64_t query) const { return std::min(tokens, queries[query].end - begin); }
};

// The components [first, first + dims) of head_dim.
struct Dims {
  int64_t first, dims;
  bool is_last;
};

// Calls body(Dims) for the components of a head, as many at a time as a tile holds.
template <class Body>
HWY_INLINE void ForDims(int64_t head_dim, const Body& body) {
  for (int64_t first = 0; first < head_dim; first += kTileDims) {
    body(Dims{first, std::min(kTileDims, head_dim - first), first + kTileDims >= head_dim});
  }
}

// scores[i][v] += q_i . K for kN queries and kV vectors of tokens, times `scale` at the end.
template <int kN, int kV>
HWY_INLINE void ScoreVectors(const QueryState* queries, const float* keys, const Dims& part, float scale,
                             float* scores) {
  const TokenTag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  hn::Vec<TokenTag> sums[kN][kV];
  for (int i = 0; i < kN; ++i) {
    for (int v = 0; v < kV; ++v) {
      sums[i][v] = part.first == 0 ? hn::Zero(d) : hn::LoadU(d, scores + i * kTileTokens + v * lanes);
    }
  }
  const float* q[kN];
  for (int i = 0; i < kN; ++i) q[i] = queries[i].q + part.first;
  for (int64_t c = 0; c < part.dims; ++c, keys += kTileTokens) {
    hn::Vec<TokenTag> key[kV];
    for (int v = 0; v < kV; ++v) key[v] = hn::LoadU(d, keys + v * lanes);
    for (int i = 0; i < kN; ++i) {
      const auto x = hn::Set(d, q[i][c]);
      for (int v = 0; v < kV; ++v) sums[i][v] = hn::MulAdd(x, key[v], sums[i][v]);
    }
  }
  const auto by = hn::Set(d, part.is_last ? scale : 1.0f);
  for (int i = 0; i < kN; ++i) {
    for (int v = 0; v < kV; ++v) hn::StoreU(hn::Mul(sums[i][v], by), d, scores + i * kTileTokens + v * lanes);
  }
}

// The scores of kN queries from the first on, for all tokens that the last of them sees, in whole vectors.
template <int kN>
HWY_INLINE void ScoreTile(Tiles& tile, int64_t first, const Dims& part, float scale) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(TokenTag())), tokens = tile.TokensOf(first + kN - 1);
  const QueryState* queries = tile.queries + first;
  float* scores = tile.ScoresOf(first);
  int64_t t = 0;
  for (; t + (kVectors - 1) * lanes < tokens; t += kVectors * lanes) {
    ScoreVectors<kN, kVectors>(queries, tile.unpacked + t, part, scale, scores + t);
  }
  for (; t < tokens; t += lanes) ScoreVectors<kN, 1>(queries, tile.unpacked + t, part, scale, scores + t);
}

// Soft cap and bias of the scores of the tokens [begin + low, begin + high) of one query.
HWY_INLINE void AdjustScores(const AttentionArgs& args, const QueryState& query, int64_t begin, int64_t low,
                             int64_t high, float* scores) {
  const F32 d;
  if (args.softcap > 0) {
    const VF32 cap = hn::Set(d, args.softcap), inverse = hn::Set(d, 1.0f / args.softcap);
    Transform2(scores + low, scores + low, high - low, scores + low,
               [d, cap, inverse](VF32 s, VF32) { return hn::Mul(cap, hn::CallTanh(d, hn::Mul(s, inverse))); });
  }
  if (query.bias != nullptr) {
    Transform2(query.bias + begin + low, scores + low, high - low, scores + low,
               [](VF32 b, VF32 s) { return hn::Add(b, s); });
  }
}

// e^x of x <= 0, to 2^-22 of it; 0 where that is below e^-85.
template <class D>
HWY_INLINE hn::Vec<D> Weight(D d, hn::Vec<D> x) {
  const auto power = PowerOfTwo(d, x, hn::Set(d, 1.44269504f));
  return hn::IfThenElseZero(hn::Gt(x, hn::Set(d, -85.0f)), power);
}

// Masks the scores of one query before `low` and from `high` on, up to the block's end; the largest of the others and
// of `so_far`.
HWY_INLINE float MaskAndMaximum(int64_t low, int64_t high, float so_far, float* scores) {
  const TokenTag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t end = (high + kKvBlock - 1) / kKvBlock * kKvBlock;
  for (int64_t j = 0; j < low; ++j) scores[j] = -std::numeric_limits<float>::infinity();
  for (int64_t j = high; j < end; ++j) scores[j] = -std::numeric_limits<float>::infinity();
  auto largest = hn::Set(d, so_far);
  for (int64_t j = 0; j < end; j += lanes) largest = hn::Max(largest, hn::LoadU(d, scores + j));
  return hn::GetLane(hn::MaxOfLanes(d, largest));
}

// Turns the scores of one query into weights, and adds them up.
HWY_INLINE void WeighTile(int64_t high, float maximum, float factor, float* scores, float* sums) {
  const TokenTag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto center = hn::Set(d, maximum);
  auto sum = hn::Mul(hn::LoadU(d, sums), hn::Set(d, factor));
  int64_t j = 0;
  for (; j < high; j += lanes) {
    const auto weight = Weight(d, hn::Sub(hn::LoadU(d, scores + j), center));
    hn::StoreU(weight, d, scores + j);
    sum = hn::Add(sum, weight);
  }
  for (; j < kTileTokens; j += lanes) hn::StoreU(hn::Zero(d), d, scores + j);
  hn::StoreU(sum, d, sums);
}

// Softmax of the queries [i, stop) over the tile, in passes over all, so that none waits for the one before.
HWY_INLINE void SoftmaxTile(const AttentionArgs& args, int64_t i, int64_t stop, Tiles& tile) {
  const F32 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  std::copy(tile.maxima, tile.maxima + kMaxAttentionQueries, tile.factors);
  for (int64_t q = i; q < stop; ++q) {
    const int64_t low = std::clamp<int64_t>(tile.queries[q].first - tile.begin, 0, tile.tokens);
    const int64_t high = tile.TokensOf(q);
    AdjustScores(args, tile.queries[q], tile.begin, low, high, tile.ScoresOf(q));
    tile.maxima[q] = MaskAndMaximum(low, high, tile.maxima[q], tile.ScoresOf(q));
  }
  for (int64_t q = 0; q < stop; q += lanes) {  // 0 at a query's first tile, which rises from -infinity
    const VF32 rise = hn::Sub(hn::Load(d, tile.factors + q), hn::Load(d, tile.maxima + q));
    hn::Store(Weight(d, rise), d, tile.factors + q);
  }
  for (int64_t q = i; q < stop; ++q) {
    WeighTile(tile.TokensOf(q), tile.maxima[q], tile.factors[q], tile.ScoresOf(q), tile.sums + q * kKvBlock);
  }
}

// `n` < Lanes(d) elements at `p` where kTail, else all.
template <bool kTail>
HWY_INLINE VF32 LoadOut(F32 d, const float* p, int64_t n) {
  return kTail ? LoadTail(d, p, n) : hn::LoadU(d, p);
}
template <bool kTail>
HWY_INLINE void StoreOut(VF32 value, F32 d, float* p, int64_t n) {
  kTail ? StoreTail(value, d, p, n) : hn::StoreU(value, d, p);
}

// out_i[c : c + kV vectors] = factor_i out_i + sum_j weights[i][j] V[j, c ...] for kN queries from the first on and
// `tokens` tokens; out begins at component `part`. With kTail of the first n components of one vector.
template <int kN, int kV, bool kTail = false>
HWY_INLINE void AddValueVectors(Tiles& tile, int64_t first, int64_t tokens, int64_t part, int64_t c, int64_t n = 0) {
  const F32 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const QueryState* queries = tile.queries + first;
  const float *weights = tile.ScoresOf(first), *values = tile.unpacked + c;
  VF32 sums[kN][kV];
  for (int i = 0; i < kN; ++i) {
    const VF32 factor = hn::Set(d, tile.factors[first + i]);
    for (int v = 0; v < kV; ++v) {
      sums[i][v] = hn::Mul(factor, LoadOut<kTail>(d, queries[i].out + part + c + v * lanes, n));
    }
  }
  for (int64_t j = 0; j < tokens; ++j, values += kTileDims) {
    VF32 row[kV];
    for (int v = 0; v < kV; ++v) row[v] = hn::LoadU(d, values + v * lanes);
    for (int i = 0; i < kN; ++i) {
      const VF32 weight = hn::Set(d, weights[i * kTileTokens + j]);
      for (int v = 0; v < kV; ++v) sums[i][v] = hn::MulAdd(weight, row[v], sums[i][v]);
    }
  }
  for (int i = 0; i < kN; ++i) {
    for (int v = 0; v < kV; ++v) StoreOut<kTail>(sums[i][v], d, queries[i].out + part + c + v * lanes, n);
  }
}

template <int kN>
HWY_INLINE void AddValues(Tiles& tile, int64_t first, const Dims& part) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(F32())), tokens = tile.TokensOf(first + kN - 1);
  int64_t c = 0;
  for (; c + kVectors * lanes <= part.dims; c += kVectors * lanes) {
    AddValueVectors<kN, kVectors>(tile, first, tokens, part.first, c);
  }
  for (; c + 2 * lanes <= part.dims; c += 2 * lanes) AddValueVectors<kN, 2>(tile, first, tokens, part.first, c);
  for (; c + lanes <= part.dims; c += lanes) AddValueVectors<kN, 1>(tile, first, tokens, part.first, c);
  if (c < part.dims) AddValueVectors<kN, 1, true>(tile, first, tokens, part.first, c, part.dims - c);
}

// Calls body(kN as a constant, first query) for all queries of [begin, end), a few at a time.
template <class Body>
HWY_INLINE void ForQueries(int64_t begin, int64_t end, const Body& body) {
  for (; begin + kQueries <= end; begin += kQueries) body(std::integral_constant<int, kQueries>(), begin);
  for (; begin + 2 <= end; begin += 2) body(std::integral_constant<int, 2>(), begin);
  if (begin < end) body(std::integral_constant<int, 1>(), begin);
}

// Some components of the tile's keys, [components, kTileTokens], or values, [tokens, kTileDims].
template <KvType kType>
HWY_INLINE void UnpackTileKeys(const AttentionArgs& args, const Dims& part, Tiles& tile) {
  for (int64_t t = 0; t < tile.tokens; t += kKvBlock) {
    const uint8_t* keys = args.cache.Keys(tile.blocks[t / kKvBlock], args.kv_head);
    UnpackKeys<kType>(keys, args.cache.head_dim, part.first, part.dims, tile.unpacked + t);
  }
}
template <KvType kType>
HWY_INLINE void UnpackTileValues(const AttentionArgs& args, const Dims& part, Tiles& tile) {
  for (int64_t t = 0; t < tile.tokens; t += kKvBlock) {
    const uint8_t* values = args.cache.Values(tile.blocks[t / kKvBlock], args.kv_head);
    UnpackValues<kType>(values, args.cache.head_dim, part.first, part.dims, std::min(kKvBlock, tile.tokens - t),
                        tile.unpacked + t * kTileDims);
  }
}

// The queries [i, stop), each of which sees something of the tile.
template <KvType kType>
HWY_INLINE void AttendTile(const AttentionArgs& args, int64_t i, int64_t stop, Tiles& tile) {
  ForDims(args.cache.head_dim, [&](const Dims& part) HWY_ATTR {
    UnpackTileKeys<kType>(args, part, tile);
    ForQueries(i, stop, [&](auto n, int64_t q) HWY_ATTR { ScoreTile<n.value>(tile, q, part, args.scale); });
  });
  SoftmaxTile(args, i, stop, tile);
  ForDims(args.cache.head_dim, [&](const Dims& part) HWY_ATTR {
    UnpackTileValues<kType>(args, part, tile);
    ForQueries(i, stop, [&](auto n, int64_t q) HWY_ATTR { AddValues<n.value>(tile, q, part); });
  });
}

HWY_INLINE void Clear(float* out, int64_t n) {
  const F32 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(hn::Zero(d), d, out + i);
  if (i < n) StoreTail(hn::Zero(d), d, out + i, n - i);
}

HWY_INLINE int64_t PrepareQueries(const AttentionArgs& args, Tiles& tile) {
  const int64_t group = args.heads / args.cache.kv_heads;
  int64_t count = 0;
  for (int64_t r = 0; r < args.rows; ++r) {
    const int64_t position = args.position + r;
    int64_t first = 0, end = args.causal ? std::min(args.length, position + 1) : args.length;
    if (args.window > 0) {
      first = std::max<int64_t>(0, position - args.window + 1);
      end = std::min(end, position + args.window);
    }
    for (int64_t h = args.kv_head * group; h < (args.kv_head + 1) * group; ++h, ++count) {
      const int64_t column = h * args.cache.head_dim;
      float* out = args.out.data + r * args.out.stride + column;
      Clear(out, args.cache.head_dim);
      const float* bias = args.bias;
      if (bias != nullptr) bias += h * args.bias_stride - (args.bias_absolute ? 0 : position);
      tile.queries[count] = {args.q.data + r * args.q.stride + column, out, first, end, bias};
      tile.maxima[count] = args.sinks != nullptr ? args.sinks[h] : -std::numeric_limits<float>::infinity();
      float* sums = tile.sums + count * kKvBlock;
      std::fill(sums, sums + kKvBlock, 0.0f);
      if (args.sinks != nullptr) sums[0] = 1.0f;
    }
  }
  std::fill(tile.maxima + count, tile.maxima + kMaxAttentionQueries, 0.0f);
  return count;
}

// Calls attend(i, stop) for each tile of tokens, of which the queries [i, stop) see something.
template <class Attend>
HWY_INLINE void ForTiles(const AttentionArgs& args, int64_t count, Tiles& tile, const Attend& attend) {
  const int64_t longest = tile.queries[count - 1].end;
  for (tile.begin = tile.queries[0].first / kTileTokens * kTileTokens; tile.begin < longest;
       tile.begin += kTileTokens) {
    tile.tokens = std::min(kTileTokens, longest - tile.begin);
    tile.blocks = args.blocks + tile.begin / kKvBlock;
    // Rows are ordered by what they see: those of [i, stop) see something of this tile.
    int64_t i = 0, stop = count;
    while (i < stop && tile.queries[i].end <= tile.begin) ++i;
    while (i < stop && tile.queries[stop - 1].first >= tile.begin + tile.tokens) --stop;
    attend(i, stop);
  }
}

// The output of a query, from the sum of its weighted values, which may be the output itself.
HWY_INLINE void PutOutput(const Tiles& tile, int64_t query, const float* sum, int64_t head_dim) {
  const F32 d;
  const TokenTag dt;
  const auto weights = hn::SumOfLanes(dt, hn::LoadU(dt, tile.sums + query * kKvBlock));
  const VF32 factor = hn::Set(d, 1.0f / hn::GetLane(weights));
  Transform2(sum, sum, head_dim, tile.queries[query].out, [factor](VF32 v, VF32) { return hn::Mul(v, factor); });
}

template <KvType kType>
HWY_NOINLINE void AttendAll(const AttentionArgs& args) {
  Tiles tile;
  const int64_t count = PrepareQueries(args, tile);
  ForTiles(args, count, tile, [&](int64_t i, int64_t stop) HWY_ATTR { AttendTile<kType>(args, i, stop, tile); });
  for (int64_t q = 0; q < count; ++q) PutOutput(tile, q, tile.queries[q].out, args.cache.head_dim);
}

#if HWY_TARGET == HWY_AVX3
#include "kernels/attention_amx-inl.h"
#endif

// Whether tiles have done it.
HWY_INLINE bool AttendOnTiles(const AttentionArgs& args) {
#if HWY_TARGET == HWY_AVX3
  if (!args.split_bf16 || args.cache.head_dim > kSplitDims) return false;
  switch (TilesInUse()) {
    case TileUse::kHardware:
      TileAttention<HardwareTiles>(args);
      return true;
    case TileUse::kEmulated:
      TileAttention<EmulatedTiles>(args);
      return true;
    case TileUse::kNone:
      break;
  }
#endif
  return false;
}

void Attention(const AttentionArgs& args) {
  if (AttendOnTiles(args)) return;
  switch (args.cache.type) {
    case KvType::kF32:
      return AttendAll<KvType::kF32>(args);
    case KvType::kF16:
      return AttendAll<KvType::kF16>(args);
    case KvType::kInt8:
      return AttendAll<KvType::kInt8>(args);
  }
}

template <KvType kType>
HWY_NOINLINE void StoreRows(ConstRows k, ConstRows v, int64_t rows, const int32_t* blocks, int64_t position,
                            KvView cache) {
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t block = blocks[(position + r) / kKvBlock], slot = (position + r) % kKvBlock;
#if HWY_TARGET != HWY_SCALAR
    if (kType == KvType::kF16 && slot == 0 && rows - r >= kKvBlock) {
      for (int64_t g = 0; g < cache.kv_heads; ++g) {
        PackBlockOfHalves(k.data + r * k.stride + g * cache.head_dim, k.stride,
                          v.data + r * v.stride + g * cache.head_dim, v.stride, cache.head_dim, cache.Keys(block, g),
                          cache.Values(block, g));
      }
      r += kKvBlock - 1;
      continue;
    }
#endif
    for (int64_t g = 0; g < cache.kv_heads; ++g) {
      PackToken<kType>(k.data + r * k.stride + g * cache.head_dim, v.data + r * v.stride + g * cache.head_dim,
                       cache.head_dim, slot, cache.Keys(block, g), cache.Values(block, g));
    }
  }
}

void StoreKv(ConstRows k, ConstRows v, int64_t rows, const int32_t* blocks, int64_t position, KvView cache) {
  switch (cache.type) {
    case KvType::kF32:
      return StoreRows<KvType::kF32>(k, v, rows, blocks, position, cache);
    case KvType::kF16:
      return StoreRows<KvType::kF16>(k, v, rows, blocks, position, cache);
    case KvType::kInt8:
      return StoreRows<KvType::kInt8>(k, v, rows, blocks, position, cache);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace lastro::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lastro::kernels {
HWY_EXPORT(Attention);
HWY_EXPORT(StoreKv);
namespace simd {
void Attention(const AttentionArgs& args) { HWY_DYNAMIC_DISPATCH(Attention)(args); }
void StoreKv(ConstRows k, ConstRows v, int64_t rows, const int32_t* blocks, int64_t position, KvView cache) {
  HWY_DYNAMIC_DISPATCH(StoreKv)(k, v, rows, blocks, position, cache);
}
}  // namespace simd
}  // namespace lastro::kernels
#endif
