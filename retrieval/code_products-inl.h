// Products over rows of codes: dot_product.cc includes this once for each instruction set, and once more for CPUs that
// sum products of bytes (LASTRO_VNNI). BlockSums gives those of kRows rows with the bytes from `begin` up to `end` of
// the operand; the bytes count from 128, which is taken off afterwards.

// So many bytes that their sum in 32 bits cannot overflow: 255 * kMaxWide * 512 < 2^31.
constexpr size_t kBlockBytes = 512;

#if HWY_TARGET == HWY_SCALAR

template <int kRows>
HWY_INLINE void Products(const CodeOperand& operand, const uint8_t* const* rows, size_t bytes, int64_t* totals) {
  const int16_t *even = operand.wide, *odd = operand.wide + bytes / 2;
  for (int r = 0; r < kRows; ++r) {
    for (size_t i = 0; i < bytes / 2; ++i) totals[r] += even[i] * rows[r][2 * i] + odd[i] * rows[r][2 * i + 1];
    totals[r] -= 128 * operand.sum;
  }
}

template <int kRows>
HWY_INLINE void Score(const CodeOperand& operand, const uint8_t* const* rows, size_t bytes, const float* scales,
                      float* out) {
  int64_t totals[kRows] = {};
  Products<kRows>(operand, rows, bytes, totals);
  for (int r = 0; r < kRows; ++r) out[r] = operand.scale * scales[r] * static_cast<float>(totals[r]);
}

#else

using Sums = hn::FixedTag<int32_t, 4>;  // a row's sum in each lane, in those beyond kRows anything

#if LASTRO_VNNI

HWY_INLINE __m128i Quarters(__m512i sums) {
  const __m256i halves = _mm256_add_epi32(_mm512_castsi512_si256(sums), _mm512_extracti64x4_epi64(sums, 1));
  return _mm_add_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
}

template <int kRows, bool kLow>
HWY_INLINE hn::Vec<Sums> SumsOfParts(const CodeOperand& operand, const uint8_t* const* rows, size_t begin, size_t end) {
  __m512i high[kRows], low[kRows];
  for (int r = 0; r < kRows; ++r) high[r] = low[r] = _mm512_setzero_si512();
  for (size_t k = begin; k < end; k += 64) {
    const __m512i q_high = _mm512_loadu_si512(operand.high + k);
    const __m512i q_low = kLow ? _mm512_loadu_si512(operand.low + k) : _mm512_setzero_si512();
    for (int r = 0; r < kRows; ++r) {
      const __m512i codes = _mm512_load_si512(rows[r] + k);
      high[r] = _mm512_dpbusd_epi32(high[r], codes, q_high);
      if (kLow) low[r] = _mm512_dpbusd_epi32(low[r], codes, q_low);
    }
  }
  __m128i quarters[4] = {};
  for (int r = 0; r < kRows; ++r) quarters[r] = Quarters(_mm512_add_epi32(_mm512_slli_epi32(high[r], 7), low[r]));
  return hn::Vec<Sums>{_mm_hadd_epi32(_mm_hadd_epi32(quarters[0], quarters[1]),
                                      _mm_hadd_epi32(quarters[2], quarters[3]))};
}

template <int kRows>
HWY_INLINE hn::Vec<Sums> BlockSums(const CodeOperand& operand, const uint8_t* const* rows, size_t, size_t begin,
                                   size_t end) {
  return operand.low == nullptr ? SumsOfParts<kRows, false>(operand, rows, begin, end)
                                : SumsOfParts<kRows, true>(operand, rows, begin, end);
}

#else

// A vector of at least four lanes, those a multiple of four apart added.
template <class D>
HWY_INLINE hn::Vec<Sums> Quarters(D d, hn::Vec<D> v) {
  if constexpr (hn::MaxLanes(d) <= 4) {
    return v;
  } else {
    const hn::Half<D> half;
    return Quarters(half, hn::Add(hn::LowerHalf(half, v), hn::UpperHalf(half, v)));
  }
}

// What each of four vectors adds up to.
HWY_INLINE hn::Vec<Sums> SumsOfLanes(hn::Vec<Sums> a, hn::Vec<Sums> b, hn::Vec<Sums> c, hn::Vec<Sums> d) {
  const Sums d32;
  const hn::Repartition<int64_t, Sums> d64;
  const auto ab = hn::BitCast(d64, hn::Add(hn::InterleaveLower(d32, a, b), hn::InterleaveUpper(d32, a, b)));
  const auto cd = hn::BitCast(d64, hn::Add(hn::InterleaveLower(d32, c, d), hn::InterleaveUpper(d32, c, d)));
  return hn::Add(hn::BitCast(d32, hn::InterleaveLower(d64, ab, cd)),
                 hn::BitCast(d32, hn::InterleaveUpper(d64, ab, cd)));
}

