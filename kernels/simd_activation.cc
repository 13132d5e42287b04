// Kernels that need exponentials, in SIMD: activation functions and the normaliser of a softmax.
#include <cmath>
#include <cstdint>

#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd_activation.cc"
// foreach_target.h comes first.
// clang-format off
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"
#include "kernels/simd_vectors-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace lastro::kernels {
namespace HWY_NAMESPACE {

// 1 / (1 + exp(-x)); exp's argument is capped where the quotient is zero in fp32 anyway.
HWY_INLINE VF32 Sigmoid(F32 d, VF32 x) {
  const VF32 e = hn::Exp(d, hn::Min(hn::Neg(x), hn::Set(d, 88.0f)));
  return hn::Div(hn::Set(d, 1.0f), hn::Add(hn::Set(d, 1.0f), e));
}

// 1 / x to an ulp or two, x neither zero, infinite nor subnormal: a step of Newton's takes less than a division.
HWY_INLINE VF32 Reciprocal(F32 d, VF32 x) {
  const VF32 near = hn::ApproximateReciprocal(x);
  return hn::Mul(near, hn::NegMulAdd(x, near, hn::Set(d, 2.0f)));
}

// erf on [-4, 4] (it is +-1 in fp32 beyond) as x P(x^2) / Q(x^2), the minimax fit used by Eigen and XLA; a few ulp.
HWY_INLINE VF32 Erf(F32 d, VF32 x) {
  x = hn::Max(hn::Min(x, hn::Set(d, 4.0f)), hn::Set(d, -4.0f));
  const VF32 x2 = hn::Mul(x, x);
  VF32 p = hn::Set(d, -2.72614225801306e-10f);
  for (float c : {2.77068142495902e-08f, -2.10102402082508e-06f, -5.69250639462346e-05f, -7.34990630326855e-04f,
                  -2.95459980854025e-03f, -1.60960333262415e-02f}) {
    p = hn::MulAdd(p, x2, hn::Set(d, c));
  }
  VF32 q = hn::Set(d, -1.45660718464996e-05f);
  for (float c : {-2.13374055278905e-04f, -1.68282697438203e-03f, -7.37332916720468e-03f, -1.42647390514189e-02f}) {
    q = hn::MulAdd(q, x2, hn::Set(d, c));
  }
  return hn::Mul(hn::Mul(x, p), Reciprocal(d, q));
}

HWY_INLINE VF32 GeluErf(F32 d, VF32 x) {
  const VF32 erf = Erf(d, hn::Mul(x, hn::Set(d, 0.70710678118654752f)));
  const VF32 gelu = hn::Mul(hn::Mul(hn::Set(d, 0.5f), x), hn::Add(hn::Set(d, 1.0f), erf));
  // Below -6 erf is -1, but for an ulp on some CPUs; of an infinity comes NaN all the same.
  return hn::IfThenElse(hn::Lt(x, hn::Set(d, -6.0f)), hn::Mul(x, hn::Zero(d)), gelu);
}

// 0.5 (1 + tanh(u)) = sigmoid(2u), u = sqrt(2 / pi) (x + 0.044715 x^3).
HWY_INLINE VF32 GeluTanh(F32 d, VF32 x) {
  const VF32 cube = hn::Mul(hn::Mul(x, x), x);
  const VF32 u = hn::MulAdd(hn::Set(d, 0.044715f), cube, x);
  return hn::Mul(x, Sigmoid(d, hn::Mul(hn::Set(d, 2.0f * 0.79788456080286536f), u)));
}

template <class F>
HWY_INLINE void ActivateRows(ConstRows gate, ConstRows up, int64_t rows, int64_t cols, MutRows out, F f) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* g = gate.data + r * gate.stride;
    float* to = out.data + r * out.stride;
    if (up.data != nullptr) {
      Transform2(g, up.data + r * up.stride, cols, to, [f](VF32 a, VF32 b) { return hn::Mul(f(a), b); });
    } else {
      Transform2(g, g, cols, to, [f](VF32 a, VF32) { return f(a); });
    }
  }
}

