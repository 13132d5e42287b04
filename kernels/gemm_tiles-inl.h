// The body of simd_gemm.cc, which includes it into one namespace per instruction set; with LASTRO_VNNI 1 for CPUs that
// add products of bytes up in 32 bits, on top of AVX2 or of AVX-512.
using D32 = hn::CappedTag<int32_t, 16>;
using DF32 = hn::Rebind<float, D32>;
using V32 = hn::Vec<D32>;

constexpr int64_t kLanes = static_cast<int64_t>(hn::MaxLanes(D32()));
constexpr int kVectors = static_cast<int>(kGemmColumns / kLanes);  // of one row of a panel
constexpr int kRegisterRows = kVectors <= 2 ? 8 : kVectors <= 4 ? 2 : 1;
constexpr int64_t kPassRows = 1024;  // whose sums for one panel stay in the second-level cache

// Whether bytes are multiplied and added up in 32 bits, or only two products at a time in 16.
constexpr bool kBytesToDwords = LASTRO_VNNI != 0;
constexpr bool kBytesToWords = !kBytesToDwords && HWY_TARGET <= HWY_SSE4;

// Dwords of a format's codes whose products with bytes, up to 255, may be added up in 16 bits: whole parts of a group.
template <class Format>
constexpr int64_t DwordsInWord() {
  const int64_t fit = 32767 / (2 * 255 * Format::kLargest), dwords = Format::kGroup / 4;
  return fit >= dwords ? dwords : fit >= 4 ? 4 : fit >= 2 ? 2 : fit;
}
template <class Format>
constexpr bool kInBytes = kBytesToDwords || (kBytesToWords && DwordsInWord<Format>() > 0);
template <class Format>
using QuantCode = std::conditional_t<kInBytes<Format>, int8_t, int16_t>;

// 256 inputs of 32 features.
template <typename Code>
struct Panel {
  static constexpr int64_t kPerDword = 4 / static_cast<int64_t>(sizeof(Code));
  alignas(64) Code codes[kQuantChunk * kGemmColumns];  // [k / kPerDword][32][kPerDword]
  alignas(64) float scales[kQuantChunk / 16][kGemmColumns];
  alignas(64) float minima[kQuantChunk / 16][kGemmColumns];
  alignas(64) int32_t starts[kQuantChunk / 16][kGemmColumns];  // what takes off the 128 that bytes of x count from
};

// One chunk of 32 features as they come: rows of codes.
template <typename Code>
struct Rows {
  alignas(64) Code codes[kGemmColumns][kQuantChunk];
};

#if HWY_TARGET <= HWY_AVX2
// to[j][i] = from[i][j] of dwords, 8 x 8, with the distances of their rows.
HWY_INLINE void TransposeEight(const int32_t* from, int64_t from_stride, int32_t* to, int64_t to_stride) {
  __m256i r[8], t[8];
  for (int64_t i = 0; i < 8; ++i) r[i] = _mm256_load_si256(reinterpret_cast<const __m256i*>(from + i * from_stride));
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm256_unpackhi_epi32(r[i], r[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    r[i] = _mm256_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm256_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm256_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm256_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  for (int64_t i = 0; i < 4; ++i) {
    __m256i* column = reinterpret_cast<__m256i*>(to + i * to_stride);
    __m256i* fourth = reinterpret_cast<__m256i*>(to + (i + 4) * to_stride);
    _mm256_storeu_si256(column, _mm256_permute2x128_si256(r[i], r[i + 4], 0x20));
    _mm256_storeu_si256(fourth, _mm256_permute2x128_si256(r[i], r[i + 4], 0x31));
  }
}
#endif

// to[j][i] = from[i][j] of dwords, for 32 rows `stride` apart and `count` columns.
HWY_INLINE void TransposeDwords(const int32_t* from, int64_t stride, int64_t count, int32_t* to) {
#if HWY_TARGET <= HWY_AVX3
  for (int64_t half = 0; half < kGemmColumns; half += 16) {
    for (int64_t j = 0; j < count; j += 16) {
      __m512i r[16], t[16];
      for (int64_t i = 0; i < 16; ++i) r[i] = _mm512_load_si512(from + (half + i) * stride + j);
      for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
      }
      for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
      }
      for (int i = 0; i < 4; ++i) {
        t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xDD);
        t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xDD);
      }
      for (int i = 0; i < 8; ++i) {
        const int64_t column = j + i;
        _mm512_store_si512(to + column * kGemmColumns + half, _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88));
        _mm512_store_si512(to + (column + 8) * kGemmColumns + half, _mm512_shuffle_i32x4(t[i], t[i + 8], 0xDD));
      }
    }
  }
