// Quantised products of few rows in bytes of 256 bits: simd_quant.cc includes this once per instruction set, and with
// LASTRO_VNNI 1 for AVX-VNNI. Blocks go from memory to products in registers. Without VNNI bytes without sign times
// bytes of x add up to 16 bits in twos, so the former stay below 129: codes are moved up to begin at nothing, which
// goes into the minima, or, where they fill a byte, give their sign to x.

HWY_INLINE __m256i Load32(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
HWY_INLINE __m256i Bytes(int value) { return _mm256_set1_epi8(static_cast<char>(value)); }

// A number for each 16 of a chunk.
struct Sixteen {
  __m256 low, high;
};
// Each of eight numbers twice.
HWY_INLINE Sixteen Doubled(__m256 eight) {
  return {_mm256_permutevar8x32_ps(eight, _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3)),
          _mm256_permutevar8x32_ps(eight, _mm256_setr_epi32(4, 4, 5, 5, 6, 6, 7, 7))};
}
// Number i of the four in each half, throughout its half.
HWY_INLINE __m256 Spread(__m256 halves, int i) {
  switch (i) {
    case 0:
      return _mm256_permute_ps(halves, 0x00);
    case 1:
      return _mm256_permute_ps(halves, 0x55);
    case 2:
      return _mm256_permute_ps(halves, 0xAA);
    default:
      return _mm256_permute_ps(halves, 0xFF);
  }
}
HWY_INLINE Sixteen Times(const Sixteen& numbers, float factor) {
  const __m256 by = _mm256_set1_ps(factor);
  return {_mm256_mul_ps(numbers.low, by), _mm256_mul_ps(numbers.high, by)};
}
HWY_INLINE __m256 EightScales(const uint8_t* blocks, int64_t bytes) {
  alignas(32) float scales[8];
  Halves8(blocks, bytes, scales);
  return _mm256_load_ps(scales);
}

// 32 codes without sign times x, the products of four neighbours added.
HWY_INLINE __m256i Products(__m256i codes, __m256i x) {
#if LASTRO_VNNI
  return _mm256_dpbusd_avx_epi32(_mm256_setzero_si256(), codes, x);
#else
  return _mm256_madd_epi16(_mm256_maddubs_epi16(codes, x), _mm256_set1_epi16(1));
#endif
}
HWY_INLINE __m256i SignedProducts(__m256i codes, __m256i x) {
  return Products(_mm256_abs_epi8(codes), _mm256_sign_epi8(x, codes));
}

// Formats give, of a chunk of 256: the scales of its groups; minima, if it has them; the sums of products, of
// 32 codes from 32 i on. Codes of groups of 32 have scales for eight groups, those of 16 for sixteen.

struct DirectQ8_0 {
  static constexpr int64_t kGroup = 32;
  static constexpr bool kMinima = false;
  explicit HWY_INLINE DirectQ8_0(const uint8_t* blocks) : blocks(blocks) {}
  HWY_INLINE __m256 Scales() const { return EightScales(blocks, 34); }
  HWY_INLINE __m256i Dots(int i, __m256i x) const { return SignedProducts(Load32(blocks + 34 * i + 2), x); }
  const uint8_t* blocks;
};

struct DirectQ4_0 {
  static constexpr int64_t kGroup = 32;
  static constexpr bool kMinima = true;
  explicit HWY_INLINE DirectQ4_0(const uint8_t* blocks) : blocks(blocks) {}
  HWY_INLINE __m256 Scales() const { return EightScales(blocks, 18); }
  HWY_INLINE Sixteen Minima(__m256 scales) const { return Doubled(_mm256_mul_ps(scales, _mm256_set1_ps(8))); }
  HWY_INLINE __m256i Dots(int i, __m256i x) const {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(blocks + 18 * i + 2));
    const __m256i both =
        _mm256_srlv_epi32(_mm256_broadcastsi128_si256(bytes), _mm256_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4));
    return Products(_mm256_and_si256(both, Bytes(15)), x);
  }
  const uint8_t* blocks;
};