void ClampedSwiglu(ConstRows gate, ConstRows up, int64_t rows, int64_t cols, MutRows out) {
  const F32 d;
  const VF32 limit = hn::Set(d, kSwigluLimit), alpha = hn::Set(d, kSwigluAlpha), one = hn::Set(d, 1.0f);
  for (int64_t r = 0; r < rows; ++r) {
    Transform2(gate.data + r * gate.stride, up.data + r * up.stride, cols, out.data + r * out.stride,
               [=](VF32 g, VF32 u) {
                 g = hn::Min(g, limit);
                 u = hn::Max(hn::Min(u, limit), hn::Neg(limit));
                 return hn::Mul(hn::Mul(g, Sigmoid(d, hn::Mul(alpha, g))), hn::Add(u, one));
               });
  }
}

void Activate(ActivationKind kind, ConstRows gate, ConstRows up, int64_t rows, int64_t cols, MutRows out) {
  const F32 d;
  switch (kind) {
    case ActivationKind::kSilu:
      return ActivateRows(gate, up, rows, cols, out, [d](VF32 x) { return hn::Mul(x, Sigmoid(d, x)); });
    case ActivationKind::kGeluErf:
      return ActivateRows(gate, up, rows, cols, out, [d](VF32 x) { return GeluErf(d, x); });
    case ActivationKind::kGeluTanh:
      return ActivateRows(gate, up, rows, cols, out, [d](VF32 x) { return GeluTanh(d, x); });
    case ActivationKind::kRelu:
      return ActivateRows(gate, up, rows, cols, out, [d](VF32 x) { return hn::Max(x, hn::Zero(d)); });
    case ActivationKind::kClampedSwiglu:
      return ClampedSwiglu(gate, up, rows, cols, out);
  }
}

template <class F>
HWY_INLINE void MapRows(int64_t rows, int64_t cols, MutRows inout, F f) {
  for (int64_t r = 0; r < rows; ++r) {
    float* row = inout.data + r * inout.stride;
    Transform2(row, row, cols, row, [f](VF32 x, VF32) { return f(x); });
  }
}

void Map(MapKind kind, float parameter, int64_t rows, int64_t cols, MutRows inout) {
  const F32 d;
  const VF32 p = hn::Set(d, parameter), inverse = hn::Set(d, 1.0f / parameter);
  switch (kind) {
    case MapKind::kScale:
      return MapRows(rows, cols, inout, [p](VF32 x) { return hn::Mul(p, x); });
    case MapKind::kClamp:
      return MapRows(rows, cols, inout, [p](VF32 x) { return hn::Max(hn::Min(x, p), hn::Neg(p)); });
    case MapKind::kSoftcap:
      return MapRows(rows, cols, inout,
                     [d, p, inverse](VF32 x) { return hn::Mul(p, hn::Tanh(d, hn::Mul(x, inverse))); });
  }
}

double LogSumExp(const float* x, int64_t n) {
  float best = x[0];
  for (int64_t i = 1; i < n; ++i) best = x[i] > best ? x[i] : best;
  const F32 d;
  const VF32 center = hn::Set(d, best);
  // Partial sums of a thousand terms in fp32, their total in double.
  constexpr int64_t kPart = 1024;
  double sum = 0;
  for (int64_t i = 0; i < n; i += kPart) {
    sum += SumOf(x + i, n - i < kPart ? n - i : kPart, [d, center](VF32 v) {
      const VF32 c = hn::Sub(v, center);
      return hn::IfThenElse(hn::IsNaN(c), c, hn::Exp(d, c));  // Exp alone gives 0 for NaN
    });
  }
  return best + std::log(sum);
}

}  // namespace HWY_NAMESPACE
}  // namespace lastro::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lastro::kernels {
HWY_EXPORT(Activate);
HWY_EXPORT(LogSumExp);
HWY_EXPORT(Map);
namespace simd {
void Activate(ActivationKind kind, ConstRows gate, ConstRows up, int64_t rows, int64_t cols, MutRows out) {
  HWY_DYNAMIC_DISPATCH(Activate)(kind, gate, up, rows, cols, out);
}
void Map(MapKind kind, float parameter, int64_t rows, int64_t cols, MutRows inout) {
  HWY_DYNAMIC_DISPATCH(Map)(kind, parameter, rows, cols, inout);
}
double LogSumExp(const float* x, int64_t n) { return HWY_DYNAMIC_DISPATCH(LogSumExp)(x, n); }
}  // namespace simd
}  // namespace lastro::kernels
#endif
