// Attention over the blocked KV cache, and the store into it. Streaming softmax (Dao et al. 2022, "FlashAttention",
// algorithm 1): per query a running maximum m and sum l; the output holds sum_t exp(s_t - m) v_t until the end.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd_attention.cc"
// foreach_target.h comes first.
// clang-format off
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"
#include "kernels/simd_vectors-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace lastro::kernels {
namespace HWY_NAMESPACE {

// Vectors over the tokens of a block: at most kKvBlock lanes.
using BlockTag = hn::CappedTag<float, kKvBlock>;

constexpr int kTileBlocks = 4;
constexpr int64_t kTile = kTileBlocks * kKvBlock;  // tokens whose scores are held at once
constexpr int kQueries = 4;                        // queries that share one pass over a tile

// What one query needs while the tiles stream by.
struct QueryState {
  const float* q;
  float* out;
  int64_t first;  // this query sees the tokens [first, end)
  int64_t end;
  const float* bias;  // of token 0 for this query, or null
  float maximum;
  float sum;
};

// Vectors that one query's loop works on at once, next to kN - 1 other queries: enough independent sums to hide the
// latency of an FMA.
template <int kN>
constexpr int VectorsOf() {
  return kN == 1 ? 4 : 2;
}

// scores[i][v] = scale * (q_i . K) for kN queries and kV vectors of tokens, whose first components lie at k[v].
template <int kN, int kV>
HWY_INLINE void ScoreVectors(const QueryState* queries, const float* const* k, int64_t head_dim, float scale,
                             float* scores) {
  const BlockTag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  hn::Vec<BlockTag> sums[kN][kV];
  for (int i = 0; i < kN; ++i) {
    for (int v = 0; v < kV; ++v) sums[i][v] = hn::Zero(d);
  }
  for (int64_t c = 0; c < head_dim; ++c) {
    hn::Vec<BlockTag> keys[kV];
    for (int v = 0; v < kV; ++v) keys[v] = hn::LoadU(d, k[v] + c * kKvBlock);
    for (int i = 0; i < kN; ++i) {
      const auto q = hn::Set(d, queries[i].q[c]);
      for (int v = 0; v < kV; ++v) sums[i][v] = hn::MulAdd(q, keys[v], sums[i][v]);
    }
  }
  for (int i = 0; i < kN; ++i) {
    for (int v = 0; v < kV; ++v) hn::StoreU(hn::Mul(sums[i][v], hn::Set(d, scale)), d, scores + i * kTile + v * lanes);
  }
}

// The scores of a tile's blocks, which lie at blocks[0], blocks[1], ...
template <int kN>
HWY_INLINE void ScoreTile(const QueryState* queries, const float* const* blocks, int64_t count, int64_t head_dim,
                          float scale, float* scores) {
  constexpr int kV = VectorsOf<kN>();
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(BlockTag())), tokens = count * kKvBlock;
  const float* k[kTile];
  for (int64_t v = 0; v * lanes < tokens; ++v) k[v] = blocks[v * lanes / kKvBlock] + v * lanes % kKvBlock;
  int64_t v = 0;
  for (; (v + kV) * lanes <= tokens; v += kV) {
    ScoreVectors<kN, kV>(queries, k + v, head_dim, scale, scores + v * lanes);
  }
  for (; v * lanes < tokens; ++v) ScoreVectors<kN, 1>(queries, k + v, head_dim, scale, scores + v * lanes);
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

// Turns `count` scores of one query (a multiple of kKvBlock; those before `low` and from `high` on are masked) into
// weights, updates the running maximum and sum, and rescales what the output holds.
HWY_INLINE void SoftmaxTile(QueryState& query, int64_t low, int64_t high, int64_t count, int64_t head_dim,
                            float* scores) {
  const F32 d;
  for (int64_t j = 0; j < low; ++j) scores[j] = -std::numeric_limits<float>::infinity();
  for (int64_t j = high; j < count; ++j) scores[j] = -std::numeric_limits<float>::infinity();
  const BlockTag db;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(db));
  auto largest = hn::Set(db, query.maximum);
  for (int64_t j = 0; j < count; j += lanes) largest = hn::Max(largest, hn::LoadU(db, scores + j));
  const float maximum = hn::GetLane(hn::MaxOfLanes(db, largest));
  if (maximum > query.maximum) {
    const float factor = std::exp(query.maximum - maximum);  // 0 at the first tile: exp(-inf)
    const VF32 by = hn::Set(d, factor);
    Transform2(query.out, query.out, head_dim, query.out, [by](VF32 v, VF32) { return hn::Mul(v, by); });
    query.sum *= factor;
    query.maximum = maximum;
  }
  const auto center = hn::Set(db, maximum);
  auto sum = hn::Zero(db);
  for (int64_t j = 0; j < count; j += lanes) {
    const auto weight = hn::Exp(db, hn::Sub(hn::LoadU(db, scores + j), center));
    hn::StoreU(weight, db, scores + j);
    sum = hn::Add(sum, weight);
  }
  query.sum += hn::GetLane(hn::SumOfLanes(db, sum));
}

