// Quantised products: a chunk of 256 weights is unpacked once into 8-bit codes with their scales (one function per
// format), and meets up to four rows of 16-bit activations in integer dot products.
#include <cstring>

#include "kernels/bfloat16.h"
#include "kernels/quant.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd_quant.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/simd_vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lastro::kernels {
namespace HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR
// Vectors of one lane have no shuffles: the reference serves machines without SIMD.
void QuantGemv(const QuantLinearArgs& args, int64_t n_begin, int64_t n_end) {
  ReferenceQuantKernels().quant_gemv(args, n_begin, n_end);
}
void Dequantize(const void* blocks, DataType type, int64_t n, bool accumulate, float* out) {
  ReferenceQuantKernels().dequantize(blocks, type, n, accumulate, out);
}
void QuantizeRows(ConstRows x, int64_t rows, int64_t k, QuantizedRows out) {
  ReferenceQuantKernels().quantize_rows(x, rows, k, out);
}
#else

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
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
  const hn::FixedTag<float, 4> d;
  const hn::Rebind<uint16_t, decltype(d)> du;
  const hn::Rebind<hwy::float16_t, decltype(d)> d16;
  return hn::GetLane(hn::PromoteTo(d, hn::BitCast(d16, hn::Set(du, bits))));
#else
  return Fp16ToFloat(bits);
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

// Formats of 32 elements: Unpack one block into 32 codes, a scale and a minimum.
struct Q8_0 {
  static constexpr DataType kType = DataType::kQ8_0;
  static constexpr bool kMinima = false;
  static HWY_INLINE void Unpack(const uint8_t* b, int8_t* codes, float* scale, float*) {
    *scale = Half(b);
    std::memcpy(codes, b + 2, 32);
  }
};
struct Q4_0 {
  static constexpr DataType kType = DataType::kQ4_0;
  static constexpr bool kMinima = false;
  static HWY_INLINE void Unpack(const uint8_t* b, int8_t* codes, float* scale, float*) {
    *scale = Half(b);
    Nibbles32(b + 2, codes, [](auto d, auto q) { return hn::Sub(q, hn::Set(d, 8)); });
  }
};
struct Q4_1 {
  static constexpr DataType kType = DataType::kQ4_1;
  static constexpr bool kMinima = true;
  static HWY_INLINE void Unpack(const uint8_t* b, int8_t* codes, float* scale, float* minimum) {
    *scale = Half(b);
    *minimum = -Half(b + 2);
    Nibbles32(b + 4, codes, [](auto, auto q) { return q; });
  }
};
struct Q5_0 {
  static constexpr DataType kType = DataType::kQ5_0;
  static constexpr bool kMinima = false;
  static HWY_INLINE void Unpack(const uint8_t* b, int8_t* codes, float* scale, float*) {
    *scale = Half(b);
    Nibbles32(b + 6, codes, [](auto, auto q) { return q; });
    AddFifthBits(b + 2, codes);
    Fill32(codes, [codes](U8 d, size_t i) {
      return hn::Sub(hn::LoadU(d, reinterpret_cast<const uint8_t*>(codes) + i), hn::Set(d, 16));
    });
  }
};
struct Q5_1 {
  static constexpr DataType kType = DataType::kQ5_1;
  static constexpr bool kMinima = true;
  static HWY_INLINE void Unpack(const uint8_t* b, int8_t* codes, float* scale, float* minimum) {
    *scale = Half(b);
    *minimum = -Half(b + 2);
    Nibbles32(b + 8, codes, [](auto, auto q) { return q; });
    AddFifthBits(b + 4, codes);
  }
};
struct Mxfp4 {
  static constexpr DataType kType = DataType::kMXFP4;
  static constexpr bool kMinima = false;
  static HWY_INLINE void Unpack(const uint8_t* b, int8_t* codes, float* scale, float*) {
    // 2^(e - 128); the two smallest are subnormal.
    const uint32_t bits = b[0] < 2 ? 0x00200000u << b[0] : (b[0] - 1u) << 23;
    std::memcpy(scale, &bits, sizeof(bits));
    Nibbles32(b + 1, codes, [](auto d, auto q) {
      const auto table = hn::LoadU(d, reinterpret_cast<const uint8_t*>(kMxfp4Values));
      return hn::TableLookupBytes(table, q);
    });
  }
};