// Bytes are read as pairs, whose halves meet those of even and of odd places: CPUs do that faster than they widen them
// in order.
template <int kRows>
HWY_INLINE hn::Vec<Sums> BlockSums(const CodeOperand& operand, const uint8_t* const* rows, size_t bytes, size_t begin,
                                   size_t end) {
  const hn::ScalableTag<int16_t> d16;
  const hn::RepartitionToWide<decltype(d16)> d32;
  const hn::RebindToUnsigned<decltype(d16)> pairs;
  const hn::Repartition<uint8_t, decltype(d16)> d8;
  const auto low_bytes = hn::Set(pairs, 0xFF);
  hn::Vec<decltype(d32)> sums[4], more[4];  // `more` stays zero where the sum of a product of pairs is one instruction
  for (int r = 0; r < 4; ++r) sums[r] = more[r] = hn::Zero(d32);
  for (size_t k = begin; k < end; k += hn::Lanes(d8)) {
    const auto even = hn::LoadU(d16, operand.wide + k / 2), odd = hn::LoadU(d16, operand.wide + (bytes + k) / 2);
    for (int r = 0; r < kRows; ++r) {
      const auto codes = hn::BitCast(pairs, hn::LoadU(d8, rows[r] + k));
      sums[r] = hn::ReorderWidenMulAccumulate(d32, hn::BitCast(d16, hn::And(codes, low_bytes)), even, sums[r], more[r]);
      sums[r] = hn::ReorderWidenMulAccumulate(d32, hn::BitCast(d16, hn::ShiftRight<8>(codes)), odd, sums[r], more[r]);
    }
  }
  hn::Vec<Sums> quarters[4];
  for (int r = 0; r < 4; ++r) quarters[r] = Quarters(d32, hn::Add(sums[r], more[r]));
  return SumsOfLanes(quarters[0], quarters[1], quarters[2], quarters[3]);
}

#endif

#if !LASTRO_VNNI && (HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3)
#define LASTRO_COARSE 1

// How far ahead of its use memory is fetched: rows are read one after the other, which CPUs do fastest.
constexpr size_t kFetchedBytes = 1 << 10;

// What `kVectors` vectors of places add to a row's sums: bytes are multiplied and summed in pairs, these in 16 bits.
template <size_t kVectors, class Sum>
HWY_INLINE void AddGroup(const int8_t* numbers, const uint8_t* row, Sum& sums) {
  const hn::FixedTag<int16_t, kCoarseVector / 2> d16;
  const hn::Repartition<uint8_t, decltype(d16)> d8;
  auto pairs = hn::Zero(d16);
  for (size_t i = 0; i < kVectors; ++i) {
    if (i % 2 == 0) __builtin_prefetch(row + i * kCoarseVector + kFetchedBytes, 0, 3);
    const auto codes = hn::Load(d8, row + i * kCoarseVector);
    const auto factors = hn::LoadU(hn::RebindToSigned<decltype(d8)>(), numbers + i * kCoarseVector);
    pairs = hn::Add(pairs, hn::Vec<decltype(d16)>{_mm256_maddubs_epi16(codes.raw, factors.raw)});
  }
  const hn::RepartitionToWide<decltype(d16)> d32;
  auto none = hn::Zero(d32);
  sums = hn::ReorderWidenMulAccumulate(d32, pairs, hn::Set(d16, 1), sums, none);
}

template <int kRows>
HWY_INLINE hn::Vec<Sums> CoarseSums(const int8_t* numbers, const uint8_t* const* rows, size_t bytes) {
  static_assert(kCoarseGroup == 2 * kCodeAlignment && kCodeAlignment == 2 * kCoarseVector);
  const hn::FixedTag<int32_t, kCoarseVector / 4> d32;
  hn::Vec<Sums> quarters[4] = {hn::Zero(Sums()), hn::Zero(Sums()), hn::Zero(Sums()), hn::Zero(Sums())};
  for (int r = 0; r < kRows; ++r) {
    auto sums = hn::Zero(d32);
    size_t k = 0;
    for (; k + kCoarseGroup <= bytes; k += kCoarseGroup) AddGroup<4>(numbers + k, rows[r] + k, sums);
    if (k < bytes) AddGroup<2>(numbers + k, rows[r] + k, sums);
    quarters[r] = Quarters(d32, sums);
  }
  return SumsOfLanes(quarters[0], quarters[1], quarters[2], quarters[3]);
}

