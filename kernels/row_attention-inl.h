// RowAttention of packed_gemm.h, behind packed_gemm-inl.h in each of simd_gemm.cc's namespaces. Keys and values of a
// head are packed once; then eight queries at a time meet all keys, become weights and meet all values, in the
// first-level cache.

// Keys, or values, of as many tokens meet queries, or weights, at once.
constexpr int64_t kKeyPanel = kPackedColumns;
// Weights of a query: whole vectors, and rows that do not begin at the same place of the cache.
constexpr int64_t kWeightStride = kMaxRowAttention + kKeyPanel;

// What all weights of a query add up to at most: as many times 4095, and what rounding adds to 128 of them, is below
// 2^31.
constexpr float kMostWeights = 524000.0f;

// 32 keys.
template <int64_t kDim>
struct PackedKeys {
  alignas(64) float scales[kKeyPanel];
  alignas(64) int16_t codes[kDim / 2][kKeyPanel][2];
};

// What eight queries of a head need.
template <int64_t kDim>
struct QueryBlock {
  alignas(64) int16_t queries[kPackedRows][kDim];
  alignas(64) float scores[kPackedRows][kWeightStride];
  alignas(64) int16_t weights[kPackedRows][kWeightStride];
  alignas(64) float out[kPackedRows][kPackedColumns];
  float factors[kPackedRows];  // of scores, to exponents of 2
  float sums[kPackedRows];     // of weights; not finite where a score or a scale is not
};

template <int64_t kDim>
HWY_INLINE void PackKeys(const float* k, int64_t stride, int64_t count, PackedKeys<kDim>* to) {
  alignas(64) int16_t codes[kKeyPanel][kDim] = {};
  for (int64_t t = 0; t < count; ++t) to->scales[t] = RoundPackedGroup<kDim>(k + t * stride, codes[t]);
  std::fill(to->scales + count, to->scales + kKeyPanel, 0.0f);
  TransposeDwords(reinterpret_cast<const int32_t*>(codes), kDim / 2, kDim / 2, reinterpret_cast<int32_t*>(to->codes));
}

// 32 components of `count` tokens, a group at most, filled up with zeros to whole panels.
HWY_INLINE void PackValues(const float* v, int64_t stride, int64_t count, PackedWeights* to) {
  const D32 d;
  const DF32 df;
  for (int64_t c = 0; c < kPackedColumns; c += kLanes, v += kLanes) {
    auto bits = hn::Zero(d);  // as in RoundPackedGroup
    for (int64_t t = 0; t < count; ++t) bits = hn::Max(bits, hn::BitCast(d, hn::Abs(hn::LoadU(df, v + t * stride))));
    const auto scale = hn::Div(hn::BitCast(df, bits), hn::Set(df, kPackedLimit));
    const auto some = hn::Ge(scale, hn::Set(df, std::numeric_limits<float>::min()));
    const auto inverse = hn::IfThenElseZero(some, hn::Div(hn::Set(df, 1.0f), scale));
    hn::Store(scale, df, to->scales + c);
    auto code = [&](int64_t t) HWY_ATTR {
      return t < count ? hn::NearestInt(hn::Mul(hn::LoadU(df, v + t * stride), inverse)) : hn::Zero(d);
    };
    for (int64_t t = 0; t < (count + kKeyPanel - 1) / kKeyPanel * kKeyPanel; t += 2) {
      const V32 low = hn::And(code(t), hn::Set(d, 0xFFFF)), high = hn::ShiftLeft<16>(code(t + 1));
      hn::Store(hn::Or(low, high), d, reinterpret_cast<int32_t*>(to->codes[t / 2][c]));
    }
  }
}

// Rounds the queries [row, row + 8), behind the last of `rows` that one again.
template <int64_t kDim>
HWY_INLINE void PackQueries(const float* q, int64_t stride, int64_t row, int64_t rows, float scale,
                            QueryBlock<kDim>* block) {
  for (int64_t r = 0; r < kPackedRows; ++r) {
    const float* from = q + std::min(row + r, rows - 1) * stride;
    block->factors[r] = RoundPackedGroup<kDim>(from, block->queries[r]) * scale * 1.44269504f;
  }
}