#elif HWY_TARGET <= HWY_AVX2
  for (int64_t i = 0; i < kGemmColumns; i += 8) {
    for (int64_t j = 0; j < count; j += 8) {
      TransposeEight(from + i * stride + j, stride, to + j * kGemmColumns + i, kGemmColumns);
    }
  }
#else
  for (int64_t j = 0; j < count; ++j) {
    for (int64_t i = 0; i < kGemmColumns; ++i) std::memcpy(to + j * kGemmColumns + i, from + i * stride + j, 4);
  }
#endif
}

template <typename Code>
HWY_INLINE void TransposeRows(const Rows<Code>& rows, Panel<Code>* panel) {
  constexpr int64_t kDwords = kQuantChunk / Panel<Code>::kPerDword;
  TransposeDwords(reinterpret_cast<const int32_t*>(rows.codes), kDwords, kDwords,
                  reinterpret_cast<int32_t*>(panel->codes));
}

HWY_INLINE void PutCodes(const int8_t* from, int8_t* to) { std::memcpy(to, from, kQuantChunk); }
HWY_INLINE void PutCodes(const int8_t* from, int16_t* to) {
  const hn::CappedTag<int16_t, 32> d;
  const hn::Rebind<int8_t, decltype(d)> d8;
  for (int64_t i = 0; i < kQuantChunk; i += static_cast<int64_t>(hn::Lanes(d))) {
    hn::Store(hn::PromoteTo(d, hn::Load(d8, from + i)), d, to + i);
  }
}

// Calls put(column, its weights) for the features there are; the others become nothing.
template <typename Code, class Put>
HWY_INLINE void ForColumns(const uint8_t* w, int64_t row_bytes, int64_t count, Rows<Code>* rows, Panel<Code>* panel,
                           const Put& put) {
  for (int64_t column = 0; column < count; ++column) put(column, w + column * row_bytes);
  for (int64_t column = count; column < kGemmColumns; ++column) {
    std::memset(rows->codes[column], 0, sizeof(rows->codes[column]));
    for (int64_t g = 0; g < kQuantChunk / 16; ++g) panel->scales[g][column] = panel->minima[g][column] = 0;
  }
}

// Weights of blocks.
template <class Format>
struct QuantSource {
  using Code = QuantCode<Format>;
  static constexpr int64_t kGroup = Format::kGroup;
  static constexpr bool kMinima = Format::kMinima;
  static constexpr int64_t kDwordsInWord = DwordsInWord<Format>();

  static HWY_INLINE void Pack(const uint8_t* w, int64_t row_bytes, int64_t count, int64_t elements, Rows<Code>* rows,
                              Panel<Code>* panel) {
    constexpr int64_t kChunkBytes = RowBytes(Format::kType, kQuantChunk);
    Chunk chunk;
    ForColumns(w, row_bytes, count, rows, panel, [&](int64_t column, const uint8_t* blocks) {
      FetchAhead(blocks + kChunkBytes, kChunkBytes);
      Format::Unpack(blocks, elements, &chunk);
      PutCodes(chunk.codes, rows->codes[column]);
      for (int64_t g = 0; g < elements / kGroup; ++g) {
        panel->scales[g][column] = chunk.scales[g];
        if (kMinima) panel->minima[g][column] = chunk.minima[g * kGroup / 16];
      }
    });
    TransposeRows(*rows, panel);
  }
};