// scales: [4]; out: [kRows]. So are those of the other below.
template <int kRows>
HWY_INLINE void Score(const CoarseOperand& operand, const uint8_t* const* rows, size_t bytes, const float* scales,
                      float* out) {
  const Sums d32;
  const hn::FixedTag<float, 4> floats;
  HWY_ALIGN float scores[4];
  const auto factors = hn::Mul(hn::Set(floats, operand.scale), hn::LoadU(floats, scales));
  const auto offset = hn::Set(d32, static_cast<int32_t>(128 * operand.sum));
  const auto totals = hn::Sub(CoarseSums<kRows>(operand.numbers, rows, bytes), offset);
  hn::Store(hn::Mul(factors, hn::ConvertTo(floats, totals)), floats, scores);
  for (int r = 0; r < kRows; ++r) out[r] = scores[r];
}

#endif

template <int kRows>
HWY_INLINE void Score(const CodeOperand& operand, const uint8_t* const* rows, size_t bytes, const float* scales,
                      float* out) {
  static_assert(kRows <= 4);
  const Sums d32;
  const hn::FixedTag<float, 4> floats;
  HWY_ALIGN float scores[4];
  const auto factors = hn::Mul(hn::Set(floats, operand.scale), hn::LoadU(floats, scales));
  if (bytes <= kBlockBytes) {
    const auto offset = hn::Set(d32, static_cast<int32_t>(128 * operand.sum));
    const auto totals = hn::Sub(BlockSums<kRows>(operand, rows, bytes, 0, bytes), offset);
    hn::Store(hn::Mul(factors, hn::ConvertTo(floats, totals)), floats, scores);
  } else {
    int64_t totals[4] = {};
    for (size_t begin = 0; begin < bytes; begin += kBlockBytes) {
      HWY_ALIGN int32_t sums[4];
      hn::Store(BlockSums<kRows>(operand, rows, bytes, begin, HWY_MIN(begin + kBlockBytes, bytes)), d32, sums);
      for (int r = 0; r < kRows; ++r) totals[r] += sums[r];
    }
    HWY_ALIGN float whole[4] = {};
    for (int r = 0; r < kRows; ++r) whole[r] = static_cast<float>(totals[r] - 128 * operand.sum);
    hn::Store(hn::Mul(factors, hn::Load(floats, whole)), floats, scores);
  }
  for (int r = 0; r < kRows; ++r) out[r] = scores[r];
}

#endif

HWY_INLINE void FetchRow(const uint8_t* row, size_t bytes) {
  for (size_t k = 0; k < bytes; k += 64) __builtin_prefetch(row + k, 0, 3);
}

template <int kRows, class Operand, class RowAt>
HWY_INLINE void ScoreGroup(const Operand& operand, const CodeRows& rows, const RowAt& row_at, size_t first,
                           float* out) {
  const uint8_t* codes[kRows];
  float scales[4] = {};
  for (int r = 0; r < kRows; ++r) {
    codes[r] = rows.codes + row_at(first + r) * rows.stride;
    scales[r] = rows.scales[row_at(first + r)];
  }
  Score<kRows>(operand, codes, rows.stride, scales, out + first);
}

// `ahead`: how many rows before its use a row is fetched.
template <class RowAt>
HWY_INLINE void ScoreAll(const CodeOperand& operand, const CodeRows& rows, const RowAt& row_at, size_t ahead,
                         size_t count, float* out) {
  constexpr size_t kGroup = 4;
  size_t fetched = 0;
  size_t i = 0;
  for (; i + kGroup <= count; i += kGroup) {
    for (; fetched < HWY_MIN(i + kGroup + ahead, count); ++fetched) {
      FetchRow(rows.codes + row_at(fetched) * rows.stride, rows.stride);
    }
    ScoreGroup<kGroup>(operand, rows, row_at, i, out);
  }
  for (; i < count; ++i) ScoreGroup<1>(operand, rows, row_at, i, out);
}

void ScoreRange(const CodeOperand& operand, const CodeRows& rows, size_t begin, size_t count, float* out) {
  ScoreAll(operand, rows, [begin](size_t i) { return begin + i; }, 16, count, out);
}

void ScoreIndices(const CodeOperand& operand, const CodeRows& rows, const uint32_t* indices, size_t count,
                  float* out) {
  ScoreAll(operand, rows, [indices](size_t i) { return size_t{indices[i]}; }, 8, count, out);
}

#if LASTRO_COARSE
void ScoreRangeCoarsely(const CoarseOperand& operand, const CodeRows& rows, size_t begin, size_t count, float* out) {
  const auto row_at = [begin](size_t i) { return begin + i; };
  size_t i = 0;
  for (; i + 4 <= count; i += 4) ScoreGroup<4>(operand, rows, row_at, i, out);
  for (; i < count; ++i) ScoreGroup<1>(operand, rows, row_at, i, out);
}
#else
constexpr void (*ScoreRangeCoarsely)(const CoarseOperand&, const CodeRows&, size_t, size_t, float*) = nullptr;
#endif
#undef LASTRO_COARSE

const CodeProducts& Table() {
  static const CodeProducts table = {ScoreRange, ScoreIndices, ScoreRangeCoarsely};
  return table;
}