// What Q4_K and Q5_K share: eight scales and eight minima, and nibbles of which 32 bytes hold 64.
struct DirectNibbles {
  static constexpr int64_t kGroup = 32;
  static constexpr bool kMinima = true;
  explicit HWY_INLINE DirectNibbles(const uint8_t* block) : block(block), numbers(UnpackSixBits(block)) {
    int halves;
    std::memcpy(&halves, block, sizeof(halves));
    factors = _mm_cvtph_ps(_mm_cvtsi32_si128(halves));
  }
  static HWY_INLINE __m256 Eight(uint64_t numbers, __m128 factor) {
    const __m128i bytes = _mm_cvtsi64_si128(static_cast<int64_t>(numbers));
    return _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)), _mm256_broadcastss_ps(factor));
  }
  HWY_INLINE __m256 Scales() const { return Eight(numbers.scales, factors); }
  HWY_INLINE Sixteen Minima(__m256) const { return Doubled(Eight(numbers.minima, _mm_movehdup_ps(factors))); }
  static HWY_INLINE __m256i Nibbles(const uint8_t* from, int i) {
    const __m256i bytes = Load32(from + i / 2 * 32);
    return _mm256_and_si256(i % 2 == 0 ? bytes : _mm256_srli_epi16(bytes, 4), Bytes(15));
  }
  const uint8_t* block;
  SixBits numbers;
  __m128 factors;  // of the scales, of the minima
};

struct DirectQ4_K : DirectNibbles {
  explicit HWY_INLINE DirectQ4_K(const uint8_t* block) : DirectNibbles(block) {}
  HWY_INLINE __m256i Dots(int i, __m256i x) const { return Products(Nibbles(block + 16, i), x); }
};

struct DirectQ5_K : DirectNibbles {
  explicit HWY_INLINE DirectQ5_K(const uint8_t* block) : DirectNibbles(block) {}
  HWY_INLINE __m256i Dots(int i, __m256i x) const {
    const __m256i bit = _mm256_and_si256(Load32(block + 16), Bytes(1 << i));
    const __m256i fifth = i < 4 ? _mm256_slli_epi16(bit, 4 - i) : _mm256_srli_epi16(bit, i - 4);
    return Products(_mm256_or_si256(Nibbles(block + 48, i), fifth), x);
  }
};

struct DirectQ6_K {
  static constexpr int64_t kGroup = 16;
  static constexpr bool kMinima = true;
  explicit HWY_INLINE DirectQ6_K(const uint8_t* block) : block(block) {}
  HWY_INLINE Sixteen Scales() const {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block + 192));
    const __m256 low = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
    const __m256 high = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8)));
    return Times({low, high}, Half(block + 208));
  }
  HWY_INLINE Sixteen Minima(const Sixteen& scales) const { return Times(scales, 32); }
  HWY_INLINE __m256i Dots(int i, __m256i x) const {
    const int half = i / 4, quarter = i % 4;
    const __m256i nibbles = Load32(block + 64 * half + 32 * (quarter % 2)), pairs = Load32(block + 128 + 32 * half);
    const __m256i low = quarter < 2 ? nibbles : _mm256_srli_epi16(nibbles, 4);
    const __m256i high =
        quarter < 2 ? _mm256_slli_epi16(pairs, 4 - 2 * quarter) : _mm256_srli_epi16(pairs, 2 * quarter - 4);
    return Products(_mm256_or_si256(_mm256_and_si256(low, Bytes(15)), _mm256_and_si256(high, Bytes(0x30))), x);
  }
  const uint8_t* block;
};

// Any format, and blocks of 32 that do not fill a chunk, through memory.
template <class Format>
struct Unpacked {
  static constexpr int64_t kGroup = Format::kGroup;
  static constexpr bool kMinima = Format::kMinima;
  explicit HWY_INLINE Unpacked(const uint8_t* blocks, int64_t elements = kQuantChunk) {
    if (elements < kQuantChunk) std::memset(&chunk, 0, sizeof(chunk));
    Format::Unpack(blocks, elements, &chunk);
  }
  HWY_INLINE auto Scales() const {
    if constexpr (kGroup == 32) {
      return _mm256_load_ps(chunk.scales);
    } else {
      return Sixteen{_mm256_load_ps(chunk.scales), _mm256_load_ps(chunk.scales + 8)};
    }
  }
  template <class Scales>
  HWY_INLINE Sixteen Minima(const Scales&) const {
    return {_mm256_load_ps(chunk.minima), _mm256_load_ps(chunk.minima + 8)};
  }
  HWY_INLINE __m256i Dots(int i, __m256i x) const { return SignedProducts(Load32(chunk.codes + 32 * i), x); }
  Chunk chunk;
};

