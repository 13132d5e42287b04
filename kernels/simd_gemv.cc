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

HWY_INLINE VF32 LoadWeights(F32 d, const float* p) { return hn::LoadU(d, p); }
HWY_INLINE VF32 LoadWeights(F32 d, const uint16_t* p) {
  return hn::PromoteTo(d, hn::LoadU(hn::Rebind<hwy::bfloat16_t, F32>(), reinterpret_cast<const hwy::bfloat16_t*>(p)));
}
HWY_INLINE float WeightAt(const float* p) { return *p; }
HWY_INLINE float WeightAt(const uint16_t* p) { return Bf16ToFloat(*p); }

// kN output features (rows of W from `w`) times kR rows of x.
template <int kN, int kR, typename W>
HWY_INLINE void Tile(const W* w, const LinearArgs& args, int64_t n) {
  const F32 d;
  const hn::CappedTag<float, 1> one;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t k_count = args.k;
  VF32 sums[kN][kR];
  for (auto& row : sums) {
    for (VF32& sum : row) sum = hn::Zero(d);
  }
  int64_t k = 0;
  for (; k + lanes <= k_count; k += lanes) {
    VF32 x[kR];
    for (int r = 0; r < kR; ++r) x[r] = hn::LoadU(d, args.x.data + r * args.x.stride + k);
    for (int i = 0; i < kN; ++i) {
      const W* at = w + i * k_count + k;
      __builtin_prefetch(at + kN * k_count, 0, 2);  // what the next tile needs: the hardware stops at a page's end
      const VF32 weight = LoadWeights(d, at);
      for (int r = 0; r < kR; ++r) sums[i][r] = hn::MulAdd(weight, x[r], sums[i][r]);
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
  constexpr int kN = kR == 1 ? 8 : 4;  // enough independent sums to hide the latency of an FMA
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