// The scores of all keys but for the factors of their queries, in whole panels; those behind the last key are low.
template <int64_t kDim>
HWY_INLINE void ScoreKeys(const PackedKeys<kDim>* keys, int64_t tokens, QueryBlock<kDim>* block) {
  const DF32 df;
  for (int64_t t = 0; t < tokens; t += kKeyPanel, ++keys) {
    for (int64_t first = 0; first < kPackedRows; first += kRegisterRows) {
      SumProducts<kDim, kDim>(block->queries[first], &keys->codes[0][0][0],
                              [&](int r, int v, hn::Vec<DF32> sum) HWY_ATTR {
                                const auto score = hn::Mul(sum, hn::Load(df, keys->scales + v * kLanes));
                                hn::Store(score, df, block->scores[first + r] + t + v * kLanes);
                              });
    }
  }
  const int64_t padded = (tokens + kKeyPanel - 1) / kKeyPanel * kKeyPanel;
  for (int64_t r = 0; r < kPackedRows; ++r) {
    std::fill(block->scores[r] + tokens, block->scores[r] + padded, std::numeric_limits<float>::lowest());
  }
}

// Turns the scores of one query, which are overwritten, into weights; gives their sum, which is not finite when the
// largest score or the factor is not.
HWY_INLINE float WeighKeys(int64_t tokens, float factor, float* scores, int16_t* weights) {
  const D32 d;
  const DF32 df;
  const hn::Rebind<int16_t, D32> d16;
  const int64_t padded = (tokens + kKeyPanel - 1) / kKeyPanel * kKeyPanel;
  auto most = hn::Load(df, scores);
  for (int64_t t = kLanes; t < padded; t += kLanes) most = hn::Max(most, hn::Load(df, scores + t));
  const float largest = hn::GetLane(hn::MaxOfLanes(df, most));
  // Of a query of nothing every weight is the largest; what is 30 powers of 2 below that is nothing.
  const float at_least = std::max(1e-30f, factor);
  const auto center = hn::Set(df, largest), by = hn::Set(df, at_least), low = hn::Set(df, -30.0f / at_least);
  auto total = hn::Zero(df);
  for (int64_t t = 0; t < padded; t += kLanes) {
    const auto weight = PowerOfTwo(df, hn::Max(hn::Sub(hn::Load(df, scores + t), center), low), by);
    total = hn::Add(total, weight);
    hn::Store(weight, df, scores + t);
  }
  const auto unit = hn::Set(df, std::min(32767.0f, kMostWeights / hn::GetLane(hn::SumOfLanes(df, total))));
  V32 sum = hn::Zero(d);
  for (int64_t t = 0; t < padded; t += kLanes) {
    const V32 codes = hn::NearestInt(hn::Mul(hn::Load(df, scores + t), unit));
    sum = hn::Add(sum, codes);
    hn::Store(hn::DemoteTo(d16, codes), d16, weights + t);
  }
  return static_cast<float>(hn::GetLane(hn::SumOfLanes(d, sum))) + (largest + factor) * 0.0f;
}

// block->out [8, 32] = the weights times 32 components of all values.
template <int64_t kDim>
HWY_INLINE void AddValues(const PackedWeights* values, int64_t tokens, QueryBlock<kDim>* block) {
  const DF32 df;
  for (int64_t first = 0; first < kPackedRows; first += kRegisterRows) {
    for (int64_t r = first; r < first + kRegisterRows; ++r) std::fill_n(block->out[r], kPackedColumns, 0.0f);
    for (int64_t t = 0; t < tokens;) {
      const PackedWeights& group = values[t / kPackedGroup];
      const int16_t* weights = block->weights[first] + t;
      auto add = [&](int r, int v, hn::Vec<DF32> sum) HWY_ATTR {
        float* to = block->out[first + r] + v * kLanes;
        hn::Store(hn::MulAdd(sum, hn::Load(df, group.scales + v * kLanes), hn::Load(df, to)), df, to);
      };
      if (tokens - t > kPackedGroup - kKeyPanel && t % kPackedGroup == 0) {
        SumProducts<kPackedGroup, kWeightStride>(weights, &group.codes[0][0][0], add);
        t += kPackedGroup;
      } else {
        SumProducts<kKeyPanel, kWeightStride>(weights, &group.codes[t % kPackedGroup / 2][0][0], add);
        t += kKeyPanel;
      }
    }
  }
}

