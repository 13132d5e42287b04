// The formats of quant.h for the SIMD kernels: a chunk of 256 weights becomes codes of 8 bits with their scales, one
// function per format. Compiled once per instruction set, as simd_vectors-inl.h is.
#if defined(LASTRO_KERNELS_QUANT_FORMATS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LASTRO_KERNELS_QUANT_FORMATS_INL_H_
#undef LASTRO_KERNELS_QUANT_FORMATS_INL_H_
#else
#define LASTRO_KERNELS_QUANT_FORMATS_INL_H_
#endif

#include <cstring>

#include "hwy/highway.h"
#include "kernels/bfloat16.h"
#include "kernels/quant.h"
#include "kernels/simd_vectors-inl.h"

// Vectors of one lane have no shuffles: the reference serves machines without SIMD.
#if HWY_TARGET != HWY_SCALAR
HWY_BEFORE_NAMESPACE();
namespace lastro::kernels {
namespace HWY_NAMESPACE {

// Bytes that will be needed soon, on their way while others are used.
HWY_INLINE void FetchAhead(const uint8_t* from, int64_t bytes) {
  for (int64_t at = 0; at < bytes; at += 64) __builtin_prefetch(from + at, 0, 2);
}

using U8 = hn::CappedTag<uint8_t, 32>;
using VU8 = hn::Vec<U8>;

// 256 unpacked weights: element i is codes[i] * scales[i / kGroup] - minima[i / 16].
struct Chunk {
  HWY_ALIGN int8_t codes[kQuantChunk];
  HWY_ALIGN float scales[kQuantChunk / 16];
  HWY_ALIGN float minima[kQuantChunk / 16];
};

HWY_INLINE float Half(const uint8_t* p) {
  uint16_t bits;
  std::memcpy(&bits, p, sizeof(bits));
#if HWY_TARGET <= HWY_AVX2
  const hn::FixedTag<float, 4> d;
  const hn::Rebind<uint16_t, decltype(d)> du;
  const hn::Rebind<hwy::float16_t, decltype(d)> d16;
  return hn::GetLane(hn::PromoteTo(d, hn::BitCast(d16, hn::Set(du, bits))));
#else
  return Fp16ToFloat(bits);
#endif
}

// The F16 numbers at the head of eight blocks.
HWY_INLINE void Halves8(const uint8_t* blocks, int64_t bytes, float* out) {
#if HWY_TARGET <= HWY_AVX2
  auto at = [blocks, bytes](int64_t i) {
    uint16_t bits;
    std::memcpy(&bits, blocks + i * bytes, sizeof(bits));
    return static_cast<int16_t>(bits);
  };
  const __m128i halves = _mm_setr_epi16(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7));
  _mm256_storeu_ps(out, _mm256_cvtph_ps(halves));
#else
  for (int64_t i = 0; i < 8; ++i) out[i] = Half(blocks + i * bytes);
#endif
}

// out[i] = f(i) for 32 bytes, a vector at a time.
template <class F>
HWY_INLINE void Fill32(int8_t* out, F f) {
  const U8 d;
  for (size_t i = 0; i < 32; i += hn::Lanes(d)) hn::StoreU(f(d, i), d, reinterpret_cast<uint8_t*>(out) + i);
}

// The low and the high nibbles of 16 bytes, as 32 elements.
template <class F>
HWY_INLINE void Nibbles32(const uint8_t* q, int8_t* out, F f) {
  const hn::FixedTag<uint8_t, 16> d;
  const auto bytes = hn::LoadU(d, q);
  hn::StoreU(f(d, hn::And(bytes, hn::Set(d, 15))), d, reinterpret_cast<uint8_t*>(out));
  hn::StoreU(f(d, hn::ShiftRight<4>(bytes)), d, reinterpret_cast<uint8_t*>(out) + 16);
}

// out[i] |= 16 where bit i of `high` is set, for 32 elements.
HWY_INLINE void AddFifthBits(const uint8_t* high, int8_t* out) {
  for (int b = 0; b < 4; ++b) {
    constexpr uint64_t kSpread = 0x0101010101010101, kBits = 0x8040201008040201, kLow = 0x7F7F7F7F7F7F7F7F;
    const uint64_t chosen = high[b] * kSpread & kBits;
    const uint64_t ones = (((chosen & kLow) + kLow) | chosen) >> 7 & kSpread;
    uint64_t codes;
    std::memcpy(&codes, out + 8 * b, 8);
    codes |= ones << 4;
    std::memcpy(out + 8 * b, &codes, 8);
  }
}

// out[i] = factor * numbers[i], for 8.
template <typename T>
HWY_INLINE void Scale8(const T* numbers, float factor, float* out) {
  const hn::CappedTag<float, 8> d;
  const hn::Rebind<int32_t, decltype(d)> di;
  const hn::Rebind<T, decltype(d)> d8;
  for (size_t i = 0; i < 8; i += hn::Lanes(d)) {
    const auto values = hn::ConvertTo(d, hn::PromoteTo(di, hn::LoadU(d8, numbers + i)));
    hn::StoreU(hn::Mul(values, hn::Set(d, factor)), d, out + i);
  }
}

// kLargest: no code is larger, whatever its sign.

// Formats of 32 elements: the codes of one block. Its scale is the F16 at its head, and the F16 behind that its minimum
// with the sign changed, if it has one.
struct Q8_0 {
  static constexpr DataType kType = DataType::kQ8_0;
  static constexpr int64_t kLargest = 128;
  static constexpr bool kMinima = false;
  static HWY_INLINE void Unpack(const uint8_t* b, int8_t* codes) { std::memcpy(codes, b + 2, 32); }
};
struct Q4_0 {
  static constexpr DataType kType = DataType::kQ4_0;
  static constexpr int64_t kLargest = 8;
  static constexpr bool kMinima = false;
  static HWY_INLINE void Unpack(const uint8_t* b, int8_t* codes) {
    Nibbles32(b + 2, codes, [](auto d, auto q) { return hn::Sub(q, hn::Set(d, 8)); });
  }
};
struct Q4_1 {
  static constexpr DataType kType = DataType::kQ4_1;
  static constexpr int64_t kLargest = 15;
  static constexpr bool kMinima = true;
  static HWY_INLINE void Unpack(const uint8_t* b, int8_t* codes) {
    Nibbles32(b + 4, codes, [](auto, auto q) { return q; });
  }
};
struct Q5_0 {
  static constexpr DataType kType = DataType::kQ5_0;
  static constexpr int64_t kLargest = 16;
  static constexpr bool kMinima = false;
  static HWY_INLINE void Unpack(const uint8_t* b, int8_t* codes) {
    Nibbles32(b + 6, codes, [](auto, auto q) { return q; });
    AddFifthBits(b + 2, codes);
    Fill32(codes, [codes](U8 d, size_t i) {
      return hn::Sub(hn::LoadU(d, reinterpret_cast<const uint8_t*>(codes) + i), hn::Set(d, 16));
    });
  }
};
struct Q5_1 {
  static constexpr DataType kType = DataType::kQ5_1;
  static constexpr int64_t kLargest = 31;
  static constexpr bool kMinima = true;
  static HWY_INLINE void Unpack(const uint8_t* b, int8_t* codes) {
    Nibbles32(b + 8, codes, [](auto, auto q) { return q; });
    AddFifthBits(b + 4, codes);
  }
};

// Up to 8 blocks of 32 as a chunk.
template <class Block>
struct Of32 {
  static constexpr DataType kType = Block::kType;
  static constexpr int64_t kLargest = Block::kLargest;
  static constexpr bool kMinima = Block::kMinima;
  static constexpr int64_t kGroup = 32;
  static HWY_INLINE void Unpack(const uint8_t* blocks, int64_t elements, Chunk* chunk) {
    constexpr int64_t kBytes = ShapeOf(kType).bytes;
    const int64_t count = elements / 32;
    float minima[8] = {};
    if (count == 8) {
      Halves8(blocks, kBytes, chunk->scales);
      if (kMinima) Halves8(blocks + 2, kBytes, minima);
    } else {
      for (int64_t g = 0; g < count; ++g) chunk->scales[g] = Half(blocks + g * kBytes);
      for (int64_t g = 0; g < count && kMinima; ++g) minima[g] = Half(blocks + g * kBytes + 2);
    }
    for (int64_t g = 0; g < count; ++g) Block::Unpack(blocks + g * kBytes, chunk->codes + 32 * g);
    for (int64_t g = 0; g < 8 && kMinima; ++g) chunk->minima[2 * g] = chunk->minima[2 * g + 1] = -minima[g];
  }
};

struct Mxfp4 {
  static constexpr DataType kType = DataType::kMXFP4;
  static constexpr int64_t kLargest = 12;
  static constexpr bool kMinima = false;
  static constexpr int64_t kGroup = 32;
  static HWY_INLINE void Unpack(const uint8_t* b, int64_t elements, Chunk* chunk) {
    for (int64_t g = 0; g < elements / 32; ++g, b += ShapeOf(kType).bytes) {
      // 2^(e - 128); the two smallest are subnormal.
      const uint32_t bits = b[0] < 2 ? 0x00200000u << b[0] : (b[0] - 1u) << 23;
      std::memcpy(chunk->scales + g, &bits, sizeof(bits));
      Nibbles32(b + 1, chunk->codes + 32 * g, [](auto d, auto q) {
        return hn::TableLookupBytes(hn::LoadU(d, reinterpret_cast<const uint8_t*>(kMxfp4Values)), q);
      });
    }
  }
};

// Of Q4_K and Q5_K: eight scales and eight minima of 6 bits each, a byte apiece.
struct SixBits {
  uint64_t scales, minima;
};
HWY_INLINE SixBits UnpackSixBits(const uint8_t* block) {
  uint32_t s[3];
  std::memcpy(s, block + 4, sizeof(s));
  auto eight = [](uint32_t first, uint32_t last) { return first | static_cast<uint64_t>(last) << 32; };
  return {eight(s[0] & 0x3F3F3F3F, (s[2] & 0x0F0F0F0F) | (s[0] >> 2 & 0x30303030)),
          eight(s[1] & 0x3F3F3F3F, (s[2] >> 4 & 0x0F0F0F0F) | (s[1] >> 2 & 0x30303030))};
}

HWY_INLINE void UnpackScales6(const uint8_t* block, Chunk* chunk) {
  const SixBits numbers = UnpackSixBits(block);
  uint8_t bytes[8];
  std::memcpy(bytes, &numbers.scales, sizeof(bytes));
  Scale8(bytes, Half(block), chunk->scales);
  std::memcpy(bytes, &numbers.minima, sizeof(bytes));
  float minima[8];
  Scale8(bytes, Half(block + 2), minima);
  for (int g = 0; g < 8; ++g) chunk->minima[2 * g] = chunk->minima[2 * g + 1] = minima[g];
}

struct Q4_K {
  static constexpr DataType kType = DataType::kQ4_K;
  static constexpr int64_t kLargest = 15;
  static constexpr bool kMinima = true;
  static constexpr int64_t kGroup = 32;
  static HWY_INLINE void Unpack(const uint8_t* block, int64_t, Chunk* chunk) {
    UnpackScales6(block, chunk);
    const uint8_t* q = block + 16;
    for (int64_t j = 0; j < 4; ++j, q += 32) {
      Fill32(chunk->codes + 64 * j, [q](U8 d, size_t i) { return hn::And(hn::LoadU(d, q + i), hn::Set(d, 15)); });
      Fill32(chunk->codes + 64 * j + 32, [q](U8 d, size_t i) { return hn::ShiftRight<4>(hn::LoadU(d, q + i)); });
    }
  }
};

// Bit `kBit` of each byte, as 16.
template <int kBit>
HWY_INLINE VU8 FifthBit(U8 d, VU8 high) {
  const VU8 bit = hn::And(high, hn::Set(d, 1 << kBit));
  if constexpr (kBit < 4) {
    return hn::ShiftLeft<4 - kBit>(bit);
  } else {
    return hn::ShiftRight<kBit - 4>(bit);
  }
}

struct Q5_K {
  static constexpr DataType kType = DataType::kQ5_K;
  static constexpr int64_t kLargest = 31;
  static constexpr bool kMinima = true;
  static constexpr int64_t kGroup = 32;
  static HWY_INLINE void Unpack(const uint8_t* block, int64_t, Chunk* chunk) {
    UnpackScales6(block, chunk);
    const uint8_t *high = block + 16, *q = block + 48;
    Pair<0>(high, q, chunk->codes);
    Pair<1>(high, q, chunk->codes);
    Pair<2>(high, q, chunk->codes);
    Pair<3>(high, q, chunk->codes);
  }
  // 64 elements: the low nibbles of 32 bytes, then the high ones.
  template <int kPair>
  static HWY_INLINE void Pair(const uint8_t* high, const uint8_t* q, int8_t* codes) {
    Fill32(codes + 64 * kPair, [=](U8 d, size_t i) {
      const VU8 low = hn::And(hn::LoadU(d, q + 32 * kPair + i), hn::Set(d, 15));
      return hn::Or(low, FifthBit<2 * kPair>(d, hn::LoadU(d, high + i)));
    });
    Fill32(codes + 64 * kPair + 32, [=](U8 d, size_t i) {
      const VU8 low = hn::ShiftRight<4>(hn::LoadU(d, q + 32 * kPair + i));
      return hn::Or(low, FifthBit<2 * kPair + 1>(d, hn::LoadU(d, high + i)));
    });
  }
};

struct Q6_K {
  static constexpr DataType kType = DataType::kQ6_K;
  static constexpr int64_t kLargest = 32;
  static constexpr bool kMinima = false;
  static constexpr int64_t kGroup = 16;
  static HWY_INLINE void Unpack(const uint8_t* block, int64_t, Chunk* chunk) {
    const float d = Half(block + 208);
    const int8_t* scales = reinterpret_cast<const int8_t*>(block + 192);
    Scale8(scales, d, chunk->scales);
    Scale8(scales + 8, d, chunk->scales + 8);
    for (int64_t half = 0; half < 2; ++half) {
      const uint8_t *low = block + 64 * half, *high = block + 128 + 32 * half;
      int8_t* codes = chunk->codes + 128 * half;
      Quarter<0>(low, high, codes);
      Quarter<1>(low, high, codes);
      Quarter<2>(low, high, codes);
      Quarter<3>(low, high, codes);
    }
  }
  template <int kQuarter>
  static HWY_INLINE void Quarter(const uint8_t* low, const uint8_t* high, int8_t* codes) {
    Fill32(codes + 32 * kQuarter, [=](U8 d, size_t i) {
      const VU8 bytes = hn::LoadU(d, low + kQuarter % 2 * 32 + i);
      const VU8 nibble = kQuarter < 2 ? hn::And(bytes, hn::Set(d, 15)) : hn::ShiftRight<4>(bytes);
      const VU8 pair = hn::And(hn::ShiftRight<2 * kQuarter>(hn::LoadU(d, high + i)), hn::Set(d, 3));
      return hn::Sub(hn::Or(nibble, hn::ShiftLeft<4>(pair)), hn::Set(d, 32));
    });
  }
};

// The two bits of 32 elements: pairs `kQuarter` of 32 bytes.
template <int kQuarter>
HWY_INLINE VU8 TwoBits(U8 d, const uint8_t* pairs) {
  return hn::And(hn::ShiftRight<2 * kQuarter>(hn::LoadU(d, pairs)), hn::Set(d, 3));
}

struct Q2_K {
  static constexpr DataType kType = DataType::kQ2_K;
  static constexpr int64_t kLargest = 3;
  static constexpr bool kMinima = true;
  static constexpr int64_t kGroup = 16;
  static HWY_INLINE void Unpack(const uint8_t* block, int64_t, Chunk* chunk) {
    const float d = Half(block + 80), m = Half(block + 82);
    for (int g = 0; g < 16; ++g) {
      chunk->scales[g] = d * static_cast<float>(block[g] & 15);
      chunk->minima[g] = m * static_cast<float>(block[g] >> 4);
    }
    for (int64_t half = 0; half < 2; ++half) {
      const uint8_t* pairs = block + 16 + 32 * half;
      int8_t* codes = chunk->codes + 128 * half;
      Fill32(codes, [pairs](U8 t, size_t i) { return TwoBits<0>(t, pairs + i); });
      Fill32(codes + 32, [pairs](U8 t, size_t i) { return TwoBits<1>(t, pairs + i); });
      Fill32(codes + 64, [pairs](U8 t, size_t i) { return TwoBits<2>(t, pairs + i); });
      Fill32(codes + 96, [pairs](U8 t, size_t i) { return TwoBits<3>(t, pairs + i); });
    }
  }
};

struct Q3_K {
  static constexpr DataType kType = DataType::kQ3_K;
  static constexpr int64_t kLargest = 4;
  static constexpr bool kMinima = false;
  static constexpr int64_t kGroup = 16;
  static HWY_INLINE void Unpack(const uint8_t* block, int64_t, Chunk* chunk) {
    const float d = Half(block + 108);
    const uint8_t* scales = block + 96;
    for (int g = 0; g < 16; ++g) {
      const int scale = (scales[g % 8] >> (g / 8 * 4) & 15) | (scales[8 + g % 4] >> (g / 4 * 2) & 3) << 4;
      chunk->scales[g] = d * static_cast<float>(scale - 32);
    }
    Half128<0>(block, chunk->codes);
    Half128<1>(block, chunk->codes);
  }
  template <int kHalf>
  static HWY_INLINE void Half128(const uint8_t* block, int8_t* codes) {
    Quarter<kHalf, 0>(block, codes);
    Quarter<kHalf, 1>(block, codes);
    Quarter<kHalf, 2>(block, codes);
    Quarter<kHalf, 3>(block, codes);
  }
  template <int kHalf, int kQuarter>
  static HWY_INLINE void Quarter(const uint8_t* block, int8_t* codes) {
    Fill32(codes + 128 * kHalf + 32 * kQuarter, [block](U8 d, size_t i) {
      const VU8 low = TwoBits<kQuarter>(d, block + 32 + 32 * kHalf + i);
      const VU8 bit = FifthBit<4 * kHalf + kQuarter>(d, hn::LoadU(d, block + i));  // 16: nothing is taken off
      return hn::Sub(hn::Or(low, hn::ShiftRight<2>(bit)), hn::Set(d, 4));
    });
  }
};

// Calls f with the format of `type`.
template <class F>
HWY_INLINE void WithFormat(DataType type, F f) {
  switch (type) {
    case DataType::kQ4_0:
      return f(Of32<Q4_0>());
    case DataType::kQ4_1:
      return f(Of32<Q4_1>());
    case DataType::kQ5_0:
      return f(Of32<Q5_0>());
    case DataType::kQ5_1:
      return f(Of32<Q5_1>());
    case DataType::kQ8_0:
      return f(Of32<Q8_0>());
    case DataType::kMXFP4:
      return f(Mxfp4());
    case DataType::kQ2_K:
      return f(Q2_K());
    case DataType::kQ3_K:
      return f(Q3_K());
    case DataType::kQ4_K:
      return f(Q4_K());
    case DataType::kQ5_K:
      return f(Q5_K());
    case DataType::kQ6_K:
      return f(Q6_K());
    case DataType::kF32:
    case DataType::kBF16:
    case DataType::kF16:
      return;
  }
}

// 32 floats as integers within `limit`, with the sums of 16 values each unless `sums` is null; gives their scale, which
// is not finite when one of them is not.
HWY_INLINE float RoundGroup(const float* x, float limit, int16_t* values, float* sums) {
  const hn::CappedTag<float, 16> d;
  const hn::Rebind<int32_t, decltype(d)> di;
  const hn::Rebind<int16_t, decltype(d)> d16;
  const size_t lanes = hn::Lanes(d);
  auto bits = hn::Zero(di);  // of the largest; as integers, so that NaN is large, and so is then the scale
  for (size_t i = 0; i < 32; i += lanes) bits = hn::Max(bits, hn::BitCast(di, hn::Abs(hn::LoadU(d, x + i))));
  const float scale = hn::GetLane(hn::BitCast(d, hn::MaxOfLanes(di, bits))) / limit;
  const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
  for (size_t half = 0; half < 2; ++half) {
    auto sum = hn::Zero(di);
    for (size_t i = 16 * half; i < 16 * half + 16; i += lanes) {
      const auto rounded = hn::NearestInt(hn::Mul(hn::LoadU(d, x + i), hn::Set(d, inverse)));
      const auto narrow = hn::DemoteTo(d16, rounded);  // saturates
      hn::StoreU(narrow, d16, values + i);
      sum = hn::Add(sum, hn::PromoteTo(di, narrow));
    }
    if (sums == nullptr) continue;
    sums[half] = static_cast<float>(hn::GetLane(hn::SumOfLanes(di, sum))) * scale;
  }
  return scale;
}

}  // namespace HWY_NAMESPACE
}  // namespace lastro::kernels
HWY_AFTER_NAMESPACE();
#endif  // HWY_TARGET != HWY_SCALAR

#endif