// Up to 8 blocks of 32 as a chunk.
template <class Block>
struct Of32 {
  static constexpr DataType kType = Block::kType;
  static constexpr bool kMinima = Block::kMinima;
  static constexpr int64_t kGroup = 32;
  static HWY_INLINE void Unpack(const uint8_t* blocks, int64_t elements, Chunk* chunk) {
    const int64_t count = elements / 32;
    if (kMinima && count < 8) std::memset(chunk->minima, 0, sizeof(chunk->minima));
    for (int64_t g = 0; g < count; ++g) {
      float* minima = chunk->minima + 2 * g;
      Block::Unpack(blocks + g * ShapeOf(kType).bytes, chunk->codes + 32 * g, chunk->scales + g, minima);
      if (kMinima) minima[1] = minima[0];
    }
  }
};

// Q4_K and Q5_K: eight scales and minima of 6 bits.
HWY_INLINE void UnpackScales6(const uint8_t* block, Chunk* chunk) {
  uint32_t s[3];
  std::memcpy(s, block + 4, sizeof(s));
  uint32_t numbers[4];
  numbers[0] = s[0] & 0x3F3F3F3F;
  numbers[1] = (s[2] & 0x0F0F0F0F) | (s[0] >> 2 & 0x30303030);
  numbers[2] = s[1] & 0x3F3F3F3F;
  numbers[3] = (s[2] >> 4 & 0x0F0F0F0F) | (s[1] >> 2 & 0x30303030);
  uint8_t bytes[16];
  std::memcpy(bytes, numbers, sizeof(bytes));
  Scale8(bytes, Half(block), chunk->scales);
  float minima[8];
  Scale8(bytes + 8, Half(block + 2), minima);
  for (int g = 0; g < 8; ++g) chunk->minima[2 * g] = chunk->minima[2 * g + 1] = minima[g];
}

