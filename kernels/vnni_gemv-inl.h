// Quantised products of few rows for CPUs that multiply bytes (AVX-512 VNNI): simd_quant.cc includes this once. Blocks
// go from memory to products in registers. Codes are bytes without sign that count from 128, which the starts of x take
// off again; x is signed.

// Formats give, of a chunk of 256: the scales of its groups; minima, 16 in all, if it has them; 64 codes from 64 i on.

// 32 bytes in each half.
HWY_INLINE __m512i Twice32(const uint8_t* p) {
  return _mm512_broadcast_i64x4(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
// Words of the halves moved by different counts.
HWY_INLINE __m512i Counts(int16_t first, int16_t second) {
  return _mm512_inserti64x4(_mm512_set1_epi16(first), _mm256_set1_epi16(second), 1);
}
HWY_INLINE __m512i Bytes(int value) { return _mm512_set1_epi8(static_cast<char>(value)); }
// (a & b) | c
HWY_INLINE __m512i AndOr(__m512i a, __m512i b, __m512i c) { return _mm512_ternarylogic_epi64(a, b, c, 0xEA); }
// Each of eight numbers twice.
HWY_INLINE __m512 Doubled(__m512 eight) {
  return _mm512_permutexvar_ps(_mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7), eight);
}
HWY_INLINE __m512 EightScales(const uint8_t* blocks, int64_t bytes) {
  alignas(32) float scales[8];
  Halves8(blocks, bytes, scales);
  return _mm512_castps256_ps512(_mm256_load_ps(scales));
}

struct DirectQ8_0 {
  static constexpr int64_t kGroup = 32;
  static constexpr bool kMinima = false;
  explicit HWY_INLINE DirectQ8_0(const uint8_t* blocks) : blocks(blocks) {}
  HWY_INLINE __m512 Scales() const { return EightScales(blocks, 34); }
  HWY_INLINE __m512 Minima() const { return _mm512_setzero_ps(); }
  HWY_INLINE __m512i Codes(int i) const {
    const uint8_t* b = blocks + 68 * i;
    const __m256i first = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b + 2));
    const __m256i second = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b + 36));
    return _mm512_xor_si512(_mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1), Bytes(128));
  }
  const uint8_t* blocks;
};

struct DirectQ4_0 {
  static constexpr int64_t kGroup = 32;
  static constexpr bool kMinima = false;
  explicit HWY_INLINE DirectQ4_0(const uint8_t* blocks) : blocks(blocks) {}
  HWY_INLINE __m512 Scales() const {
    // The first halves of the eight blocks are among the first 128 bytes.
    const __m512i at = _mm512_castsi128_si512(_mm_setr_epi16(0, 9, 18, 27, 36, 45, 54, 63));
    const __m512i halves = _mm512_permutex2var_epi16(_mm512_loadu_si512(blocks), at, _mm512_loadu_si512(blocks + 64));
    return _mm512_castps256_ps512(_mm256_cvtph_ps(_mm512_castsi512_si128(halves)));
  }
  HWY_INLINE __m512 Minima() const { return _mm512_setzero_ps(); }
  HWY_INLINE __m512i Codes(int i) const {
    const uint8_t* b = blocks + 36 * i;
    const __m256i first = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(b + 2)));
    const __m256i second = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(b + 20)));
    const __m512i both = _mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1);
    const __m512i counts =
        _mm512_set_epi64(0x0004000400040004, 0x0004000400040004, 0, 0, 0x0004000400040004, 0x0004000400040004, 0, 0);
    return _mm512_add_epi8(_mm512_and_si512(_mm512_srlv_epi16(both, counts), Bytes(15)), Bytes(128 - 8));
  }
  const uint8_t* blocks;
};

// What Q4_K and Q5_K share: eight scales and eight minima, and nibbles of which 32 bytes hold 64.
struct DirectNibbles {
  static constexpr int64_t kGroup = 32;
  static constexpr bool kMinima = true;
  explicit HWY_INLINE DirectNibbles(const uint8_t* block) : block(block) {
    const SixBits six = UnpackSixBits(block);
    uint32_t halves;
    std::memcpy(&halves, block, sizeof(halves));
    const __m128 factors = _mm_cvtph_ps(_mm_cvtsi32_si128(static_cast<int>(halves)));
    const __m512i lanes = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    const __m512i numbers = _mm512_cvtepu8_epi32(
        _mm_set_epi64x(static_cast<int64_t>(six.minima), static_cast<int64_t>(six.scales)));
    both = _mm512_mul_ps(_mm512_cvtepi32_ps(numbers), _mm512_permutexvar_ps(lanes, _mm512_castps128_ps512(factors)));
  }
  HWY_INLINE __m512 Scales() const { return both; }
  HWY_INLINE __m512 Minima() const { return Doubled(_mm512_castps256_ps512(_mm512_extractf32x8_ps(both, 1))); }
  static HWY_INLINE __m512i Nibbles(const uint8_t* from) {
    return AndOr(_mm512_srlv_epi16(Twice32(from), Counts(0, 4)), Bytes(15), Bytes(128));
  }
  const uint8_t* block;
  __m512 both;  // the scales, then the minima
};

struct DirectQ4_K : DirectNibbles {
  explicit HWY_INLINE DirectQ4_K(const uint8_t* block) : DirectNibbles(block) {}
  HWY_INLINE __m512i Codes(int i) const { return Nibbles(block + 16 + 32 * i); }
};

