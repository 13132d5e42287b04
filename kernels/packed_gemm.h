// Products of many rows with weights that are packed once, when a model is loaded: an encoder's, which only ever meet
// whole texts; and the attention of such texts. Panels of 32 output features hold 13 bits of each weight, signs
// included, on a scale per feature and 128 inputs; x is rounded alike. 128 products of such codes fill the 31 bits of a
// sum, so that sums are exact; those of the groups are added in fp32 in the order of K, so that a row's result does not
// depend on the rows beside it.
//
// What rounding leaves over of the 128 numbers of a group (the root of the sum of its squares) is at most 1.4e-3 of the
// largest of them. Rounded to BF16, that one alone may be off by 2e-3.
//
// The rules of kernels.h hold: pure, thread-safe, trusting, nothing allocated.
#pragma once

#include <cstdint>

#include "kernels/kernels.h"

namespace lastro::kernels {

inline constexpr int64_t kPackedColumns = 32;  // output features of one panel
inline constexpr int64_t kPackedRows = 8;      // rows of x that are stored together
inline constexpr int64_t kPackedGroup = 128;   // inputs that share a scale
inline constexpr float kPackedLimit = 4095;    // the largest code: 128 * 4095^2 < 2^31
constexpr int64_t PackedGroups(int64_t k) { return (k + kPackedGroup - 1) / kPackedGroup; }

// One group of a panel; a panel is PackedGroups(K) of them.
struct alignas(64) PackedWeights {
  float scales[kPackedColumns];
  int16_t codes[kPackedGroup / 2][kPackedColumns][2];  // pairs of inputs that follow each other
};

// x [R, K] in blocks of 8 rows, the last filled up with zeros: value = scale * code.
struct PackedRows {
  int16_t* codes;  // [R / 8, PackedGroups(K), 8, 128]
  float* scales;   // [R / 8, PackedGroups(K), 8]
  int64_t groups;  // PackedGroups(K), or more where these are some of a row's
};

// The blocks of `rows` from block `first` on.
inline PackedRows FromBlock(const PackedRows& rows, int64_t first) {
  const int64_t scales = first * rows.groups * kPackedRows;
  return {rows.codes + scales * kPackedGroup, rows.scales + scales, rows.groups};
}

// Group `group` of each row, as if it were the first.
inline PackedRows FromGroup(const PackedRows& rows, int64_t group) {
  const int64_t scales = group * kPackedRows;
  return {rows.codes + scales * kPackedGroup, rows.scales + scales, rows.groups};
}

struct PackedGemmArgs {
  const PackedWeights* panels;  // [N / 32 rounded up, PackedGroups(K)]
  const float* bias;            // [N] or null
  PackedRows x;                 // [R, K]
  MutRows out;                  // [R, N]
  int64_t rows;                 // R
  int64_t n;                    // N
};

// Attention of all rows of one text among themselves, for one KV head: out = softmax(scale q k^T) v, of the group of
// query heads that it serves. Both products are of integers as above: the vectors of q and k have a scale each, a
// component of v one per 128 tokens, and the largest weight of a query is 15 bits, or fewer where so many are large
// that sums would not fit; results are divided by the sum of what was rounded. A query's result does not depend on the
// queries beside it.
struct RowAttentionArgs {
  ConstRows q;       // [R, group * D]
  ConstRows k, v;    // [R, D]
  MutRows out;       // [R, group * D]
  int64_t rows;      // R, from 1 to kMaxRowAttention
  int64_t group;     // query heads
  int64_t head_dim;  // D: 32 or 64
  float scale;       // > 0
};
inline constexpr int64_t kMaxRowAttention = 512;  // what is packed of as many tokens is on the stack: 160 KB
constexpr bool HasRowAttention(int64_t head_dim) { return head_dim == 32 || head_dim == 64; }

struct PackedGemmKernels {
  // One panel, to [PackedGroups(K)], of `count` features [count, K], at most 32. What is not finite stays so.
  void (*pack_panel)(ConstRows features, int64_t count, int64_t k, PackedWeights* to);
  // Rounds x [R, K] to nearest, into the first PackedGroups(K) of `out`'s groups.
  void (*round_rows)(ConstRows x, int64_t rows, int64_t k, PackedRows out);
  // out = x W^T + bias of the panels [panel_begin, panel_end): the features from 32 panel_begin on.
  void (*gemm)(const PackedGemmArgs& args, int64_t panel_begin, int64_t panel_end);
  // REQUIRES: HasRowAttention(). A number that is not finite leaves none finite of what it has a part in.
  void (*row_attention)(const RowAttentionArgs& args);
};

const PackedGemmKernels& SimdPackedGemmKernels();  // of what may be used now (cpu_features.h)
const PackedGemmKernels& ReferencePackedGemmKernels();

}  // namespace lastro::kernels