template <int64_t kDim>
struct PackedHead {
  PackedKeys<kDim> keys[kMaxRowAttention / kKeyPanel];
  PackedWeights values[kDim / kPackedColumns][kMaxRowAttention / kPackedGroup];
  float bad;  // 0, and NaN where a key is not finite

  HWY_INLINE void Pack(const RowAttentionArgs& args) {
    const DF32 df;
    auto nothing = hn::Zero(df);
    for (int64_t t = 0; t < args.rows; t += kKeyPanel) {
      PackedKeys<kDim>& panel = keys[t / kKeyPanel];
      PackKeys<kDim>(args.k.data + t * args.k.stride, args.k.stride, std::min(kKeyPanel, args.rows - t), &panel);
      for (int64_t i = 0; i < kKeyPanel; i += kLanes) {
        nothing = hn::MulAdd(hn::Load(df, panel.scales + i), hn::Zero(df), nothing);
      }
    }
    bad = hn::GetLane(hn::SumOfLanes(df, nothing));
    for (int64_t t = 0; t < args.rows; t += kPackedGroup) {
      for (int64_t c = 0; c < kDim; c += kPackedColumns) {
        PackValues(args.v.data + t * args.v.stride + c, args.v.stride, std::min(kPackedGroup, args.rows - t),
                   &values[c / kPackedColumns][t / kPackedGroup]);
      }
    }
  }

  // The queries [row, row + 8) of those at q.
  HWY_INLINE void Attend(const RowAttentionArgs& args, int64_t column, int64_t row, QueryBlock<kDim>* block) const {
    PackQueries(args.q.data + column, args.q.stride, row, args.rows, args.scale, block);
    ScoreKeys(keys, args.rows, block);
    for (int64_t r = 0; r < kPackedRows; ++r) {
      block->sums[r] = WeighKeys(args.rows, block->factors[r], block->scores[r], block->weights[r]) + bad;
    }
    for (int64_t c = 0; c < kDim; c += kPackedColumns) {
      AddValues(values[c / kPackedColumns], args.rows, block);
      for (int64_t r = 0; r < std::min(kPackedRows, args.rows - row); ++r) {
        PutQuotients(block->out[r], block->sums[r], args.out.data + (row + r) * args.out.stride + column + c);
      }
    }
  }

  static HWY_INLINE void PutQuotients(const float* values, float sum, float* out) {
    const DF32 df;
    const auto inverse = hn::Set(df, 1.0f / sum);
    for (int64_t c = 0; c < kPackedColumns; c += kLanes) {
      hn::StoreU(hn::Mul(hn::Load(df, values + c), inverse), df, out + c);
    }
  }
};

template <int64_t kDim>
HWY_NOINLINE void AttendRows(const RowAttentionArgs& args) {
  PackedHead<kDim> head;
  QueryBlock<kDim> block;
  head.Pack(args);
  for (int64_t h = 0; h < args.group; ++h) {
    for (int64_t row = 0; row < args.rows; row += kPackedRows) head.Attend(args, h * kDim, row, &block);
  }
}

inline void RowAttention(const RowAttentionArgs& args) {
  args.head_dim == 32 ? AttendRows<32>(args) : AttendRows<64>(args);
}

inline const PackedGemmKernels& PackedTable() {
  static const PackedGemmKernels table = {PackPanel, RoundPackedRows, PackedGemm, RowAttention};
  return table;
}
