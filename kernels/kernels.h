// Kernels: the arithmetic of a transformer on raw pointers, as one table of functions per implementation. Two exist:
// SIMD (Highway, the best of the machine's instruction sets chosen once per call) and reference (plain loops in
// double).
//
// Every function is pure, thread-safe and trusts its arguments: callers (engine/cpu_backend.cc) check shapes and split
// rows between threads. Nothing is allocated. Pointers need the alignment of their element type only. Unless said
// otherwise outputs must not overlap inputs; "in place" means out == in is allowed.
//
// Letters: R rows, C columns, N output features, K input features, H heads, G KV heads (H % G == 0), D head width,
// T tokens. Strides are in elements.
#pragma once

#include <cstdint>

#include "kernels/kv_layout.h"

namespace lastro::kernels {

enum class DataType {
  kF32,
  kBF16,  // F16 and BF16 as raw uint16_t, host byte order
  kF16,
  kQ4_0,  // from here on blocks of elements: quant.h
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kMXFP4,
};
// kClampedSwiglu (gpt-oss) exists with `up` only: g sigmoid(1.702 g) (u + 1), g = min(gate, 7), u = up within [-7, 7].
enum class ActivationKind { kSilu, kGeluErf, kGeluTanh, kRelu, kClampedSwiglu };
inline constexpr float kSwigluLimit = 7.0f;
inline constexpr float kSwigluAlpha = 1.702f;

// Elementwise maps with a parameter p: p x; x within [-p, p]; p tanh(x / p).
enum class MapKind { kScale, kClamp, kSoftcap };

// A strided matrix of R rows and C columns.
struct ConstRows {
  const float* data;
  int64_t stride;
};
struct MutRows {
  float* data;
  int64_t stride;
};

// W [N, K] row-major without padding, of type F32 or BF16.
struct LinearArgs {
  const void* weights;
  DataType type;
  const float* bias;  // [N] or null
  ConstRows x;        // [R, K]
  MutRows out;        // [R, N]
  int64_t rows;       // R, at most kMaxGemvRows
  int64_t k;          // K
};
inline constexpr int64_t kMaxGemvRows = 4;

// Attention of consecutive query rows of one sequence with one KV head's group of query heads.
struct AttentionArgs {
  KvView cache;
  const int32_t* blocks;  // tokens [i kKvBlock, (i + 1) kKvBlock) of the sequence lie at block blocks[i]
  int64_t kv_head;        // which group: query heads [kv_head * H / G, (kv_head + 1) * H / G)
  int64_t heads;          // H
  ConstRows q;            // [R, H * D]
  MutRows out;            // [R, H * D]
  int64_t rows;           // R
  int64_t position;       // of the first row: with `causal`, row i sees the tokens 0 .. position + i
  int64_t length;         // tokens of the sequence in the cache
  bool causal;
  float scale;

  // What some families add, in this order, after the scale; the defaults add nothing.
  float softcap = 0.0f;  // > 0: score = softcap * tanh(score / softcap)
  // Added to the score of head h, the query at position p and token t, where they see each other:
  // bias[h * bias_stride + t - p], or bias[h * bias_stride + t] with `bias_absolute`. Null: none.
  const float* bias = nullptr;
  int64_t bias_stride = 0;
  bool bias_absolute = false;
  int64_t window = 0;            // > 0: the query at p sees tokens t with |p - t| < window only
  const float* sinks = nullptr;  // [H]: one more score a head in its softmax, of a token without a value

  // Where the CPU has AMX, factors may be rounded to what two BF16 numbers hold, some 16 bits (attention_amx-inl.h).
  // It is worth it from kMinSplitQueries queries on; a query's result then still does not depend on those beside it.
  bool split_bf16 = false;
};
inline constexpr int64_t kMinSplitQueries = 16;
// Query rows times heads of a group that one call may take; longer inputs are split by the caller. Falcon-7B has 71
// heads for one KV head.
inline constexpr int64_t kMaxAttentionQueries = 128;

struct Kernels {
  const char* name;

  // out[i] = in[i], or += with `accumulate`; n elements of `type` at `in`.
  void (*to_f32)(const void* in, DataType type, int64_t n, bool accumulate, float* out);
  // Round to nearest, ties to even; NaN stays NaN. in [R, C], out [R, C] without padding.
  void (*to_bf16)(ConstRows in, int64_t rows, int64_t cols, uint16_t* out);

  // out = x / sqrt(mean(x^2) + eps) * weight. In place.
  void (*rms_norm)(ConstRows x, const float* weight, float eps, int64_t rows, int64_t cols, MutRows out);
  // out = (x - mean) / sqrt(var + eps) * weight + bias (bias may be null). In place.
  void (*layer_norm)(ConstRows x, const float* weight, const float* bias, float eps, int64_t rows, int64_t cols,
                     MutRows out);
  // inout += x.
  void (*add)(ConstRows x, int64_t rows, int64_t cols, MutRows inout);
  // out = f(gate) * up, or f(gate) when up.data is null. In place on either input.
  void (*activate)(ActivationKind kind, ConstRows gate, ConstRows up, int64_t rows, int64_t cols, MutRows out);
  // Rotary positions in place, half-split: the pairs are (x[i], x[i + rotary_dim / 2]) of each head; components from
  // rotary_dim on stay. cos and sin are [R, rotary_dim / 2] without padding.
  void (*rope)(const float* cos, const float* sin, int64_t rows, int64_t heads, int64_t head_dim, int64_t rotary_dim,
               MutRows x);

  // out[:, n_begin:n_end] = x W^T + bias for few rows: each weight is read once.
  void (*gemv)(const LinearArgs& args, int64_t n_begin, int64_t n_end);

  // Writes `rows` tokens (k, v: [R, G * D]) at `position` of the sequence that lies at `blocks`, rounded to the cache's
  // type: to nearest, in fp16 what is too large to the largest; a group of int8 with what is not finite becomes NaN.
  void (*store_kv)(ConstRows k, ConstRows v, int64_t rows, const int32_t* blocks, int64_t position, KvView cache);
  // softmax(scale * q k^T) v, streamed over blocks (Dao et al. 2022, "FlashAttention": running maximum and sum).
  // REQUIRES: rows * heads / kv_heads <= kMaxAttentionQueries; length >= 1, and with `causal` length >= position +
  // rows.
  void (*attention)(const AttentionArgs& args);

  // out [C] = mean over the rows.
  void (*mean_rows)(ConstRows x, int64_t rows, int64_t cols, float* out);
  // log(sum(exp(x))), of n >= 1 numbers; NaN when one is NaN.
  double (*log_sum_exp)(const float* x, int64_t n);
  // x /= max(|x|, 1e-12), each row, in place.
  void (*l2_normalize)(int64_t rows, int64_t cols, MutRows x);
  // Every element through the map, in place.
  void (*map)(MapKind kind, float parameter, int64_t rows, int64_t cols, MutRows inout);
};

const Kernels& SimdKernels();
const Kernels& ReferenceKernels();
// ReferenceKernels() when the environment variable LASTRO_SIMD is "scalar", else SimdKernels(), limited as it says
// (cpu_features.h; read at the first call).
const Kernels& ActiveKernels();

}  // namespace lastro::kernels