struct Q4_K {
  static constexpr DataType kType = DataType::kQ4_K;
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

// The sum of 16-bit times 8-bit products of one group, as floats that add up to it.
template <int64_t kGroup>
HWY_INLINE hn::Vec<hn::CappedTag<float, kGroup / 2>> DotGroup(const int8_t* codes, const int16_t* x) {
  const hn::CappedTag<int16_t, kGroup> d;
  const hn::RepartitionToWide<decltype(d)> dw;
  const hn::Rebind<int8_t, decltype(d)> d8;
  auto sum0 = hn::Zero(dw), sum1 = hn::Zero(dw);
  for (size_t i = 0; i < kGroup; i += hn::Lanes(d)) {
    const auto weights = hn::PromoteTo(d, hn::LoadU(d8, codes + i));
    sum0 = hn::ReorderWidenMulAccumulate(dw, weights, hn::LoadU(d, x + i), sum0, sum1);
  }
  return hn::ConvertTo(hn::CappedTag<float, kGroup / 2>(), hn::Add(sum0, sum1));
}

// Adds a chunk's part of one output to `sum` and `corrections`.
template <class Format, class VF>
HWY_INLINE void DotChunk(const Chunk& chunk, int64_t elements, const int16_t* x, const float* x_scales, VF& sum0,
                         VF& sum1) {
  constexpr int64_t kGroup = Format::kGroup, kPerScale = kQuantGroup / kGroup;
  const hn::CappedTag<float, kGroup / 2> d;
  const int64_t groups = elements / kGroup;
  for (int64_t g = 0; g < groups; g += 2) {
    const float scale0 = chunk.scales[g] * x_scales[g / kPerScale];
    sum0 = hn::MulAdd(DotGroup<kGroup>(chunk.codes + g * kGroup, x + g * kGroup), hn::Set(d, scale0), sum0);
    if (g + 1 == groups) break;
    const float scale1 = chunk.scales[g + 1] * x_scales[(g + 1) / kPerScale];
    sum1 = hn::MulAdd(DotGroup<kGroup>(chunk.codes + (g + 1) * kGroup, x + (g + 1) * kGroup), hn::Set(d, scale1), sum1);
  }
}

// Minima times the sums of x, of a chunk.
HWY_INLINE void DotMinima(const float* minima, const float* x_sums, hn::Vec<hn::CappedTag<float, 16>>& sum) {
  const hn::CappedTag<float, 16> d;
  for (size_t i = 0; i < 16; i += hn::Lanes(d)) {
    sum = hn::MulAdd(hn::LoadU(d, minima + i), hn::LoadU(d, x_sums + i), sum);
  }
}

template <class Format, int kR>
HWY_INLINE void OutputOf(const uint8_t* w, const QuantLinearArgs& args, int64_t n) {
  const hn::CappedTag<float, Format::kGroup / 2> d;
  const hn::CappedTag<float, 16> dm;
  const int64_t chunk_bytes = RowBytes(Format::kType, kQuantChunk), padded = args.x.padded_k;
  hn::Vec<decltype(d)> sum0[kR], sum1[kR];
  hn::Vec<decltype(dm)> minima[kR];
  for (int r = 0; r < kR; ++r) {
    sum0[r] = sum1[r] = hn::Zero(d);
    minima[r] = hn::Zero(dm);
  }
  Chunk chunk;
  for (int64_t k = 0; k < args.k; k += kQuantChunk, w += chunk_bytes) {
    const int64_t elements = HWY_MIN(kQuantChunk, args.k - k);
    Format::Unpack(w, elements, &chunk);
    for (int r = 0; r < kR; ++r) {
      const int64_t at = r * padded + k;
      DotChunk<Format>(chunk, elements, args.x.values + at, args.x.scales + at / kQuantGroup, sum0[r], sum1[r]);
      if (Format::kMinima) DotMinima(chunk.minima, args.x.sums + at / kQuantSumGroup, minima[r]);
    }
  }
  for (int r = 0; r < kR; ++r) {
    float sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(sum0[r], sum1[r])));
    if (Format::kMinima) sum -= hn::GetLane(hn::SumOfLanes(dm, minima[r]));
    args.out.data[r * args.out.stride + n] = sum + (args.bias != nullptr ? args.bias[n] : 0.0f);
  }
}

template <class Format>
HWY_NOINLINE void GemvOf(const QuantLinearArgs& args, int64_t n_begin, int64_t n_end) {
  const int64_t row_bytes = RowBytes(Format::kType, args.k);
  const uint8_t* w = static_cast<const uint8_t*>(args.weights);
  for (int64_t n = n_begin; n < n_end; ++n) {
    switch (args.rows) {
      case 1:
        OutputOf<Format, 1>(w + n * row_bytes, args, n);
        break;
      case 2:
        OutputOf<Format, 2>(w + n * row_bytes, args, n);
        break;
      case 3:
        OutputOf<Format, 3>(w + n * row_bytes, args, n);
        break;
      default:
        OutputOf<Format, 4>(w + n * row_bytes, args, n);
    }
  }
}

template <class Format>
HWY_NOINLINE void DequantizeOf(const uint8_t* blocks, int64_t n, bool accumulate, float* out) {
  const hn::CappedTag<float, 16> d;
  const hn::Rebind<int32_t, decltype(d)> di;
  const hn::Rebind<int8_t, decltype(d)> d8;
  const int64_t chunk_bytes = RowBytes(Format::kType, kQuantChunk);
  Chunk chunk;
  for (int64_t begin = 0; begin < n; begin += kQuantChunk, blocks += chunk_bytes, out += kQuantChunk) {
    const int64_t elements = HWY_MIN(kQuantChunk, n - begin);
    Format::Unpack(blocks, elements, &chunk);
    for (int64_t i = 0; i < elements; i += static_cast<int64_t>(hn::Lanes(d))) {
      const auto codes = hn::ConvertTo(d, hn::PromoteTo(di, hn::LoadU(d8, chunk.codes + i)));
      auto values = hn::Mul(codes, hn::Set(d, chunk.scales[i / Format::kGroup]));
      if (Format::kMinima) values = hn::Sub(values, hn::Set(d, chunk.minima[i / 16]));
      if (accumulate) values = hn::Add(values, hn::LoadU(d, out + i));
      hn::StoreU(values, d, out + i);
    }
  }
}

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
      return f(Of32<Mxfp4>());
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

