// Helpers of the SIMD kernels, compiled once per instruction set (included after HWY_BEFORE_NAMESPACE-style target
// selection, as Highway's own -inl.h files are). Tails go through a small zero-filled buffer, so that no kernel reads
// or writes past its rows.
#include "hwy/highway.h"

#if defined(LASTRO_KERNELS_SIMD_VECTORS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LASTRO_KERNELS_SIMD_VECTORS_INL_H_
#undef LASTRO_KERNELS_SIMD_VECTORS_INL_H_
#else
#define LASTRO_KERNELS_SIMD_VECTORS_INL_H_
#endif

#include <cstdint>
#include <cstring>

HWY_BEFORE_NAMESPACE();
namespace lastro::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F32 = hn::ScalableTag<float>;
using VF32 = hn::Vec<F32>;

// The first `n` < Lanes(d) elements at `p`; the other lanes are zero.
HWY_INLINE VF32 LoadTail(F32 d, const float* p, int64_t n) {
  HWY_ALIGN float buffer[HWY_MAX_BYTES / sizeof(float)] = {};
  std::memcpy(buffer, p, static_cast<size_t>(n) * sizeof(float));
  return hn::Load(d, buffer);
}
HWY_INLINE void StoreTail(VF32 value, F32 d, float* p, int64_t n) {
  HWY_ALIGN float buffer[HWY_MAX_BYTES / sizeof(float)];
  hn::Store(value, d, buffer);
  std::memcpy(p, buffer, static_cast<size_t>(n) * sizeof(float));
}

// Rounded to nearest, ties to even; NaN stays NaN.
template <class D>
HWY_INLINE hn::Vec<hn::Rebind<uint16_t, D>> ToBf16Bits(D d, hn::Vec<D> value) {
  const hn::RebindToUnsigned<D> du;
  const auto bits = hn::BitCast(du, value);
  const auto upper = hn::ShiftRight<16>(bits);
  const auto odd = hn::And(upper, hn::Set(du, 1));
  const auto rounded = hn::ShiftRight<16>(hn::Add(bits, hn::Add(odd, hn::Set(du, 0x7FFF))));
  const auto quiet = hn::Or(upper, hn::Set(du, 0x40));
  const auto chosen = hn::IfThenElse(hn::RebindMask(du, hn::IsNaN(value)), quiet, rounded);
  return hn::DemoteTo(hn::Rebind<uint16_t, D>(), hn::BitCast(hn::RebindToSigned<D>(), chosen));
}

// 2^(by x), to 2^-22 of it where that is a normal number; otherwise anything.
template <class D>
HWY_INLINE hn::Vec<D> PowerOfTwo(D d, hn::Vec<D> x, hn::Vec<D> by) {
  const auto shift = hn::Set(d, 12582912.0f);  // a whole number comes to be in the low bits of the mantissa
  const auto shifted = hn::MulAdd(x, by, shift);
  const auto rest = hn::MulSub(x, by, hn::Sub(shifted, shift));  // in [-1/2, 1/2]
  // 2^rest, the polynomial of least relative error (9e-8) that is 1 at 0.
  auto power = hn::Set(d, 0.00132647881f);
  power = hn::MulAdd(power, rest, hn::Set(d, 0.00967151253f));
  power = hn::MulAdd(power, rest, hn::Set(d, 0.0555073355f));
  power = hn::MulAdd(power, rest, hn::Set(d, 0.240222421f));
  power = hn::MulAdd(power, rest, hn::Set(d, 0.693146978f));
  power = hn::MulAdd(power, rest, hn::Set(d, 1.0f));
  const hn::RebindToSigned<D> di;
  const auto exponent = hn::ShiftLeft<23>(hn::BitCast(di, shifted));
  return hn::BitCast(d, hn::Add(hn::BitCast(di, power), exponent));
}

HWY_INLINE float Sum(F32 d, VF32 v) { return hn::GetLane(hn::SumOfLanes(d, v)); }

// out[i] = f(a[i], b[i]); `out` may be `a` or `b`.
template <class F>
HWY_INLINE void Transform2(const float* a, const float* b, int64_t n, float* out, F f) {
  const F32 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(f(hn::LoadU(d, a + i), hn::LoadU(d, b + i)), d, out + i);
  if (i < n) StoreTail(f(LoadTail(d, a + i, n - i), LoadTail(d, b + i, n - i)), d, out + i, n - i);
}

// Sum of f(a[i]) where f(0) counts as zero (the tail is padded with zeros).
template <class F>
HWY_INLINE float SumOf(const float* a, int64_t n, F f) {
  const F32 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  VF32 sum0 = hn::Zero(d), sum1 = hn::Zero(d);
  int64_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    sum0 = hn::Add(sum0, f(hn::LoadU(d, a + i)));
    sum1 = hn::Add(sum1, f(hn::LoadU(d, a + i + lanes)));
  }
  for (; i + lanes <= n; i += lanes) sum0 = hn::Add(sum0, f(hn::LoadU(d, a + i)));
  float sum = Sum(d, hn::Add(sum0, sum1));
  for (; i < n; ++i) sum += hn::GetLane(f(hn::Set(d, a[i])));
  return sum;
}

}  // namespace HWY_NAMESPACE
}  // namespace lastro::kernels
HWY_AFTER_NAMESPACE();

#endif
