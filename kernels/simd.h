// The SIMD kernels behind SimdKernels(): each chooses the machine's best instruction set and runs. Contracts:
// kernels.h.
#pragma once

#include "kernels/kernels.h"

namespace lastro::kernels::simd {

void ToF32(const void* in, DataType type, int64_t n, bool accumulate, float* out);
void ToBf16(ConstRows in, int64_t rows, int64_t cols, uint16_t* out);
void RmsNorm(ConstRows x, const float* weight, float eps, int64_t rows, int64_t cols, MutRows out);
void LayerNorm(ConstRows x, const float* weight, const float* bias, float eps, int64_t rows, int64_t cols, MutRows out);
void Add(ConstRows x, int64_t rows, int64_t cols, MutRows inout);
void Activate(ActivationKind kind, ConstRows gate, ConstRows up, int64_t rows, int64_t cols, MutRows out);
void Rope(const float* cos, const float* sin, int64_t rows, int64_t heads, int64_t head_dim, int64_t rotary_dim,
          MutRows x);
void Gemv(const LinearArgs& args, int64_t n_begin, int64_t n_end);
void StoreKv(ConstRows k, ConstRows v, int64_t rows, const int32_t* blocks, int64_t position, KvView cache);
void Attention(const AttentionArgs& args);
void MeanRows(ConstRows x, int64_t rows, int64_t cols, float* out);
double LogSumExp(const float* x, int64_t n);
void L2Normalize(int64_t rows, int64_t cols, MutRows x);
void Map(MapKind kind, float parameter, int64_t rows, int64_t cols, MutRows inout);

}  // namespace lastro::kernels::simd
