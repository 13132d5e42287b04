// Products over rows of codes: dot_product.cc includes this once for each instruction set, and once more for CPUs that
// sum products of bytes (LASTRO_VNNI). AddProducts adds those of kRows rows with bytes [begin, end) of the operand to
// `totals`; the bytes count from 128, which Products takes off.

// So many bytes that their sum in 32 bits cannot overflow: 255 * kMaxWide * 512 < 2^31.
constexpr size_t kBlockBytes = 512;

#if LASTRO_VNNI

HWY_INLINE __m128i Quarters(__m512i sums) {
  const __m256i halves = _mm256_add_epi32(_mm512_castsi512_si256(sums), _mm512_extracti64x4_epi64(sums, 1));
  return _mm_add_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
}

template <int kRows, bool kLow>
HWY_INLINE void AddProducts(const CodeOperand& operand, const uint8_t* const* rows, size_t begin, size_t end,
                            int64_t* totals) {
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
  alignas(16) int32_t sums[4] = {};
  __m128i quarters[4] = {};
  for (int r = 0; r < kRows; ++r) {
    quarters[r] = Quarters(kLow ? _mm512_add_epi32(_mm512_slli_epi32(high[r], 7), low[r]) : high[r]);
  }
  _mm_store_si128(reinterpret_cast<__m128i*>(sums), _mm_hadd_epi32(_mm_hadd_epi32(quarters[0], quarters[1]),
                                                                   _mm_hadd_epi32(quarters[2], quarters[3])));
  for (int r = 0; r < kRows; ++r) totals[r] += sums[r];
}

template <int kRows>
HWY_INLINE void Products(const CodeOperand& operand, const uint8_t* const* rows, size_t bytes, int64_t* totals) {
  for (size_t begin = 0; begin < bytes; begin += kBlockBytes) {
    const size_t end = HWY_MIN(begin + kBlockBytes, bytes);
    if (operand.low == nullptr) {
      AddProducts<kRows, false>(operand, rows, begin, end, totals);
    } else {
      AddProducts<kRows, true>(operand, rows, begin, end, totals);
    }
  }
  const int64_t unit = operand.low == nullptr ? 128 : 1;  // without `low` the sums are those of wide / 128
  for (int r = 0; r < kRows; ++r) totals[r] = unit * totals[r] - 128 * operand.sum;
}

#else

template <int kRows>
HWY_INLINE void AddProducts(const CodeOperand& operand, const uint8_t* const* rows, size_t begin, size_t end,
                            int64_t* totals) {
  const hn::ScalableTag<int16_t> d16;
  const hn::RepartitionToWide<decltype(d16)> d32;
  const hn::Rebind<uint8_t, decltype(d16)> d8;
  hn::Vec<decltype(d32)> even[kRows], odd[kRows];
  for (int r = 0; r < kRows; ++r) even[r] = odd[r] = hn::Zero(d32);
  for (size_t k = begin; k < end; k += hn::Lanes(d16)) {
    const auto wide = hn::LoadU(d16, operand.wide + k);
    for (int r = 0; r < kRows; ++r) {
      const auto bytes = hn::PromoteTo(d16, hn::LoadU(d8, rows[r] + k));
      even[r] = hn::ReorderWidenMulAccumulate(d32, bytes, wide, even[r], odd[r]);
    }
  }
  for (int r = 0; r < kRows; ++r) totals[r] += hn::GetLane(hn::SumOfLanes(d32, hn::Add(even[r], odd[r])));
}

template <int kRows>
HWY_INLINE void Products(const CodeOperand& operand, const uint8_t* const* rows, size_t bytes, int64_t* totals) {
  for (size_t begin = 0; begin < bytes; begin += kBlockBytes) {
    AddProducts<kRows>(operand, rows, begin, HWY_MIN(begin + kBlockBytes, bytes), totals);
  }
  for (int r = 0; r < kRows; ++r) totals[r] -= 128 * operand.sum;
}

#endif

HWY_INLINE void FetchRow(const uint8_t* row, size_t bytes) {
  for (size_t k = 0; k < bytes; k += 64) __builtin_prefetch(row + k, 0, 3);
}

template <int kRows, class RowAt>
HWY_INLINE void ScoreGroup(const CodeOperand& operand, const CodeRows& rows, const RowAt& row_at, size_t first,
                           float* out) {
  const uint8_t* codes[kRows];
  int64_t totals[kRows] = {};
  for (int r = 0; r < kRows; ++r) codes[r] = rows.codes + row_at(first + r) * rows.stride;
  Products<kRows>(operand, codes, rows.stride, totals);
  for (int r = 0; r < kRows; ++r) {
    out[first + r] = operand.scale * rows.scales[row_at(first + r)] * static_cast<float>(totals[r]);
  }
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

const CodeProducts& Table() {
  static const CodeProducts table = {ScoreRange, ScoreIndices};
  return table;
}