struct DirectQ5_K : DirectNibbles {
  explicit HWY_INLINE DirectQ5_K(const uint8_t* block) : DirectNibbles(block) {}
  HWY_INLINE __m512i Codes(int i) const {
    const __m512i low = Nibbles(block + 48 + 32 * i);
    const __m512i bit = _mm512_inserti64x4(Bytes(1 << 2 * i), _mm256_set1_epi8(static_cast<char>(2 << 2 * i)), 1);
    return _mm512_mask_add_epi8(low, _mm512_test_epi8_mask(Twice32(block + 16), bit), low, Bytes(16));
  }
};

struct DirectQ6_K {
  static constexpr int64_t kGroup = 16;
  static constexpr bool kMinima = false;
  explicit HWY_INLINE DirectQ6_K(const uint8_t* block) : block(block) {}
  HWY_INLINE __m512 Scales() const {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block + 192));
    return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes)), _mm512_set1_ps(Half(block + 208)));
  }
  HWY_INLINE __m512 Minima() const { return _mm512_setzero_ps(); }
  HWY_INLINE __m512i Codes(int i) const {
    const __m512i nibbles = _mm512_loadu_si512(block + i / 2 * 64), pairs = Twice32(block + 128 + i / 2 * 32);
    const __m512i low = i % 2 == 0 ? nibbles : _mm512_srli_epi16(nibbles, 4);
    const __m512i high = i % 2 == 0 ? _mm512_sllv_epi16(pairs, Counts(4, 2)) : _mm512_srlv_epi16(pairs, Counts(0, 2));
    const __m512i codes = AndOr(low, Bytes(15), _mm512_and_si512(high, Bytes(0x30)));
    return _mm512_add_epi8(codes, Bytes(128 - 32));
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
  HWY_INLINE __m512 Scales() const { return _mm512_load_ps(chunk.scales); }
  HWY_INLINE __m512 Minima() const { return _mm512_load_ps(chunk.minima); }
  HWY_INLINE __m512i Codes(int i) const {
    return _mm512_xor_si512(_mm512_load_si512(chunk.codes + 64 * i), Bytes(128));
  }
  Chunk chunk;
};

// The sums of one feature over kR rows of x.
template <class Source, int kR>
struct RowSums {
  HWY_INLINE RowSums() {
    for (int r = 0; r < kR; ++r) even[r] = odd[r] = minima[r] = _mm512_setzero_ps();
  }

  // Adds a chunk that meets x from `at` on, rows padded_k apart.
  HWY_INLINE void Add(const Source& source, const QuantizedRows& x, int64_t at) {
    const __m512i group = _mm512_srli_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                                            Source::kGroup == 32 ? 3 : 2);
    const __m512 scales = source.Scales();
    __m512 factors[kR];
    for (int r = 0; r < kR; ++r) {
      const float* of_x = x.scales + (at + r * x.padded_k) / kQuantGroup;
      const __m512 eight = _mm512_castps256_ps512(_mm256_loadu_ps(of_x));
      factors[r] = _mm512_mul_ps(scales, Source::kGroup == 32 ? eight : Doubled(eight));
    }
    HWY_UNROLL(4)
    for (int i = 0; i < 4; ++i) {
      const __m512i w = source.Codes(i);
      const __m512i lanes = _mm512_add_epi32(group, _mm512_set1_epi32(i * (64 / static_cast<int>(Source::kGroup))));
      for (int r = 0; r < kR; ++r) {
        const int64_t from = at + r * x.padded_k + 64 * i;
        const __m512i codes = _mm512_loadu_si512(static_cast<const int8_t*>(x.codes) + from);
        const __m512i dot = _mm512_dpbusd_epi32(_mm512_loadu_si512(x.starts + from / 4), w, codes);
        __m512& sum = i % 2 == 0 ? even[r] : odd[r];
        sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), _mm512_permutexvar_ps(lanes, factors[r]), sum);
      }
    }
    if (!Source::kMinima) return;
    for (int r = 0; r < kR; ++r) {
      const float* sums = x.sums + (at + r * x.padded_k) / kQuantSumGroup;
      minima[r] = _mm512_fmadd_ps(source.Minima(), _mm512_loadu_ps(sums), minima[r]);
    }
  }

  HWY_INLINE float Total(int r) const {
    const __m512 sum = _mm512_add_ps(even[r], odd[r]);
    return _mm512_reduce_add_ps(Source::kMinima ? _mm512_sub_ps(sum, minima[r]) : sum);
  }

  __m512 even[kR], odd[kR], minima[kR];
};

HWY_INLINE void QuantizeGroup(const float* x, int64_t at, const QuantizedRows& out) {
  alignas(64) int16_t wide[kQuantGroup];
  out.scales[at / kQuantGroup] = RoundGroup(x, LimitOf(RowCode::kInt8), wide, out.sums + at / kQuantSumGroup);
  const __m256i codes = _mm512_cvtepi16_epi8(_mm512_load_si512(wide));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(static_cast<int8_t*>(out.codes) + at), codes);
  const __m256i sums = _mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_set1_epi8(static_cast<char>(128)), codes);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out.starts + at / 4), _mm256_sub_epi32(_mm256_setzero_si256(), sums));
}
