// Row-wise SIMD kernels: conversions, norms, sums, rotary positions, pooling.
#include <algorithm>
#include <cmath>

#include "kernels/bfloat16.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd_rows.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/simd_vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lastro::kernels {
namespace HWY_NAMESPACE {

template <class LoadF>
HWY_INLINE void Convert(int64_t n, bool accumulate, float* out, LoadF load, float (*scalar)(const void*, int64_t),
                        const void* in) {
  const F32 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  if (accumulate) {
    for (; i + lanes <= n; i += lanes) hn::StoreU(hn::Add(load(d, i), hn::LoadU(d, out + i)), d, out + i);
    for (; i < n; ++i) out[i] += scalar(in, i);
    return;
  }
  for (; i + lanes <= n; i += lanes) hn::StoreU(load(d, i), d, out + i);
  for (; i < n; ++i) out[i] = scalar(in, i);
}

float ScalarF32(const void* in, int64_t i) { return static_cast<const float*>(in)[i]; }
float ScalarBf16(const void* in, int64_t i) { return Bf16ToFloat(static_cast<const uint16_t*>(in)[i]); }
float ScalarFp16(const void* in, int64_t i) { return Fp16ToFloat(static_cast<const uint16_t*>(in)[i]); }

#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
HWY_INLINE void Fp16ToF32(const hwy::float16_t* p, int64_t n, bool accumulate, float* out) {
  Convert(
      n, accumulate, out,
      [p](F32 d, int64_t i) { return hn::PromoteTo(d, hn::LoadU(hn::Rebind<hwy::float16_t, F32>(), p + i)); },
      ScalarFp16, p);
}
#else
// Without F16C Highway's emulation turns infinities and NaN into numbers.
HWY_INLINE void Fp16ToF32(const hwy::float16_t* p, int64_t n, bool accumulate, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = ScalarFp16(p, i) + (accumulate ? out[i] : 0.0f);
}
#endif

void ToF32(const void* in, DataType type, int64_t n, bool accumulate, float* out) {
  if (type == DataType::kF32) {
    const float* p = static_cast<const float*>(in);
    return Convert(
        n, accumulate, out, [p](F32 d, int64_t i) { return hn::LoadU(d, p + i); }, ScalarF32, in);
  }
  if (type == DataType::kBF16) {
    auto p = static_cast<const hwy::bfloat16_t*>(in);
    return Convert(
        n, accumulate, out,
        [p](F32 d, int64_t i) { return hn::PromoteTo(d, hn::LoadU(hn::Rebind<hwy::bfloat16_t, F32>(), p + i)); },
        ScalarBf16, in);
  }
  Fp16ToF32(static_cast<const hwy::float16_t*>(in), n, accumulate, out);
}

HWY_INLINE void RowToBf16(const float* in, int64_t n, uint16_t* out) {
  const F32 d;
  const hn::Rebind<uint16_t, F32> d16;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(ToBf16Bits(d, hn::LoadU(d, in + i)), d16, out + i);
  for (; i < n; ++i) out[i] = FloatToBf16(in[i]);
}

void ToBf16(ConstRows in, int64_t rows, int64_t cols, uint16_t* out) {
  for (int64_t r = 0; r < rows; ++r) RowToBf16(in.data + r * in.stride, cols, out + r * cols);
}

void RmsNorm(ConstRows x, const float* weight, float eps, int64_t rows, int64_t cols, MutRows out) {
  const F32 d;
  for (int64_t r = 0; r < rows; ++r) {
    const float* in = x.data + r * x.stride;
    float squares = SumOf(in, cols, [](VF32 v) { return hn::Mul(v, v); });
    const VF32 factor = hn::Set(d, 1.0f / std::sqrt(squares / static_cast<float>(cols) + eps));
    Transform2(in, weight, cols, out.data + r * out.stride,
               [factor](VF32 v, VF32 w) { return hn::Mul(hn::Mul(v, factor), w); });
  }
}

void LayerNorm(ConstRows x, const float* weight, const float* bias, float eps, int64_t rows, int64_t cols,
               MutRows out) {
  const F32 d;
  for (int64_t r = 0; r < rows; ++r) {
    const float* in = x.data + r * x.stride;
    float* to = out.data + r * out.stride;
    const float count = static_cast<float>(cols);
    const float mean = SumOf(in, cols, [](VF32 v) { return v; }) / count;
    const VF32 center = hn::Set(d, mean);
    // Two passes: the one-pass formula loses digits. Padding is avoided by SumOf's scalar tail.
    float squares = SumOf(in, cols, [center](VF32 v) {
      const VF32 c = hn::Sub(v, center);
      return hn::Mul(c, c);
    });
    const VF32 factor = hn::Set(d, 1.0f / std::sqrt(squares / count + eps));
    Transform2(in, weight, cols, to,
               [factor, center](VF32 v, VF32 w) { return hn::Mul(hn::Mul(hn::Sub(v, center), factor), w); });
    if (bias != nullptr) Transform2(to, bias, cols, to, [](VF32 v, VF32 b) { return hn::Add(v, b); });
  }
}

void Add(ConstRows x, int64_t rows, int64_t cols, MutRows inout) {
  for (int64_t r = 0; r < rows; ++r) {
    float* to = inout.data + r * inout.stride;
    Transform2(x.data + r * x.stride, to, cols, to, [](VF32 a, VF32 b) { return hn::Add(a, b); });
  }
}

HWY_INLINE void RotateHead(const float* cos, const float* sin, int64_t half, float* head) {
  const F32 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= half; i += lanes) {
    const VF32 c = hn::LoadU(d, cos + i), s = hn::LoadU(d, sin + i);
    const VF32 a = hn::LoadU(d, head + i), b = hn::LoadU(d, head + half + i);
    hn::StoreU(hn::Sub(hn::Mul(a, c), hn::Mul(b, s)), d, head + i);
    hn::StoreU(hn::Add(hn::Mul(b, c), hn::Mul(a, s)), d, head + half + i);
  }
  for (; i < half; ++i) {
    const float a = head[i], b = head[half + i];
    head[i] = a * cos[i] - b * sin[i];
    head[half + i] = b * cos[i] + a * sin[i];
  }
}

