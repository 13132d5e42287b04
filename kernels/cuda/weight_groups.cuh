// Groups of 32 consecutive elements of a row of weights, of every stored type, as floats: kernels/quant.h has the
// layouts. Rows of blocks begin at even addresses. Device code.
#pragma once

#include "kernels/cuda/elements.cuh"
#include "kernels/quant.h"

namespace lastro::kernels::cuda {

inline constexpr int kGroup = 32;

__device__ __forceinline__ unsigned Load16(const uint8_t* p) { return *reinterpret_cast<const uint16_t*>(p); }
__device__ __forceinline__ float HalfAt(const uint8_t* p) {
  return __half2float(__ushort_as_half(static_cast<unsigned short>(Load16(p))));
}

// Calls body(j, byte j) for 32 bytes at an even address.
template <typename Body>
__device__ __forceinline__ void ForBytes(const uint8_t* p, int count, Body body) {
#pragma unroll
  for (int j = 0; j < count; j += 2) {
    const unsigned pair = Load16(p + j);
    body(j, pair & 0xff);
    body(j + 1, pair >> 8);
  }
}

// Blocks of 32 elements in 16 bytes of nibbles: w[j] = value(j, nibble).
template <typename Value>
__device__ __forceinline__ void FromNibbles(const uint8_t* nibbles, Value value, float (&w)[kGroup]) {
  ForBytes(nibbles, 16, [&](int j, unsigned byte) {
    w[j] = value(j, static_cast<int>(byte & 15));
    w[j + 16] = value(j + 16, static_cast<int>(byte >> 4));
  });
}

// Scale and minimum of a sub-block of Q4_K and Q5_K: 6 bits each.
__device__ __forceinline__ void SubScales(const uint8_t* scales, int sub, int* scale, int* minimum) {
  if (sub < 4) {
    *scale = scales[sub] & 63;
    *minimum = scales[sub + 4] & 63;
  } else {
    *scale = (scales[sub + 4] & 15) | (scales[sub - 4] >> 6 << 4);
    *minimum = scales[sub + 4] >> 4 | (scales[sub] >> 6 << 4);
  }
}

// Group `index` of a row. kQuantized types only.
template <DataType kType>
__device__ __forceinline__ void LoadGroup(const uint8_t* row, int64_t index, float (&w)[kGroup]) {
  constexpr BlockShape kShape = ShapeOf(kType);
  constexpr int kGroups = static_cast<int>(kShape.elements / kGroup);  // of a block
  const uint8_t* block = row + index / kGroups * kShape.bytes;
  // Of the large blocks: which group, and of each half of 128 elements which quarter.
  const int sub = static_cast<int>(index % kGroups), half = sub / 4, quarter = sub % 4;
  if constexpr (kType == DataType::kQ8_0) {
    const float d = HalfAt(block);
    ForBytes(block + 2, 32, [&](int j, unsigned byte) { w[j] = d * static_cast<int8_t>(byte); });
  } else if constexpr (kType == DataType::kQ4_0) {
    const float d = HalfAt(block);
    FromNibbles(
        block + 2, [&](int, int q) { return d * (q - 8); }, w);
  } else if constexpr (kType == DataType::kQ4_1) {
    const float d = HalfAt(block), m = HalfAt(block + 2);
    FromNibbles(
        block + 4, [&](int, int q) { return d * q + m; }, w);
  } else if constexpr (kType == DataType::kQ5_0) {
    const float d = HalfAt(block);
    const unsigned high = Load16(block + 2) | Load16(block + 4) << 16;
    FromNibbles(
        block + 6, [&](int j, int q) { return d * ((q | static_cast<int>(high >> j & 1) << 4) - 16); }, w);
  } else if constexpr (kType == DataType::kQ5_1) {
    const float d = HalfAt(block), m = HalfAt(block + 2);
    const unsigned high = Load16(block + 4) | Load16(block + 6) << 16;
    FromNibbles(
        block + 8, [&](int j, int q) { return d * (q | static_cast<int>(high >> j & 1) << 4) + m; }, w);
  } else if constexpr (kType == DataType::kMXFP4) {
    // 2^(e - 128); of the two smallest exponents a subnormal.
    const unsigned e = block[0];
    const float d = __uint_as_float(e < 2 ? 0x00200000u << e : (e - 1) << 23);
#pragma unroll
    for (int j = 0; j < 16; ++j) {  // blocks of 17 bytes have no alignment
      const int nibbles[2] = {block[1 + j] & 15, block[1 + j] >> 4};
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int magnitude = nibbles[i] & 7;
        const int value = magnitude < 5 ? magnitude : magnitude < 7 ? 2 * magnitude - 4 : 12;
        w[j + 16 * i] = d * (nibbles[i] > 7 ? -value : value);
      }
    }
  } else if constexpr (kType == DataType::kQ4_K || kType == DataType::kQ5_K) {
    constexpr bool kFive = kType == DataType::kQ5_K;
    int scale, minimum;
    SubScales(block + 4, sub, &scale, &minimum);
    const float d = HalfAt(block) * scale, m = HalfAt(block + 2) * minimum;
    const uint8_t* nibbles = block + (kFive ? 48 : 16) + sub / 2 * 32;
    ForBytes(nibbles, 32, [&](int j, unsigned byte) {
      int q = static_cast<int>(byte >> sub % 2 * 4 & 15);
      if constexpr (kFive) q |= (block[16 + j] >> sub & 1) << 4;
      w[j] = d * q - m;
    });
  } else if constexpr (kType == DataType::kQ6_K) {
    const float d = HalfAt(block + 208);
    const float scales[2] = {d * static_cast<int8_t>(block[192 + sub * 2]),
                             d * static_cast<int8_t>(block[193 + sub * 2])};
    const uint8_t *low = block + half * 64 + quarter % 2 * 32, *high = block + 128 + half * 32;
    ForBytes(low, 32, [&](int j, unsigned byte) {
      const int q = static_cast<int>(byte >> quarter / 2 * 4 & 15) | (high[j] >> 2 * quarter & 3) << 4;
      w[j] = scales[j / 16] * (q - 32);
    });
  } else if constexpr (kType == DataType::kQ2_K) {
    const float d = HalfAt(block + 80), m = HalfAt(block + 82);
    const unsigned scales = Load16(block + sub * 2);
    ForBytes(block + 16 + half * 32, 32, [&](int j, unsigned byte) {
      const unsigned scale = scales >> j / 16 * 8;
      w[j] = d * (scale & 15) * (byte >> 2 * quarter & 3) - m * (scale >> 4 & 15);
    });
  } else if constexpr (kType == DataType::kQ3_K) {
    const float d = HalfAt(block + 108);
    float scales[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int at = sub * 2 + i;  // of 16
      const int low = block[96 + at % 8] >> at / 8 * 4 & 15, high = block[104 + at % 4] >> at / 4 * 2 & 3;
      scales[i] = d * ((low | high << 4) - 32);
    }
    ForBytes(block + 32 + half * 32, 32, [&](int j, unsigned byte) {
      const int q = static_cast<int>(byte >> 2 * quarter & 3) - ((block[j] >> sub & 1) != 0 ? 0 : 4);
      w[j] = scales[j / 16] * q;
    });
  } else {
    static_assert(kType == DataType::kQ8_0, "not a type of blocks");
  }
}

