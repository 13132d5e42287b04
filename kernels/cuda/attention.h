// Attention over a paged KV store, and the store's writes. See matrix.h for what holds of every launcher.
//
// A layer of the store holds one row of G * D elements a token slot, for K and for V; slot s is token s % block_tokens
// of block s / block_tokens. Two kernels: on tensor cores for bf16 and fp16 (Dao 2023, "FlashAttention-2"), on plain
// ones for fp32 and for head widths that those do not take. Both take tiles of queries, a query being one row and one
// head of the group that shares a KV head, so that a decoding step reads each key once for the whole group; where
// sequences are long and rows few, the tokens are split into runs of kSplitTokens, whatever else is in the batch, and
// merged after.
#pragma once

#include "kernels/cuda/matrix.h"

namespace lastro::kernels::cuda {

struct KvLayer {
  void* k = nullptr;  // [slots, G * D]
  void* v = nullptr;
  DataType type = DataType::kF32;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
};

// Rows of k and v [R, G * D] into the slots [R] (device memory).
cudaError_t StoreKv(Matrix k, Matrix v, const int32_t* slots, KvLayer store, Stream stream);

// Rotary positions of q, in place, and of k on its way into the slots, with v: qkv is [R, (H + 2 G) * D]; cos and sin
// [R, rotary_dim / 2] as in Rope (row_kernels.h).
cudaError_t RotateAndStoreKv(const float* cos, const float* sin, int64_t rotary_dim, Matrix qkv, const int32_t* slots,
                             KvLayer store, Stream stream);

// One sequence of a packed batch.
struct AttentionSequence {
  int32_t first_row = 0;
  int32_t position = 0;  // of its first row
  int32_t length = 0;    // tokens in the store
  int32_t table = 0;     // where its block table begins in `tables`
};

// Queries [first, first + count) of a sequence; query i is row i / (H / G) and head i % (H / G) of the group.
struct QueryTile {
  int32_t sequence = 0;
  int32_t first = 0;
  int32_t count = 0;
};

struct AttentionArgs {
  Matrix q;    // [R, H * D]
  Matrix out;  // [R, H * D], of q's type
  KvLayer kv;  // of q's type
  int64_t heads = 0;
  const AttentionSequence* sequences = nullptr;  // device memory, as all below
  const int32_t* tables = nullptr;               // block numbers
  int64_t block_tokens = 0;
  const QueryTile* tiles = nullptr;  // at most MaxTileQueries() each
  int64_t tile_count = 0;
  bool wide = false;         // tiles of many rows: tokens are not split
  int64_t max_length = 0;    // of the tiles' sequences
  float* partial = nullptr;  // PartialFloats(), null where tokens are not split

  bool causal = true;
  float scale = 1.0f;
  float softcap = 0.0f;  // as kernels::AttentionArgs from here on
  const float* bias = nullptr;
  int64_t bias_stride = 0;
  bool bias_absolute = false;
  int64_t window = 0;
  const float* sinks = nullptr;
};

// Tokens that one block of threads passes over where tokens are split.
inline constexpr int64_t kSplitTokens = 512;
inline constexpr int64_t kMaxHeadDim = 512;  // REQUIRES: D at most this

bool OnTensorCores(DataType type, int64_t head_dim);
// Queries of one tile.
int64_t MaxTileQueries(DataType type, int64_t head_dim, bool wide);
int64_t Splits(bool wide, int64_t max_length);
// Scratch of a call whose tokens are split: [R, H, splits, D + 2].
int64_t PartialFloats(int64_t rows, int64_t heads, int64_t head_dim, bool wide, int64_t max_length);

cudaError_t Attention(const AttentionArgs& args, Stream stream);

}  // namespace lastro::kernels::cuda