// Pairs of BF16 numbers become pairs of 14 bits, in place, for 32 inputs of 32 features; each feature's scale is a
// power of two.
HWY_INLINE void RoundBf16Group(int32_t* pairs, float* scales) {
  const D32 d;
  const DF32 df;
  const hn::Repartition<uint16_t, D32> d16;
  const V32 high_half = hn::Set(d, static_cast<int32_t>(0xFFFF0000));
  for (int64_t v = 0; v < kGemmColumns; v += kLanes) {
    auto largest = hn::Zero(d16);  // as integers, so that NaN is large
    for (int64_t k = 0; k < kQuantGroup / 2; ++k) {
      const auto bits = hn::BitCast(d16, hn::Load(d, pairs + k * kGemmColumns + v));
      largest = hn::Max(largest, hn::And(bits, hn::Set(d16, 0x7FFF)));
    }
    const V32 both = hn::BitCast(d, largest), infinite = hn::Set(d, 0x7F800000);
    const V32 exponent = hn::And(hn::Max(hn::And(both, high_half), hn::ShiftLeft<16>(both)), infinite);
    const V32 least = hn::Set(d, 13 << 23);  // below 2^-114 all is nothing
    const V32 scale = hn::Sub(hn::Max(exponent, least), hn::Set(d, 12 << 23));
    const auto inverse = hn::BitCast(df, hn::Sub(hn::Set(d, 254 << 23), scale));
    // What is not finite stays so.
    hn::Store(hn::BitCast(df, hn::IfThenElse(hn::Eq(exponent, infinite), hn::Set(d, 0x7FC00000), scale)), df,
              scales + v);
    for (int64_t k = 0; k < kQuantGroup / 2; ++k) {
      int32_t* at = pairs + k * kGemmColumns + v;
      const V32 pair = hn::Load(d, at);
      const auto low = hn::BitCast(df, hn::ShiftLeft<16>(pair)), high = hn::BitCast(df, hn::And(pair, high_half));
      const V32 codes = hn::AndNot(high_half, hn::NearestInt(hn::Mul(low, inverse)));
      hn::Store(hn::Or(codes, hn::ShiftLeft<16>(hn::NearestInt(hn::Mul(high, inverse)))), d, at);
    }
  }
}

struct Bf16Source {
  using Code = int16_t;
  static constexpr int64_t kGroup = 32;
  static constexpr bool kMinima = false;

  // The numbers as they are.
  static HWY_INLINE void Transpose(const uint8_t* w, int64_t row_bytes, int64_t count, int64_t elements,
                                   Rows<Code>* rows, Panel<Code>* panel) {
    const int64_t bytes = elements * 2;
    ForColumns(w, row_bytes, count, rows, panel, [&](int64_t column, const uint8_t* from) {
      FetchAhead(from + bytes, bytes);
      std::memcpy(rows->codes[column], from, static_cast<size_t>(bytes));
      std::fill(rows->codes[column] + elements, rows->codes[column] + kQuantChunk, int16_t{0});
    });
    TransposeRows(*rows, panel);
  }

  static HWY_INLINE void Pack(const uint8_t* w, int64_t row_bytes, int64_t count, int64_t elements, Rows<Code>* rows,
                              Panel<Code>* panel) {
    Transpose(w, row_bytes, count, elements, rows, panel);
    int32_t* pairs = reinterpret_cast<int32_t*>(panel->codes);
    for (int64_t k = 0; k < elements; k += kQuantGroup) {
      RoundBf16Group(pairs + k / 2 * kGemmColumns, panel->scales[k / kQuantGroup]);
    }
  }
};