void Rope(const float* cos, const float* sin, int64_t rows, int64_t heads, int64_t head_dim, int64_t rotary_dim,
          MutRows x) {
  const int64_t half = rotary_dim / 2;
  for (int64_t r = 0; r < rows; ++r) {
    float* row = x.data + r * x.stride;
    for (int64_t h = 0; h < heads; ++h) RotateHead(cos + r * half, sin + r * half, half, row + h * head_dim);
  }
}

void MeanRows(ConstRows x, int64_t rows, int64_t cols, float* out) {
  std::fill(out, out + cols, 0.0f);
  const F32 d;
  const VF32 factor = hn::Set(d, 1.0f / static_cast<float>(rows));
  for (int64_t r = 0; r < rows; ++r) {
    Transform2(x.data + r * x.stride, out, cols, out,
               [factor](VF32 v, VF32 sum) { return hn::MulAdd(v, factor, sum); });
  }
}

void L2Normalize(int64_t rows, int64_t cols, MutRows x) {
  const F32 d;
  for (int64_t r = 0; r < rows; ++r) {
    float* row = x.data + r * x.stride;
    float norm = std::sqrt(SumOf(row, cols, [](VF32 v) { return hn::Mul(v, v); }));
    const VF32 factor = hn::Set(d, 1.0f / std::max(norm, 1e-12f));
    Transform2(row, row, cols, row, [factor](VF32 v, VF32) { return hn::Mul(v, factor); });
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace lastro::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lastro::kernels {
HWY_EXPORT(ToF32);
HWY_EXPORT(ToBf16);
HWY_EXPORT(RmsNorm);
HWY_EXPORT(LayerNorm);
HWY_EXPORT(Add);
HWY_EXPORT(Rope);
HWY_EXPORT(MeanRows);
HWY_EXPORT(L2Normalize);

namespace simd {
void ToF32(const void* in, DataType type, int64_t n, bool accumulate, float* out) {
  HWY_DYNAMIC_DISPATCH(ToF32)(in, type, n, accumulate, out);
}
void ToBf16(ConstRows in, int64_t rows, int64_t cols, uint16_t* out) {
  HWY_DYNAMIC_DISPATCH(ToBf16)(in, rows, cols, out);
}
void RmsNorm(ConstRows x, const float* weight, float eps, int64_t rows, int64_t cols, MutRows out) {
  HWY_DYNAMIC_DISPATCH(RmsNorm)(x, weight, eps, rows, cols, out);
}
void LayerNorm(ConstRows x, const float* weight, const float* bias, float eps, int64_t rows, int64_t cols,
               MutRows out) {
  HWY_DYNAMIC_DISPATCH(LayerNorm)(x, weight, bias, eps, rows, cols, out);
}
void Add(ConstRows x, int64_t rows, int64_t cols, MutRows inout) { HWY_DYNAMIC_DISPATCH(Add)(x, rows, cols, inout); }
void Rope(const float* cos, const float* sin, int64_t rows, int64_t heads, int64_t head_dim, int64_t rotary_dim,
          MutRows x) {
  HWY_DYNAMIC_DISPATCH(Rope)(cos, sin, rows, heads, head_dim, rotary_dim, x);
}
void MeanRows(ConstRows x, int64_t rows, int64_t cols, float* out) {
  HWY_DYNAMIC_DISPATCH(MeanRows)(x, rows, cols, out);
}
void L2Normalize(int64_t rows, int64_t cols, MutRows x) { HWY_DYNAMIC_DISPATCH(L2Normalize)(rows, cols, x); }
}  // namespace simd

const Kernels& SimdKernels() {
  static const Kernels table = {"simd",          simd::ToF32,    simd::ToBf16,    simd::RmsNorm,     simd::LayerNorm,
                                simd::Add,       simd::Activate, simd::Rope,      simd::Gemv,        simd::StoreKv,
                                simd::Attention, simd::MeanRows, simd::LogSumExp, simd::L2Normalize, simd::Map};
  return table;
}
}  // namespace lastro::kernels
#endif