// The scales of a chunk, multiplied by those of x: At(i) is for the sums of products 32 i to 32 i + 31. They stay in
// registers, as what was just stored is slow to load in parts.
struct Factors {
  HWY_INLINE void Put(__m256 scales, __m256 of_x) {
    const __m256 eight = _mm256_mul_ps(scales, of_x);
    first = _mm256_permute2f128_ps(eight, eight, 0x00);
    last = _mm256_permute2f128_ps(eight, eight, 0x11);
  }
  HWY_INLINE void Put(const Sixteen& scales, __m256 of_x) {
    const Sixteen both = Doubled(of_x);
    const __m256i even_odd = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
    first = _mm256_permutevar8x32_ps(_mm256_mul_ps(scales.low, both.low), even_odd);
    last = _mm256_permutevar8x32_ps(_mm256_mul_ps(scales.high, both.high), even_odd);
  }
  HWY_INLINE __m256 At(int i) const { return Spread(i < 4 ? first : last, i % 4); }
  __m256 first, last;
};

// The sums of one feature over kR rows of x.
template <class Source, int kR>
struct RowSums {
  HWY_INLINE RowSums() {
    for (int r = 0; r < kR; ++r) even[r] = odd[r] = minima[r] = _mm256_setzero_ps();
  }

  // Adds a chunk that meets x from `at` on, rows padded_k apart.
  HWY_INLINE void Add(const Source& source, const QuantizedRows& x, int64_t at) {
    const auto scales = source.Scales();
    Factors factors[kR];
    for (int r = 0; r < kR; ++r) {
      factors[r].Put(scales, _mm256_loadu_ps(x.scales + (at + r * x.padded_k) / kQuantGroup));
    }
    HWY_UNROLL(8)
    for (int i = 0; i < 8; ++i) {
      for (int r = 0; r < kR; ++r) {
        const __m256i codes = Load32(static_cast<const int8_t*>(x.codes) + at + r * x.padded_k + 32 * i);
        __m256& sum = i % 2 == 0 ? even[r] : odd[r];
        sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(source.Dots(i, codes)), factors[r].At(i), sum);
      }
    }
    if constexpr (Source::kMinima) {
      const Sixteen of_chunk = source.Minima(scales);
      for (int r = 0; r < kR; ++r) {
        const float* of_x = x.sums + (at + r * x.padded_k) / kQuantSumGroup;
        minima[r] = _mm256_fmadd_ps(of_chunk.low, _mm256_loadu_ps(of_x), minima[r]);
        minima[r] = _mm256_fmadd_ps(of_chunk.high, _mm256_loadu_ps(of_x + 8), minima[r]);
      }
    }
  }

  HWY_INLINE float Total(int r) const {
    __m256 sum = _mm256_add_ps(even[r], odd[r]);
    if (Source::kMinima) sum = _mm256_sub_ps(sum, minima[r]);
    return hn::GetLane(hn::SumOfLanes(hn::FixedTag<float, 8>(), hn::Vec<hn::FixedTag<float, 8>>{sum}));
  }

  __m256 even[kR], odd[kR], minima[kR];
};

HWY_INLINE void QuantizeGroup(const float* x, int64_t at, const QuantizedRows& out) {
  alignas(32) int16_t wide[kQuantGroup];
  out.scales[at / kQuantGroup] = RoundGroup(x, LimitOf(RowCode::kInt8), wide, out.sums + at / kQuantSumGroup);
  const __m256i packed = _mm256_packs_epi16(Load32(wide), Load32(wide + 16));
  const __m256i codes = _mm256_permute4x64_epi64(packed, 0xD8);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(static_cast<int8_t*>(out.codes) + at), codes);
  const __m256i pairs = _mm256_maddubs_epi16(Bytes(128), codes);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out.starts + at / 4), _mm256_madd_epi16(pairs, _mm256_set1_epi16(-1)));
}