#if LASTRO_VNNI && HWY_TARGET == HWY_AVX3
HWY_INLINE V32 Dot(V32 sum, V32, V32 x, const int8_t* w) {
  return V32{_mm512_dpbusd_epi32(sum.raw, x.raw, _mm512_load_si512(w))};
}
HWY_INLINE V32 Dot(V32 sum, V32, V32 x, const int16_t* w) {
  return V32{_mm512_dpwssd_epi32(sum.raw, x.raw, _mm512_load_si512(w))};
}
#elif LASTRO_VNNI
HWY_INLINE __m256i Load32(const void* p) { return _mm256_load_si256(static_cast<const __m256i*>(p)); }
HWY_INLINE V32 Dot(V32 sum, V32, V32 x, const int8_t* w) {
  return V32{_mm256_dpbusd_avx_epi32(sum.raw, x.raw, Load32(w))};
}
HWY_INLINE V32 Dot(V32 sum, V32, V32 x, const int16_t* w) {
  return V32{_mm256_dpwssd_avx_epi32(sum.raw, x.raw, Load32(w))};
}
#endif
#if LASTRO_VNNI
HWY_INLINE V32 Finish(V32 sum, V32) { return sum; }
#else
HWY_INLINE V32 Finish(V32 sum, V32 odd) { return hn::RearrangeToOddPlusEven(sum, odd); }
HWY_INLINE V32 Dot(V32 sum, V32& odd, V32 x, const int16_t* w) {
  const hn::Repartition<int16_t, D32> d;
  return hn::ReorderWidenMulAccumulate(D32(), hn::BitCast(d, x), hn::Load(d, w), sum, odd);
}
#endif

// Bytes times codes, the products of two neighbours added.
#if !LASTRO_VNNI && HWY_TARGET <= HWY_AVX3
HWY_INLINE hn::Vec<hn::Repartition<int16_t, D32>> ByteProducts(V32 x, const int8_t* w) {
  return {_mm512_maddubs_epi16(x.raw, _mm512_load_si512(w))};
}
#elif !LASTRO_VNNI && HWY_TARGET <= HWY_AVX2
HWY_INLINE hn::Vec<hn::Repartition<int16_t, D32>> ByteProducts(V32 x, const int8_t* w) {
  return {_mm256_maddubs_epi16(x.raw, _mm256_load_si256(reinterpret_cast<const __m256i*>(w)))};
}
#elif !LASTRO_VNNI && HWY_TARGET <= HWY_SSE4
HWY_INLINE hn::Vec<hn::Repartition<int16_t, D32>> ByteProducts(V32 x, const int8_t* w) {
  return {_mm_maddubs_epi16(x.raw, _mm_load_si128(reinterpret_cast<const __m128i*>(w)))};
}
#endif

// Has a sum added up before what comes next: GCC would keep many products in memory, and add them later.
template <class V>
HWY_INLINE void Settle(V& sum) {
#if !LASTRO_VNNI && HWY_TARGET <= HWY_SSE4
  asm volatile("" : "+v"(sum.raw));
#else
  (void)sum;
#endif
}

// Dword k of row r of a block.
HWY_INLINE V32 RowDword(const uint8_t* codes, int64_t k, int64_t r) {
  int32_t dword;
  std::memcpy(&dword, codes + (k * kGemmRows + r) * 4, sizeof(dword));
  return hn::Set(D32(), dword);
}

// sums[r][v] += row r of `x` times vector v of the 32 features of `w`.
template <int64_t kDwords, typename Code, int kRows>
HWY_INLINE void AddDots(const Code* w, const uint8_t* x, V32 (&sums)[kRows][kVectors]) {
  V32 odd[kRows][kVectors];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) odd[r][v] = hn::Zero(D32());
  }
  HWY_UNROLL(16)  // all of it: otherwise GCC copies the sums in every round
  for (int64_t k = 0; k < kDwords; ++k) {
    for (int r = 0; r < kRows; ++r) {
      const V32 dword = RowDword(x, k, r);
      for (int v = 0; v < kVectors; ++v) {
        sums[r][v] = Dot(sums[r][v], odd[r][v], dword, w + (k * kGemmColumns + v * kLanes) * Panel<Code>::kPerDword);
        Settle(sums[r][v]);
      }
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) sums[r][v] = Finish(sums[r][v], odd[r][v]);
  }
}

// The same of dwords [kBegin, kEnd), whose products add up in 16 bits.
template <int64_t kBegin, int64_t kEnd, typename Code, int kRows>
HWY_INLINE void AddInWords(const Code* w, const uint8_t* x, V32 (&sums)[kRows][kVectors]) {
  const hn::Repartition<int16_t, D32> d16;
  hn::Vec<decltype(d16)> words[kRows][kVectors];
  HWY_UNROLL(8)
  for (int64_t k = kBegin; k < kEnd; ++k) {
    for (int r = 0; r < kRows; ++r) {
      const V32 dword = RowDword(x, k, r);
      for (int v = 0; v < kVectors; ++v) {
        const auto products = ByteProducts(dword, w + (k * kGemmColumns + v * kLanes) * 4);
        words[r][v] = k == kBegin ? products : hn::Add(words[r][v], products);
        Settle(words[r][v]);
      }
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      V32 odd = hn::Zero(D32());
      sums[r][v] = hn::ReorderWidenMulAccumulate(D32(), words[r][v], hn::Set(d16, 1), sums[r][v], odd);
    }
  }
}

