// Quantised products of few rows: a chunk of 256 weights is unpacked once into 8-bit codes with their scales (one
// function per format), and meets up to four rows of activations, rounded to 16 bits, in integer dot products. Chunks
// of several rows of weights are unpacked before the first is used: what was just stored is slow to load.
#include <algorithm>
#include <cstring>

#include "kernels/cpu_features.h"
#include "kernels/quant.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd_quant.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/quant_formats-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lastro::kernels {
namespace HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR
const QuantKernels& Precise() { return ReferenceQuantKernels(); }
const QuantKernels& Fast() { return ReferenceQuantKernels(); }
#else

template <class Format>
HWY_NOINLINE void DequantizeOf(const uint8_t* blocks, int64_t n, bool accumulate, float* out) {
  const hn::CappedTag<float, 16> d;
  const hn::Rebind<int32_t, decltype(d)> di;
  const hn::Rebind<int8_t, decltype(d)> d8;
  const int64_t chunk_bytes = RowBytes(Format::kType, kQuantChunk);
  Chunk chunk;
  for (int64_t begin = 0; begin < n; begin += kQuantChunk, blocks += chunk_bytes, out += kQuantChunk) {
    const int64_t elements = HWY_MIN(kQuantChunk, n - begin);
    Format::Unpack(blocks, elements, &chunk);
    for (int64_t i = 0; i < elements; i += static_cast<int64_t>(hn::Lanes(d))) {
      const auto codes = hn::ConvertTo(d, hn::PromoteTo(di, hn::LoadU(d8, chunk.codes + i)));
      auto values = hn::Mul(codes, hn::Set(d, chunk.scales[i / Format::kGroup]));
      if (Format::kMinima) values = hn::Sub(values, hn::Set(d, chunk.minima[i / 16]));
      if (accumulate) values = hn::Add(values, hn::LoadU(d, out + i));
      hn::StoreU(values, d, out + i);
    }
  }
}

void Dequantize(const void* blocks, DataType type, int64_t n, bool accumulate, float* out) {
  WithFormat(type, [&](auto format) {
    DequantizeOf<decltype(format)>(static_cast<const uint8_t*>(blocks), n, accumulate, out);
  });
}

using VSum = hn::Vec<hn::CappedTag<float, 16>>;
HWY_INLINE VSum NoSum() { return hn::Zero(hn::CappedTag<float, 16>()); }
HWY_INLINE float Total(VSum sum) { return hn::GetLane(hn::SumOfLanes(hn::CappedTag<float, 16>(), sum)); }

// The products of one group, as integers that add up to their sum. 16 of them fill a vector of 8 at most.
template <int64_t kGroup>
HWY_INLINE hn::Vec<hn::CappedTag<float, kGroup / 2>> DotGroup(const int8_t* codes, const int16_t* x) {
  const hn::CappedTag<int16_t, kGroup> d;
  const hn::RepartitionToWide<decltype(d)> dw;
  const hn::Rebind<int8_t, decltype(d)> d8;
  auto sum0 = hn::Zero(dw), sum1 = hn::Zero(dw);
  for (size_t i = 0; i < kGroup; i += hn::Lanes(d)) {
    const auto weights = hn::PromoteTo(d, hn::LoadU(d8, codes + i));
    sum0 = hn::ReorderWidenMulAccumulate(dw, weights, hn::LoadU(d, x + i), sum0, sum1);
  }
  return hn::ConvertTo(hn::CappedTag<float, kGroup / 2>(), hn::Add(sum0, sum1));
}

HWY_INLINE VSum Widen(hn::Vec<hn::CappedTag<float, 16>> v) { return v; }
#if HWY_TARGET == HWY_AVX3
HWY_INLINE VSum Widen(hn::Vec<hn::CappedTag<float, 8>> v) {
  return hn::ZeroExtendVector(hn::CappedTag<float, 16>(), v);
}
#endif