// out_i[c : c + kV vectors] += sum_j weights[i][j] V[j, c ...] for kN queries and the first `tokens` tokens of a tile,
// whose blocks [kKvBlock, D] lie at blocks[0], blocks[1], ...
template <int kN, int kV>
HWY_INLINE void AddValueVectors(const QueryState* queries, const float* const* blocks, int64_t tokens, int64_t head_dim,
                                int64_t c, const float* weights) {
  const F32 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  VF32 sums[kN][kV];
  for (int i = 0; i < kN; ++i) {
    for (int v = 0; v < kV; ++v) sums[i][v] = hn::LoadU(d, queries[i].out + c + v * lanes);
  }
  for (int64_t begin = 0; begin < tokens; begin += kKvBlock) {
    const float* values = blocks[begin / kKvBlock] + c;
    const int64_t end = std::min(begin + kKvBlock, tokens);
    for (int64_t j = begin; j < end; ++j, values += head_dim) {
      VF32 row[kV];
      for (int v = 0; v < kV; ++v) row[v] = hn::LoadU(d, values + v * lanes);
      for (int i = 0; i < kN; ++i) {
        const VF32 weight = hn::Set(d, weights[i * kTile + j]);
        for (int v = 0; v < kV; ++v) sums[i][v] = hn::MulAdd(weight, row[v], sums[i][v]);
      }
    }
  }
  for (int i = 0; i < kN; ++i) {
    for (int v = 0; v < kV; ++v) hn::StoreU(sums[i][v], d, queries[i].out + c + v * lanes);
  }
}

template <int kN>
HWY_INLINE void AddValues(const QueryState* queries, const float* const* blocks, int64_t tokens, int64_t head_dim,
                          const float* weights) {
  constexpr int kV = VectorsOf<kN>();
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(F32()));
  int64_t c = 0;
  for (; c + kV * lanes <= head_dim; c += kV * lanes) {
    AddValueVectors<kN, kV>(queries, blocks, tokens, head_dim, c, weights);
  }
  for (; c + lanes <= head_dim; c += lanes) {
    AddValueVectors<kN, 1>(queries, blocks, tokens, head_dim, c, weights);
  }
  // One lane, so that the same multiply-add is used whatever kN is.
  const hn::CappedTag<float, 1> one;
  for (; c < head_dim; ++c) {
    for (int i = 0; i < kN; ++i) {
      auto sum = hn::Set(one, queries[i].out[c]);
      for (int64_t j = 0; j < tokens; ++j) {
        const float value = blocks[j / kKvBlock][j % kKvBlock * head_dim + c];
        sum = hn::MulAdd(hn::Set(one, weights[i * kTile + j]), hn::Set(one, value), sum);
      }
      queries[i].out[c] = hn::GetLane(sum);
    }
  }
}