void QuantGemv(const QuantLinearArgs& args, int64_t n_begin, int64_t n_end) {
  WithFormat(args.type, [&](auto format) { GemvOf<decltype(format)>(args, n_begin, n_end); });
}

void Dequantize(const void* blocks, DataType type, int64_t n, bool accumulate, float* out) {
  WithFormat(type, [&](auto format) {
    DequantizeOf<decltype(format)>(static_cast<const uint8_t*>(blocks), n, accumulate, out);
  });
}

// 32 floats of one scale; gives the scale.
HWY_INLINE float QuantizeGroup(const float* x, int16_t* values, float* sums) {
  const hn::CappedTag<float, 16> d;
  const hn::Rebind<int32_t, decltype(d)> di;
  const hn::Rebind<int16_t, decltype(d)> d16;
  const size_t lanes = hn::Lanes(d);
  auto largest = hn::Zero(d);
  for (size_t i = 0; i < 32; i += lanes) largest = hn::Max(hn::Abs(hn::LoadU(d, x + i)), largest);
  const float scale = hn::GetLane(hn::MaxOfLanes(d, largest)) / 32767.0f;
  const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
  for (size_t half = 0; half < 2; ++half) {
    auto sum = hn::Zero(di);
    for (size_t i = 16 * half; i < 16 * half + 16; i += lanes) {
      const auto rounded = hn::NearestInt(hn::Mul(hn::LoadU(d, x + i), hn::Set(d, inverse)));
      const auto narrow = hn::DemoteTo(d16, rounded);  // saturates
      hn::StoreU(narrow, d16, values + i);
      sum = hn::Add(sum, hn::PromoteTo(di, narrow));
    }
    sums[half] = static_cast<float>(hn::GetLane(hn::SumOfLanes(di, sum))) * scale;
  }
  return scale;
}

void QuantizeRows(ConstRows x, int64_t rows, int64_t k, QuantizedRows out) {
  const int64_t padded = out.padded_k;
  for (int64_t r = 0; r < rows; ++r) {
    const float* in = x.data + r * x.stride;
    int16_t* values = out.values + r * padded;
    float *scales = out.scales + r * (padded / kQuantGroup), *sums = out.sums + r * (padded / kQuantSumGroup);
    for (int64_t i = 0; i < k; i += kQuantGroup) {
      scales[i / kQuantGroup] = QuantizeGroup(in + i, values + i, sums + i / kQuantSumGroup);
    }
    for (int64_t i = k; i < padded; i += kQuantGroup) {
      std::memset(values + i, 0, kQuantGroup * sizeof(int16_t));
      scales[i / kQuantGroup] = sums[i / kQuantSumGroup] = sums[i / kQuantSumGroup + 1] = 0;
    }
  }
}

#endif  // HWY_TARGET != HWY_SCALAR

}  // namespace HWY_NAMESPACE
}  // namespace lastro::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lastro::kernels {
HWY_EXPORT(QuantGemv);
HWY_EXPORT(Dequantize);
HWY_EXPORT(QuantizeRows);
namespace {

void SimdDequantize(const void* blocks, DataType type, int64_t n, bool accumulate, float* out) {
  HWY_DYNAMIC_DISPATCH(Dequantize)(blocks, type, n, accumulate, out);
}
void SimdQuantizeRows(ConstRows x, int64_t rows, int64_t k, QuantizedRows out) {
  HWY_DYNAMIC_DISPATCH(QuantizeRows)(x, rows, k, out);
}
void SimdQuantGemv(const QuantLinearArgs& args, int64_t n_begin, int64_t n_end) {
  HWY_DYNAMIC_DISPATCH(QuantGemv)(args, n_begin, n_end);
}

}  // namespace

const QuantKernels& SimdQuantKernels() {
  static const QuantKernels table = {SimdDequantize, SimdQuantizeRows, SimdQuantGemv};
  return table;
}
}  // namespace lastro::kernels
#endif