template <class Format>
HWY_INLINE void DotChunk(const Chunk& chunk, int64_t elements, const QuantizedRows& x, int64_t at, VSum& sum) {
  constexpr int64_t kGroup = Format::kGroup;
  const hn::CappedTag<float, kGroup / 2> d;
  const int16_t* codes = static_cast<const int16_t*>(x.codes) + at;
  const float* scales = x.scales + at / kQuantGroup;
  auto even = hn::Zero(d), odd = hn::Zero(d);
  for (int64_t g = 0; g < elements / kGroup; ++g) {
    const auto scale = hn::Set(d, chunk.scales[g] * scales[g * kGroup / kQuantGroup]);
    auto& to = g % 2 == 0 ? even : odd;
    to = hn::MulAdd(DotGroup<kGroup>(chunk.codes + g * kGroup, codes + g * kGroup), scale, to);
  }
  sum = hn::Add(sum, Widen(hn::Add(even, odd)));
}

HWY_INLINE void QuantizeGroup(const float* x, int64_t at, const QuantizedRows& out) {
  out.scales[at / kQuantGroup] =
      RoundGroup(x, LimitOf(RowCode::kInt16), static_cast<int16_t*>(out.codes) + at, out.sums + at / kQuantSumGroup);
}

// Minima times the sums of x, of a chunk.
HWY_INLINE void DotMinima(const float* minima, const float* x_sums, hn::Vec<hn::CappedTag<float, 16>>& sum) {
  const hn::CappedTag<float, 16> d;
  for (size_t i = 0; i < 16; i += hn::Lanes(d)) {
    sum = hn::MulAdd(hn::LoadU(d, minima + i), hn::LoadU(d, x_sums + i), sum);
  }
}

// Features [n, n + kN) for kR rows of x.
template <class Format, int kN, int kR>
HWY_INLINE void Outputs(const QuantLinearArgs& args, int64_t n) {
  const hn::CappedTag<float, 16> dm;
  const int64_t row_bytes = RowBytes(Format::kType, args.k), padded = args.x.padded_k;
  const uint8_t* w = static_cast<const uint8_t*>(args.weights) + n * row_bytes;
  VSum sums[kN][kR];
  hn::Vec<decltype(dm)> minima[kN][kR];
  for (int i = 0; i < kN; ++i) {
    for (int r = 0; r < kR; ++r) {
      sums[i][r] = NoSum();
      minima[i][r] = hn::Zero(dm);
    }
  }
  Chunk chunks[kN];
  if (args.k % kQuantChunk != 0) std::memset(chunks, 0, sizeof(chunks));  // what is behind K must be finite
  for (int64_t k = 0; k < args.k; k += kQuantChunk) {
    const int64_t elements = HWY_MIN(kQuantChunk, args.k - k);
    for (int i = 0; i < kN; ++i) {
      const uint8_t* blocks = w + i * row_bytes + RowBytes(Format::kType, k);
      FetchAhead(blocks + kN * row_bytes, RowBytes(Format::kType, kQuantChunk));
      Format::Unpack(blocks, elements, &chunks[i]);
    }
    for (int i = 0; i < kN; ++i) {
      for (int r = 0; r < kR; ++r) {
        const int64_t at = r * padded + k;
        DotChunk<Format>(chunks[i], elements, args.x, at, sums[i][r]);
        if (Format::kMinima) DotMinima(chunks[i].minima, args.x.sums + at / kQuantSumGroup, minima[i][r]);
      }
    }
  }
  for (int i = 0; i < kN; ++i) {
    for (int r = 0; r < kR; ++r) {
      float sum = Total(sums[i][r]);
      if (Format::kMinima) sum -= hn::GetLane(hn::SumOfLanes(dm, minima[i][r]));
      args.out.data[r * args.out.stride + n + i] = sum + (args.bias != nullptr ? args.bias[n + i] : 0.0f);
    }
  }
}