// kN queries against the tile of tokens [begin, end).
template <int kN>
HWY_INLINE void AttendTile(const AttentionArgs& args, QueryState* queries, int64_t begin, int64_t end) {
  HWY_ALIGN float scores[kN * kTile];
  const KvView& cache = args.cache;
  const int64_t head_dim = cache.head_dim;
  const int64_t blocks = (end - begin + kKvBlock - 1) / kKvBlock;
  const float *k[kTileBlocks], *v[kTileBlocks];
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t at = args.blocks[begin / kKvBlock + b] * cache.block_elements() + args.kv_head * head_dim * kKvBlock;
    k[b] = cache.k + at;
    v[b] = cache.v + at;
  }
  ScoreTile<kN>(queries, k, blocks, head_dim, args.scale, scores);
  for (int i = 0; i < kN; ++i) {
    const int64_t low = std::clamp<int64_t>(queries[i].first - begin, 0, end - begin);
    const int64_t high = std::clamp<int64_t>(queries[i].end - begin, 0, end - begin);
    AdjustScores(args, queries[i], begin, low, high, scores + i * kTile);
    SoftmaxTile(queries[i], low, high, blocks * kKvBlock, head_dim, scores + i * kTile);
  }
  AddValues<kN>(queries, v, end - begin, head_dim, scores);
}

HWY_INLINE int64_t PrepareQueries(const AttentionArgs& args, QueryState* queries) {
  const int64_t group = args.heads / args.cache.kv_heads;
  int64_t count = 0;
  for (int64_t r = 0; r < args.rows; ++r) {
    const int64_t position = args.position + r;
    int64_t first = 0, end = args.causal ? std::min(args.length, position + 1) : args.length;
    if (args.window > 0) {
      first = std::max<int64_t>(0, position - args.window + 1);
      end = std::min(end, position + args.window);
    }
    for (int64_t h = args.kv_head * group; h < (args.kv_head + 1) * group; ++h) {
      const int64_t column = h * args.cache.head_dim;
      float* out = args.out.data + r * args.out.stride + column;
      std::fill(out, out + args.cache.head_dim, 0.0f);
      const float* bias = args.bias;
      if (bias != nullptr) bias += h * args.bias_stride - (args.bias_absolute ? 0 : position);
      QueryState& query = queries[count++];
      query = {args.q.data + r * args.q.stride + column, out, first, end, bias,
               -std::numeric_limits<float>::infinity(),  0.0f};
      if (args.sinks != nullptr) {
        query.maximum = args.sinks[h];
        query.sum = 1.0f;
      }
    }
  }
  return count;
}

void Attention(const AttentionArgs& args) {
  QueryState queries[kMaxAttentionQueries];
  const int64_t count = PrepareQueries(args, queries);
  const int64_t longest = queries[count - 1].end;
  for (int64_t begin = queries[0].first / kTile * kTile; begin < longest; begin += kTile) {
    const int64_t end = std::min(begin + kTile, longest);
    // Rows are ordered by what they see: those of [i, stop) see something of this tile.
    int64_t i = 0, stop = count;
    while (i < stop && queries[i].end <= begin) ++i;
    while (i < stop && queries[stop - 1].first >= end) --stop;
    for (; i + kQueries <= stop; i += kQueries) AttendTile<kQueries>(args, queries + i, begin, end);
    for (; i + 2 <= stop; i += 2) AttendTile<2>(args, queries + i, begin, end);
    if (i < stop) AttendTile<1>(args, queries + i, begin, end);
  }
  const F32 d;
  for (int64_t i = 0; i < count; ++i) {
    const VF32 factor = hn::Set(d, 1.0f / queries[i].sum);
    Transform2(queries[i].out, queries[i].out, args.cache.head_dim, queries[i].out,
               [factor](VF32 v, VF32) { return hn::Mul(v, factor); });
  }
}

void StoreKv(ConstRows k, ConstRows v, int64_t rows, const int32_t* blocks, int64_t position, KvView cache) {
  const int64_t head_dim = cache.head_dim;
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t slot = (position + r) % kKvBlock;
    const int64_t base = blocks[(position + r) / kKvBlock] * cache.block_elements();
    for (int64_t g = 0; g < cache.kv_heads; ++g) {
      const float* key = k.data + r * k.stride + g * head_dim;
      float* to = cache.k + base + g * head_dim * kKvBlock + slot;
      for (int64_t c = 0; c < head_dim; ++c) to[c * kKvBlock] = key[c];
      std::memcpy(cache.v + base + (g * kKvBlock + slot) * head_dim, v.data + r * v.stride + g * head_dim,
                  static_cast<size_t>(head_dim) * sizeof(float));
    }
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
