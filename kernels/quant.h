// Quantised weights: blocks of small integers with shared scales, multiplied as they are. One table of functions per
// implementation, as in kernels.h, whose rules (pure, thread-safe, trusting, nothing allocated) hold here too. Blocks
// need no alignment.
//
// Layouts (https://github.com/ggml-org/ggml, ggml-common.h; MXFP4: OCP Microscaling Formats 1.0). d and m are F16,
// little endian; element i of a block is
//   Q8_0  32: d, int8 q[32]                        d * q[i]
//   Q4_0  32: d, nibbles[16]                       d * (q[i] - 8); elements 0-15 are the low nibbles, 16-31 the high
//   Q4_1  32: d, m, nibbles[16]                    d * q[i] + m
//   Q5_0  32: d, u32 high bits, nibbles[16]        d * (q[i] - 16), bit i of `high` being q[i]'s fifth
//   Q5_1  32: d, m, u32 high bits, nibbles[16]     d * q[i] + m
//   MXFP4 32: u8 e, nibbles[16]                    2^(e - 128) * {0, 1, 2, 3, 4, 6, 8, 12, and their negatives}[q[i]]
//   Q4_K 256: d, m, scales[12], nibbles[128]       d * s[i / 32] * q[i] - m * t[i / 32]; s and t are the 6-bit numbers
//             of `scales`; 32 bytes hold 64 elements, the first 32 in their low nibbles
//   Q5_K 256: d, m, scales[12], high[32], nibbles[128]   as Q4_K; bit j of high[i % 32] is the fifth of element 32 j +
//   i Q6_K 256: low[128], high[64], int8 s[16], d    d * s[i / 16] * (q[i] - 32); of each half of 128 elements, 64
//   bytes
//             hold the low nibbles (first 64 elements low, last 64 high), 32 bytes four pairs of high bits
//   Q2_K 256: scales[16], pairs[64], d, m          d * (scales[i / 16] & 15) * q[i] - m * (scales[i / 16] >> 4)
//   Q3_K 256: high[32], pairs[64], scales[12], d   d * (s[i / 16] - 32) * (q[i] - 4 unless the high bit is set)
#pragma once

#include <cstdint>

#include "kernels/kernels.h"

namespace lastro::kernels {

// Elements and bytes of one block; plain types have blocks of one element.
struct BlockShape {
  int64_t elements;
  int64_t bytes;
};
constexpr BlockShape ShapeOf(DataType type) {
  switch (type) {
    case DataType::kF32:
      return {1, 4};
    case DataType::kBF16:
    case DataType::kF16:
      return {1, 2};
    case DataType::kQ4_0:
      return {32, 18};
    case DataType::kQ4_1:
      return {32, 20};
    case DataType::kQ5_0:
      return {32, 22};
    case DataType::kQ5_1:
      return {32, 24};
    case DataType::kQ8_0:
      return {32, 34};
    case DataType::kQ2_K:
      return {256, 84};
    case DataType::kQ3_K:
      return {256, 110};
    case DataType::kQ4_K:
      return {256, 144};
    case DataType::kQ5_K:
      return {256, 176};
    case DataType::kQ6_K:
      return {256, 210};
    case DataType::kMXFP4:
      return {32, 17};
  }
  return {1, 1};
}
constexpr bool IsQuantized(DataType type) { return ShapeOf(type).elements > 1; }
// Bytes of `cols` elements. REQUIRES: whole blocks.
constexpr int64_t RowBytes(DataType type, int64_t cols) { return cols / ShapeOf(type).elements * ShapeOf(type).bytes; }

// What the left side of a product is rounded to, on a scale per 32 values. 16 bits are far finer than the weights' own
// error; 8 bits are what CPUs multiply fastest; 14 bits are for weights of 14 bits, as 32 products of them, signs
// included, fill the 31 bits of a sum (gemm.h). AMX's tiles take 8 bits, and BF16 as it is, without scales.
enum class RowCode { kInt8, kInt14, kInt16, kTileInt8, kTileBf16 };
constexpr bool IsTileCode(RowCode code) { return code == RowCode::kTileInt8 || code == RowCode::kTileBf16; }
constexpr int64_t BytesOf(RowCode code) { return code == RowCode::kInt8 || code == RowCode::kTileInt8 ? 1 : 2; }
// The largest code. REQUIRES: not kTileBf16.
constexpr float LimitOf(RowCode code) {
  return BytesOf(code) == 1 ? 127.0f : code == RowCode::kInt14 ? 8191.0f : 32767.0f;
}

// The left side: value = scales[k / 32] * codes[k]. Rows are padded with zeros to whole chunks of 256.
struct QuantizedRows {
  void* codes;      // [R, padded K] int8 or int16
  int32_t* starts;  // [R, padded K / 4], of int8 only: -128 times the sum of 4 codes
  float* scales;    // [R, padded K / 32]
  float* sums;      // [R, padded K / 16]: the sum of 16 values, scaled
  int64_t padded_k;
};
inline constexpr int64_t kQuantGroup = 32;
inline constexpr int64_t kQuantChunk = 256;
inline constexpr int64_t kQuantSumGroup = 16;
constexpr int64_t PaddedK(int64_t k) { return (k + kQuantChunk - 1) / kQuantChunk * kQuantChunk; }

struct QuantLinearArgs {
  const void* weights;  // [N, K] blocks
  DataType type;
  const float* bias;  // [N] or null
  QuantizedRows x;    // [R, K]
  MutRows out;        // [R, N]
  int64_t rows;       // R, at most kMaxGemvRows
  int64_t k;          // K, whole blocks
};

struct QuantKernels {
  RowCode code;  // of QuantizedRows; kInt8 or kInt16
  // out[i] = element i, or += with `accumulate`; n is a whole number of blocks.
  void (*dequantize)(const void* blocks, DataType type, int64_t n, bool accumulate, float* out);
  // Rounds x [R, K], K a multiple of 32, to nearest.
  void (*quantize_rows)(ConstRows x, int64_t rows, int64_t k, QuantizedRows out);
  // out[:, n_begin:n_end] = x W^T + bias for few rows.
  void (*quant_gemv)(const QuantLinearArgs& args, int64_t n_begin, int64_t n_end);
};

const QuantKernels& SimdQuantKernels();  // 16 bits
const QuantKernels& FastQuantKernels();  // 8 bits on a CPU with AVX2 or more, otherwise SimdQuantKernels()
const QuantKernels& ReferenceQuantKernels();
// The implementation that goes with `kernels`.
inline const QuantKernels& QuantKernelsOf(const Kernels& kernels) {
  return &kernels == &ReferenceKernels() ? ReferenceQuantKernels() : SimdQuantKernels();
}

// Twice the values of MXFP4's codes.
inline constexpr int8_t kMxfp4Values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

}  // namespace lastro::kernels
