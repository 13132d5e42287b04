// Matrix times one to four vectors: bound by the weights' bytes, so each is read once and meets all rows of x.
#include "kernels/bfloat16.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd_gemv.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/simd_vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lastro::kernels {
namespace HWY_NAMESPACE {

// Vector `half` of the two that begin at p: of weights, and of x to meet them. Both come in the same order, which is
// that in memory but for BF16 below 512 bits: there zeros are put between numbers, within 128 bits, which costs less
// than to widen and to shift them.
HWY_INLINE VF32 InOrder(F32 d, const float* p, int half) { return hn::LoadU(d, p + half * hn::Lanes(d)); }
HWY_INLINE VF32 LoadWeights(F32 d, const float* p, int half) { return InOrder(d, p, half); }
#if (HWY_MAX_BYTES == 16 || HWY_MAX_BYTES == 32) && HWY_TARGET != HWY_SCALAR
HWY_INLINE VF32 LoadWeights(F32 d, const uint16_t* p, int half) {
  const hn::Repartition<uint16_t, F32> du;
  const auto numbers = hn::LoadU(du, p), zero = hn::Zero(du);
  return hn::BitCast(d, half == 0 ? hn::InterleaveLower(du, zero, numbers) : hn::InterleaveUpper(du, zero, numbers));
}
#else
HWY_INLINE VF32 LoadWeights(F32 d, const uint16_t* p, int half) {
  const hn::Rebind<hwy::bfloat16_t, F32> d16;
  return hn::PromoteTo(d, hn::LoadU(d16, reinterpret_cast<const hwy::bfloat16_t*>(p) + half * hn::Lanes(d)));
}
#endif
template <typename W>
HWY_INLINE VF32 LoadX(F32 d, const float* p, int half) {
#if HWY_MAX_BYTES == 32
  if constexpr (sizeof(W) == 2) {
    const hn::Half<F32> d4;
    return hn::Combine(d, hn::LoadU(d4, p + 4 * half + 8), hn::LoadU(d4, p + 4 * half));
  }
#endif
  return InOrder(d, p, half);
}
HWY_INLINE float WeightAt(const float* p) { return *p; }
HWY_INLINE float WeightAt(const uint16_t* p) { return Bf16ToFloat(*p); }

// kN output features (rows of W from `w`) times kR rows of x.
template <int kN, int kR, typename W>
HWY_INLINE void Tile(const W* w, const LinearArgs& args, int64_t n) {
  const F32 d;
  const hn::CappedTag<float, 1> one;
  const int64_t step = 2 * static_cast<int64_t>(hn::Lanes(d)), k_count = args.k;
  VF32 sums[kN][kR];
  for (auto& row : sums) {
    for (VF32& sum : row) sum = hn::Zero(d);
  }
  int64_t k = 0;
  for (; k + step <= k_count; k += step) {
    // What the next tile needs: the hardware stops at a page's end.
    for (int i = 0; i < kN; ++i) __builtin_prefetch(w + (kN + i) * k_count + k, 0, 2);
    for (int half = 0; half < 2; ++half) {
      VF32 x[kR];
      for (int r = 0; r < kR; ++r) x[r] = LoadX<W>(d, args.x.data + r * args.x.stride + k, half);
      for (int i = 0; i < kN; ++i) {
        const VF32 weights = LoadWeights(d, w + i * k_count + k, half);
        for (int r = 0; r < kR; ++r) sums[i][r] = hn::MulAdd(weights, x[r], sums[i][r]);
      }
    }
  }
  for (int i = 0; i < kN; ++i) {
    for (int r = 0; r < kR; ++r) {
      // One lane, so that the same multiply-add is used whatever kR is.
      auto rest = hn::Set(one, Sum(d, sums[i][r]));
      for (int64_t t = k; t < k_count; ++t) {
        rest = hn::MulAdd(hn::Set(one, WeightAt(w + i * k_count + t)), hn::Set(one, args.x.data[r * args.x.stride + t]),
                          rest);
      }
      const float sum = hn::GetLane(rest);
      args.out.data[r * args.out.stride + n + i] = sum + (args.bias != nullptr ? args.bias[n + i] : 0.0f);
    }
  }
}

template <int kR, typename W>
HWY_INLINE void GemvRows(const LinearArgs& args, int64_t n_begin, int64_t n_end) {
  // Enough independent sums to hide the latency of an FMA, and no more than there are registers for.
  constexpr int kN = HWY_MAX_BYTES < 64 ? 3 : kR == 1 ? 8 : 4;
  const W* w = static_cast<const W*>(args.weights);
  int64_t n = n_begin;
  for (; n + kN <= n_end; n += kN) Tile<kN, kR, W>(w + n * args.k, args, n);
  for (; n < n_end; ++n) Tile<1, kR, W>(w + n * args.k, args, n);
}

template <typename W>
HWY_INLINE void GemvOf(const LinearArgs& args, int64_t n_begin, int64_t n_end) {
  switch (args.rows) {
    case 1:
      return GemvRows<1, W>(args, n_begin, n_end);
    case 2:
      return GemvRows<2, W>(args, n_begin, n_end);
    case 3:
      return GemvRows<3, W>(args, n_begin, n_end);
    case 4:
      return GemvRows<4, W>(args, n_begin, n_end);
  }
}

void Gemv(const LinearArgs& args, int64_t n_begin, int64_t n_end) {
  if (args.type == DataType::kF32) return GemvOf<float>(args, n_begin, n_end);
  GemvOf<uint16_t>(args, n_begin, n_end);
}

}  // namespace HWY_NAMESPACE
}  // namespace lastro::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lastro::kernels {
HWY_EXPORT(Gemv);
namespace simd {
void Gemv(const LinearArgs& args, int64_t n_begin, int64_t n_end) { HWY_DYNAMIC_DISPATCH(Gemv)(args, n_begin, n_end); }
}  // namespace simd
}  // namespace lastro::kernels
#endif
