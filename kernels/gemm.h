// Products of many rows in integers. Panels of 32 output features become codes with a scale per 32 inputs, laid out as
// the CPU's integer dot products take them, and meet all rows of x, which are rounded alike: to 8 bits for quantised
// weights where the CPU adds products of bytes up in 32 bits (AVX-512 VNNI), and where it does so in 16 (x86 without
// it) for weights of up to 6 bits, so few of which cannot overflow; to 16 bits otherwise. BF16 weights become 14 bits,
// on a scale that is a power of two: those within 2^-5 of the largest of 32 stay what they are; x then has 14 bits too,
// six more than BF16 would leave of it. Integer sums are exact; groups are added in fp32 in the order of K, so that a
// row's result does not depend on the rows beside it.
//
// On a CPU with AMX tiles multiply: quantised weights in the same codes and the same order, with the results of AVX-512
// VNNI to the last bit; BF16 weights as they are, x rounded to BF16 and sums in fp32.
//
// The rules of kernels.h hold: pure, thread-safe, trusting, nothing allocated. A call uses some 400 KiB of stack, and
// leaves no tiles configured.
#pragma once

#include <cstdint>

#include "kernels/kernels.h"
#include "kernels/quant.h"

namespace lastro::kernels {

inline constexpr int64_t kGemmColumns = 32;   // output features of one panel
inline constexpr int64_t kGemmRows = 8;       // rows of x that are stored together
inline constexpr int64_t kGemmTileRows = 16;  // the same for tiles
constexpr int64_t RowsTogether(RowCode code) { return IsTileCode(code) ? kGemmTileRows : kGemmRows; }

// The left side in blocks of B = RowsTogether() rows, the last filled up with zeros: value = scale of its 32 * code. A
// dword holds the codes of one row that meet one dword of weights.
struct GemmRows {
  // [R / B, padded K / codes in a dword, B] dwords of int16, or of bytes that count from 128; for tiles
  // [R / B, padded K / codes in 64 bytes, B, codes in 64 bytes] of int8 or BF16.
  void* codes;
  float* scales;     // [R / B, padded K / 32, B]; of BF16 there are none
  float* sums;       // [R / B, padded K / 16, B]: of 16 values each; of 14 bits and BF16 nobody asks
  int64_t padded_k;  // PaddedK(K)
};

// The blocks of `rows` from block `first` on.
inline GemmRows FromBlock(const GemmRows& rows, int64_t first, RowCode code) {
  const int64_t values = first * RowsTogether(code) * rows.padded_k;
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
  // Panels that meet a piece of x while it is at hand: no call should get fewer where there are more.
  int64_t panels_together;
};

const GemmKernels& SimdGemmKernels();       // of what may be used now (cpu_features.h)
const GemmKernels& ReferenceGemmKernels();  // never in 8 bits

}  // namespace lastro::kernels