// sums[r][v] += a group.
template <class Source, int kRows, int64_t kBegin = 0>
HWY_INLINE void AddGroup(const typename Source::Code* w, const uint8_t* x, V32 (&sums)[kRows][kVectors]) {
  using Code = typename Source::Code;
  constexpr int64_t kDwords = Source::kGroup / Panel<Code>::kPerDword;
  if constexpr (sizeof(Code) == 1 && kBytesToWords) {
    constexpr int64_t kEnd = kBegin + Source::kDwordsInWord;
    AddInWords<kBegin, kEnd>(w, x, sums);
    if constexpr (kEnd < kDwords) AddGroup<Source, kRows, kEnd>(w, x, sums);
  } else {
    AddDots<kDwords>(w, x, sums);
  }
}

// What the sums of rows begin with: of bytes of x that count from 128, -128 times the codes of w.
template <class Source>
HWY_INLINE void PutStarts(int64_t groups, Panel<typename Source::Code>* panel) {
  if constexpr (sizeof(typename Source::Code) == 1) {
    uint8_t all[Source::kGroup * kGemmRows];
    std::fill(all, all + Source::kGroup * kGemmRows, uint8_t{128});
    for (int64_t g = 0; g < groups; ++g) {
      V32 sums[1][kVectors];
      for (int v = 0; v < kVectors; ++v) sums[0][v] = hn::Zero(D32());
      AddGroup<Source>(panel->codes + g * Source::kGroup * kGemmColumns, all, sums);
      for (int v = 0; v < kVectors; ++v) hn::Store(hn::Neg(sums[0][v]), D32(), panel->starts[g] + v * kLanes);
    }
  }
}
HWY_INLINE V32 Start(const int32_t* starts, const int8_t*) { return hn::Load(D32(), starts); }
HWY_INLINE V32 Start(const int32_t*, const int16_t*) { return hn::Zero(D32()); }

// One chunk of a block of rows.
struct BlockOfRows {
  const uint8_t* codes;  // [dwords of K, 8]
  const float* scales;   // [groups of 32, 8]
  const float* sums;     // [groups of 16, 8]
};

// c [kRegisterRows, 32] += rows [first, first + kRegisterRows) of x times the panel, over `groups` groups.
template <class Source>
HWY_INLINE void MultiplyTile(const Panel<typename Source::Code>& panel, const BlockOfRows& x, int first, int64_t groups,
                             float* c) {
  using Code = typename Source::Code;
  constexpr int64_t kGroup = Source::kGroup, kPerDword = Panel<Code>::kPerDword;
  const D32 d;
  const DF32 df;
  for (int64_t g = 0; g < groups; ++g) {
    V32 sums[kRegisterRows][kVectors];
    for (int r = 0; r < kRegisterRows; ++r) {
      for (int v = 0; v < kVectors; ++v) sums[r][v] = Start(panel.starts[g] + v * kLanes, panel.codes);
    }
    const uint8_t* codes = x.codes + (g * kGroup / kPerDword * kGemmRows + first) * 4;
    AddGroup<Source>(panel.codes + g * kGroup * kGemmColumns, codes, sums);
    const float* scales = x.scales + g * kGroup / kQuantGroup * kGemmRows + first;
    const float* values = x.sums + g * kGroup / kQuantSumGroup * kGemmRows + first;
    for (int r = 0; r < kRegisterRows; ++r) {
      for (int v = 0; v < kVectors; ++v) {
        float* to = c + r * kGemmColumns + v * kLanes;
        const auto scale = hn::Mul(hn::Set(df, scales[r]), hn::Load(df, panel.scales[g] + v * kLanes));
        auto sum = hn::MulAdd(hn::ConvertTo(df, sums[r][v]), scale, hn::Load(df, to));
        if (Source::kMinima) {
          const float value = kGroup == 32 ? values[r] + values[kGemmRows + r] : values[r];
          sum = hn::NegMulAdd(hn::Set(df, value), hn::Load(df, panel.minima[g] + v * kLanes), sum);
        }
        hn::Store(sum, df, to);
      }
    }
  }
}