template <class Format, int kR>
HWY_NOINLINE void GemvRows(const QuantLinearArgs& args, int64_t n_begin, int64_t n_end) {
  constexpr int kN = kR <= 2 ? 4 : 2;
  int64_t n = n_begin;
  for (; n + kN <= n_end; n += kN) Outputs<Format, kN, kR>(args, n);
  for (; n < n_end; ++n) Outputs<Format, 1, kR>(args, n);
}

void QuantGemv(const QuantLinearArgs& args, int64_t n_begin, int64_t n_end) {
  WithFormat(args.type, [&](auto format) {
    using Format = decltype(format);
    switch (args.rows) {
      case 1:
        return GemvRows<Format, 1>(args, n_begin, n_end);
      case 2:
        return GemvRows<Format, 2>(args, n_begin, n_end);
      case 3:
        return GemvRows<Format, 3>(args, n_begin, n_end);
      default:
        return GemvRows<Format, 4>(args, n_begin, n_end);
    }
  });
}

void QuantizeRows(ConstRows x, int64_t rows, int64_t k, QuantizedRows out) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < k; i += kQuantGroup) QuantizeGroup(x.data + r * x.stride + i, r * out.padded_k + i, out);
    const int64_t rest = r * out.padded_k + k, count = out.padded_k - k;
    std::fill_n(static_cast<int16_t*>(out.codes) + rest, count, int16_t{0});
    std::fill_n(out.scales + rest / kQuantGroup, count / kQuantGroup, 0.0f);
    std::fill_n(out.sums + rest / kQuantSumGroup, count / kQuantSumGroup, 0.0f);
  }
}

const QuantKernels& Precise() {
  static const QuantKernels table = {RowCode::kInt16, Dequantize, QuantizeRows, QuantGemv};
  return table;
}
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
namespace bytes {
#define LASTRO_VNNI 0
#include "kernels/avx2_gemv-inl.h"
#undef LASTRO_VNNI
#include "kernels/gemv_rows-inl.h"
}  // namespace bytes
#else
const QuantKernels& Fast() { return Precise(); }
#endif

#endif  // HWY_TARGET != HWY_SCALAR

}  // namespace HWY_NAMESPACE
}  // namespace lastro::kernels
HWY_AFTER_NAMESPACE();

#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
// Highway 1.0 has no targets with just these extensions.
#if HWY_TARGET == HWY_AVX2
HWY_PUSH_ATTRIBUTES(HWY_TARGET_STR ",avxvnni")
#else
HWY_PUSH_ATTRIBUTES(HWY_TARGET_STR ",avx512vnni")
#endif
namespace lastro::kernels {
namespace HWY_NAMESPACE {
namespace vnni {
#if HWY_TARGET == HWY_AVX2
#define LASTRO_VNNI 1
#include "kernels/avx2_gemv-inl.h"
#undef LASTRO_VNNI
#else
#include "kernels/vnni_gemv-inl.h"
#endif
#include "kernels/gemv_rows-inl.h"
}  // namespace vnni
const QuantKernels& Fast() {
  static const QuantKernels plain = {RowCode::kInt8, Dequantize, bytes::QuantizeRows, bytes::QuantGemv};
  static const QuantKernels fast = {RowCode::kInt8, Dequantize, vnni::QuantizeRows, vnni::QuantGemv};
  return VnniInUse() == (HWY_TARGET == HWY_AVX3 ? Vnni::kAvx512 : Vnni::kAvx) ? fast : plain;
}
}  // namespace HWY_NAMESPACE
}  // namespace lastro::kernels
HWY_POP_ATTRIBUTES
#endif

#if HWY_ONCE
namespace lastro::kernels {
HWY_EXPORT(Precise);
HWY_EXPORT(Fast);
const QuantKernels& SimdQuantKernels() { return HWY_DYNAMIC_DISPATCH(Precise)(); }
const QuantKernels& FastQuantKernels() { return HWY_DYNAMIC_DISPATCH(Fast)(); }
}  // namespace lastro::kernels
#endif