// The stored element of a type that has no blocks.
template <DataType kType>
struct PlainElement;
template <>
struct PlainElement<DataType::kF32> {
  using type = float;
};
template <>
struct PlainElement<DataType::kBF16> {
  using type = bf16;
};
template <>
struct PlainElement<DataType::kF16> {
  using type = __half;
};

// Calls f(integral constant of the type).
template <typename F>
cudaError_t WithStoredType(DataType type, F f) {
#define LASTRO_STORED_TYPE(name) \
  case DataType::name:           \
    return f(std::integral_constant<DataType, DataType::name>())
  switch (type) {
    LASTRO_STORED_TYPE(kF32);
    LASTRO_STORED_TYPE(kBF16);
    LASTRO_STORED_TYPE(kF16);
    LASTRO_STORED_TYPE(kQ4_0);
    LASTRO_STORED_TYPE(kQ4_1);
    LASTRO_STORED_TYPE(kQ5_0);
    LASTRO_STORED_TYPE(kQ5_1);
    LASTRO_STORED_TYPE(kQ8_0);
    LASTRO_STORED_TYPE(kQ2_K);
    LASTRO_STORED_TYPE(kQ3_K);
    LASTRO_STORED_TYPE(kQ4_K);
    LASTRO_STORED_TYPE(kQ5_K);
    LASTRO_STORED_TYPE(kQ6_K);
    LASTRO_STORED_TYPE(kMXFP4);
  }
#undef LASTRO_STORED_TYPE
  return cudaErrorInvalidValue;
}

}  // namespace lastro::kernels::cuda