// c [8 blocks, 32] += the chunk at k of `blocks` blocks of rows times the panel.
template <class Source>
HWY_NOINLINE void MultiplyPanel(const Panel<typename Source::Code>& panel, const GemmRows& x, int64_t block,
                                int64_t blocks, int64_t k, int64_t groups, float* c) {
  constexpr int64_t kPerDword = Panel<typename Source::Code>::kPerDword;
  const int64_t values = x.padded_k * kGemmRows, at = block * values + k * kGemmRows;
  BlockOfRows rows = {static_cast<const uint8_t*>(x.codes) + at / kPerDword * 4, x.scales + at / kQuantGroup,
                      x.sums + at / kQuantSumGroup};
  for (int64_t i = 0; i < blocks; ++i, c += kGemmRows * kGemmColumns) {
    for (int first = 0; first < kGemmRows; first += kRegisterRows) {
      MultiplyTile<Source>(panel, rows, first, groups, c + first * kGemmColumns);
    }
    rows = {rows.codes + values / kPerDword * 4, rows.scales + values / kQuantGroup,
            rows.sums + values / kQuantSumGroup};
  }
}

// out = c + bias, for `count` features from the first on and `rows` rows.
HWY_INLINE void PutSums(const float* c, const GemmArgs& args, int64_t row, int64_t rows, int64_t first, int64_t count) {
  const DF32 d;
  HWY_ALIGN float bias[kGemmColumns] = {};
  if (args.bias != nullptr) std::copy(args.bias + first, args.bias + first + count, bias);
  for (int64_t r = 0; r < rows; ++r, c += kGemmColumns) {
    float* to = args.out.data + (row + r) * args.out.stride + first;
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) {
      hn::StoreU(hn::Add(hn::Load(d, c + i), hn::Load(d, bias + i)), d, to + i);
    }
    for (; i < count; ++i) to[i] = c[i] + bias[i];
  }
}

template <class Source>
HWY_NOINLINE void GemmOf(const GemmArgs& args, int64_t panel_begin, int64_t panel_end) {
  using Code = typename Source::Code;
  Rows<Code> rows;
  Panel<Code> panel;
  alignas(64) float c[kPassRows * kGemmColumns];
  const int64_t row_bytes = RowBytes(args.type, args.k);
  for (int64_t first = panel_begin * kGemmColumns; first < panel_end * kGemmColumns; first += kGemmColumns) {
    const int64_t count = std::min(kGemmColumns, args.n - first);
    const uint8_t* w = static_cast<const uint8_t*>(args.weights) + first * row_bytes;
    for (int64_t row = 0; row < args.rows; row += kPassRows) {
      const int64_t pass = std::min(kPassRows, args.rows - row);
      const int64_t blocks = (pass + kGemmRows - 1) / kGemmRows;
      std::fill(c, c + blocks * kGemmRows * kGemmColumns, 0.0f);
      for (int64_t k = 0; k < args.k; k += kQuantChunk) {
        const int64_t elements = std::min(kQuantChunk, args.k - k);
        Source::Pack(w + RowBytes(args.type, k), row_bytes, count, elements, &rows, &panel);
        const int64_t groups = (elements + Source::kGroup - 1) / Source::kGroup;
        PutStarts<Source>(groups, &panel);
        MultiplyPanel<Source>(panel, args.x, row / kGemmRows, blocks, k, groups, c);
      }
      PutSums(c, args, row, pass, first, count);
    }
  }
}

inline void Gemm(const GemmArgs& args, int64_t panel_begin, int64_t panel_end) {
  if (args.type == DataType::kBF16) return GemmOf<Bf16Source>(args, panel_begin, panel_end);
  WithFormat(args.type, [&](auto format) { GemmOf<QuantSource<decltype(format)>>(args, panel_begin, panel_end); });
}

