// Products of many rows in integers. Panels of 32 output features become codes with a scale per 32 inputs, laid out as
// the CPU's integer dot products take them, and meet all rows of x, which are rounded alike: to 8 bits where the CPU
// multiplies bytes (AVX-512 VNNI) and the weights are quantised, to 16 bits otherwise. BF16 weights become 14 bits, on
// a scale that is a power of two: those within 2^-5 of the largest of 32 stay what they are; x then has 14 bits too,
// six more than BF16 would leave of it. Integer sums are exact; groups are added in fp32 in the order of K, so that a
// row's result does not depend on the rows beside it.
//
// The rules of kernels.h hold: pure, thread-safe, trusting, nothing allocated. A call uses some 170 KiB of stack.
#pragma once

#include <cstdint>

#include "kernels/kernels.h"
#include "kernels/quant.h"

namespace lastro::kernels {

inline constexpr int64_t kGemmColumns = 32;  // output features of one panel
inline constexpr int64_t kGemmRows = 8;      // rows of x that are stored together

// The left side in blocks of kGemmRows rows, the last filled up with zeros: value = scale of its 32 * code. A dword
// holds the codes of one row that meet one dword of weights.
struct GemmRows {
  void* codes;       // [R / 8, padded K / codes in a dword, 8] dwords of int16, or of bytes that count from 128
  float* scales;     // [R / 8, padded K / 32, 8]
  float* sums;       // [R / 8, padded K / 16, 8]: of 16 values each; of 14 bits nobody asks
  int64_t padded_k;  // PaddedK(K)
};

// The blocks of `rows` from block `first` on.
inline GemmRows FromBlock(const GemmRows& rows, int64_t first, RowCode code) {
  const int64_t values = first * kGemmRows * rows.padded_k;
  return {static_cast<uint8_t*>(rows.codes) + values * BytesOf(code), rows.scales + values / kQuantGroup,
          rows.sums + values / kQuantSumGroup, rows.padded_k};
}

struct GemmArgs {
  const void* weights;  // [N, K]: blocks, or BF16 without padding
  DataType type;        // quantised, or BF16
  const float* bias;    // [N] or null
  GemmRows x;           // [R, K], rounded for `type`
  MutRows out;          // [R, N]
  int64_t rows;         // R
  int64_t n;            // N
  int64_t k;            // K, whole blocks
};

struct GemmKernels {
  // What x must be rounded to for weights of `type`.
  RowCode (*code_for)(DataType type);
  // Rounds x [R, K] to nearest.
  void (*round_rows)(ConstRows x, int64_t rows, int64_t k, RowCode code, GemmRows out);
  // out = x W^T + bias of the panels [panel_begin, panel_end): the features from 32 panel_begin on.
  void (*gemm)(const GemmArgs& args, int64_t panel_begin, int64_t panel_end);
};

const GemmKernels& SimdGemmKernels();
const GemmKernels& ReferenceGemmKernels();  // never kInt8

}  // namespace lastro::kernels
