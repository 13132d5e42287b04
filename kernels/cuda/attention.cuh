// What both attention kernels share: which tokens a tile sees, a score's adjustments, and results. Device code.
#pragma once

#include "kernels/cuda/attention.h"
#include "kernels/cuda/elements.cuh"

namespace lastro::kernels::cuda {

// AttentionArgs of element type T, as a kernel takes them.
template <typename T>
struct TypedAttention {
  const T* q;
  int64_t q_stride;
  T* out;
  int64_t out_stride;
  const T* k;
  const T* v;
  int kv_heads, head_dim, heads, group;
  const AttentionSequence* sequences;
  const int32_t* tables;
  int block_tokens;
  const QueryTile* tiles;
  int split_tokens;  // of one block of threads; a whole number of kernel tiles
  int splits;
  float* partial;  // [rows, heads, splits, head_dim + 2]: the sum of weighted values, the maximum, the sum of weights
  bool causal;
  float scale, softcap;
  const float* bias;
  int64_t bias_stride;
  bool bias_absolute;
  int window;
  const float* sinks;
};

template <typename T>
TypedAttention<T> Typed(const AttentionArgs& a) {
  const int group = static_cast<int>(a.heads / a.kv.kv_heads);
  const int splits = static_cast<int>(Splits(a.wide, a.max_length));
  return {static_cast<const T*>(a.q.data),
          a.q.stride,
          static_cast<T*>(a.out.data),
          a.out.stride,
          static_cast<const T*>(a.kv.k),
          static_cast<const T*>(a.kv.v),
          static_cast<int>(a.kv.kv_heads),
          static_cast<int>(a.kv.head_dim),
          static_cast<int>(a.heads),
          group,
          a.sequences,
          a.tables,
          static_cast<int>(a.block_tokens),
          a.tiles,
          static_cast<int>(splits == 1 ? a.max_length : kSplitTokens),
          splits,
          a.partial,
          a.causal,
          a.scale,
          a.softcap,
          a.bias,
          a.bias_stride,
          a.bias_absolute,
          static_cast<int>(a.window),
          a.sinks};
}

// A block's share of the work: a tile of queries, one KV head, and the tokens [begin, end).
struct TileWork {
  QueryTile tile;
  AttentionSequence sequence;
  int kv_head, split, begin, end;
};

// Of block (tile, KV head, split).
template <typename T>
__device__ __forceinline__ TileWork WorkOf(const TypedAttention<T>& a) {
  TileWork work;
  work.tile = a.tiles[blockIdx.x];
  work.sequence = a.sequences[work.tile.sequence];
  work.kv_head = blockIdx.y;
  work.split = blockIdx.z;
  const int first = work.sequence.position + work.tile.first / a.group;
  const int last = work.sequence.position + (work.tile.first + work.tile.count - 1) / a.group;
  int begin = 0, end = work.sequence.length;
  if (a.causal) end = min(end, last + 1);
  if (a.window > 0) {
    begin = max(begin, first - a.window + 1);
    end = min(end, last + a.window);
  }
  work.begin = max(begin, work.split * a.split_tokens);
  work.end = min(end, (work.split + 1) * a.split_tokens);
  return work;
}

template <typename T>
__device__ __forceinline__ int64_t SlotOf(const TypedAttention<T>& a, const AttentionSequence& sequence, int token) {
  return static_cast<int64_t>(a.tables[sequence.table + token / a.block_tokens]) * a.block_tokens +
         token % a.block_tokens;
}

// The score of a query of `head` at position p and token t; -infinity where it does not see it.
template <typename T>
__device__ __forceinline__ float Adjusted(const TypedAttention<T>& a, float score, int head, int p, int t, int end) {
  const bool sees = t < end && (!a.causal || t <= p) && (a.window == 0 || abs(p - t) < a.window);
  if (!sees) return -INFINITY;
  score *= a.scale;
  if (a.softcap > 0) score = a.softcap * tanhf(score / a.softcap);
  if (a.bias != nullptr) score += a.bias[head * a.bias_stride + (a.bias_absolute ? t : t - p)];
  return score;
}

// exp(x - max), 0 where the maximum is that of nothing.
__device__ __forceinline__ float Weight(float x, float max) { return max == -INFINITY ? 0.0f : __expf(x - max); }

// What a query's sum is multiplied by in the end, the sink's share counted in.
template <typename T>
__device__ __forceinline__ float OutFactor(const TypedAttention<T>& a, int head, float max, float sum) {
  if (a.sinks == nullptr) return sum > 0 ? 1.0f / sum : 0.0f;
  const float with_sink = fmaxf(max, a.sinks[head]), factor = Weight(max, with_sink);
  return factor / (sum * factor + __expf(a.sinks[head] - with_sink));
}

// Where the partial result of (row, head, split) lies.
template <typename T>
__device__ __forceinline__ float* PartialOf(const TypedAttention<T>& a, int64_t row, int head, int split) {
  return a.partial + ((row * a.heads + head) * a.splits + split) * (a.head_dim + 2);
}

// Row and head of query `i` of a tile.
template <typename T>
__device__ __forceinline__ int64_t RowOf(const TypedAttention<T>& a, const TileWork& work, int i) {
  return work.sequence.first_row + (work.tile.first + i) / a.group;
}
template <typename T>
__device__ __forceinline__ int HeadOf(const TypedAttention<T>& a, const TileWork& work, int i) {
  return work.kv_head * a.group + (work.tile.first + i) % a.group;
}

// In attention_tensor_core.cu.
cudaError_t TensorCoreAttention(const TypedAttention<bf16>& args, int64_t tiles, bool wide, Stream stream);
cudaError_t TensorCoreAttention(const TypedAttention<__half>& args, int64_t tiles, bool wide, Stream stream);

}  // namespace lastro::kernels::cuda