inline RowCode CodeFor(DataType type) {
  RowCode code = RowCode::kInt14;
  if (type == DataType::kBF16) return code;
  WithFormat(type, [&code](auto format) { code = kInBytes<decltype(format)> ? RowCode::kInt8 : RowCode::kInt16; });
  return code;
}

// to[j][i] = from[i][j] of dwords, for the rows of a block and `count` columns.
HWY_INLINE void InterleaveRows(const int32_t* from, int64_t count, int32_t* to) {
#if HWY_TARGET <= HWY_AVX2
  for (int64_t j = 0; j < count; j += 8) TransposeEight(from + j, count, to + j * kGemmRows, kGemmRows);
#else
  for (int64_t j = 0; j < count; ++j) {
    for (int64_t i = 0; i < kGemmRows; ++i) std::memcpy(to + j * kGemmRows + i, from + i * count + j, 4);
  }
#endif
}
static_assert(kGemmRows == 8);

// A group of 32 of x as codes; gives their scale.
HWY_INLINE float RoundTo(const float* x, float limit, float* sums, int16_t* codes) {
  return RoundGroup(x, limit, codes, sums);
}
HWY_INLINE float RoundTo(const float* x, float limit, float* sums, uint8_t* bytes) {
  HWY_ALIGN int16_t codes[kQuantGroup];
  const float scale = RoundGroup(x, limit, codes, sums);
  for (int64_t i = 0; i < kQuantGroup; ++i) bytes[i] = static_cast<uint8_t>(codes[i] + 128);
  return scale;
}

// The block of `rows` rows from `in` on, filled up with zeros.
template <typename Code>
HWY_INLINE void RoundBlock(const float* in, int64_t stride, int64_t rows, int64_t k, RowCode code, int64_t padded,
                           Code* codes, float* scales, float* sums) {
  const bool with_sums = code != RowCode::kInt14;
  HWY_ALIGN Code group[kGemmRows][kQuantGroup];
  HWY_ALIGN float some[kQuantGroup];
  for (int64_t i = 0; i < padded; i += kQuantGroup) {
    for (int64_t row = 0; row < kGemmRows; ++row) {
      const int64_t count = row < rows ? std::clamp<int64_t>(k - i, 0, kQuantGroup) : 0;
      const float* from = in + row * stride + i;
      if (count < kQuantGroup) {
        std::fill(some, some + kQuantGroup, 0.0f);
        std::copy(from, from + count, some);
        from = some;
      }
      float halves[2];
      scales[i / kQuantGroup * kGemmRows + row] =
          RoundTo(from, LimitOf(code), with_sums ? halves : nullptr, group[row]);
      for (int64_t h = 0; h < 2 && with_sums; ++h) sums[(i / kQuantSumGroup + h) * kGemmRows + row] = halves[h];
    }
    InterleaveRows(reinterpret_cast<const int32_t*>(group), kQuantGroup / Panel<Code>::kPerDword,
                   reinterpret_cast<int32_t*>(codes + i * kGemmRows));
  }
}

template <typename Code>
HWY_INLINE void RoundRowsTo(ConstRows x, int64_t rows, int64_t k, RowCode code, const GemmRows& out) {
  for (int64_t row = 0; row < rows; row += kGemmRows) {
    const int64_t values = row * out.padded_k;
    RoundBlock(x.data + row * x.stride, x.stride, std::min(kGemmRows, rows - row), k, code, out.padded_k,
               static_cast<Code*>(out.codes) + values, out.scales + values / kQuantGroup,
               out.sums + values / kQuantSumGroup);
  }
}

inline void RoundRows(ConstRows x, int64_t rows, int64_t k, RowCode code, GemmRows out) {
  if (code == RowCode::kInt8) return RoundRowsTo<uint8_t>(x, rows, k, code, out);
  RoundRowsTo<int16_t>(x, rows, k, code, out);
}

inline const GemmKernels& Table() {
  static const GemmKernels table = {CodeFor, RoundRows, Gemm, 1};
  return table;
}
