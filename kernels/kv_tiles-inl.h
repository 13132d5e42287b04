// Keys and values out of the cache's blocks (kv_layout.h), unpacked to fp32 for attention, and into them. Compiled once
// per instruction set, as simd_vectors-inl.h is.
#include "hwy/highway.h"

#if defined(LASTRO_KERNELS_KV_TILES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LASTRO_KERNELS_KV_TILES_INL_H_
#undef LASTRO_KERNELS_KV_TILES_INL_H_
#else
#define LASTRO_KERNELS_KV_TILES_INL_H_
#endif

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "kernels/bfloat16.h"
#include "kernels/kv_layout.h"

HWY_BEFORE_NAMESPACE();
namespace lastro::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Tokens, and components of a head, that are unpacked at once.
constexpr int64_t kTileTokens = 64;
constexpr int64_t kTileDims = 64;
static_assert(kTileDims % kKvGroup == 0, "a group is of one tile");

// At most as many lanes as a block has tokens and a group components.
using TokenTag = hn::CappedTag<float, kKvBlock>;
static_assert(kKvBlock <= kKvGroup);

// Elements of a cache as floats, and back. `scale` is of int8.
template <KvType kType>
struct KvElement;

template <>
struct KvElement<KvType::kF32> {
  using Type = float;
  template <class D>
  static HWY_INLINE hn::Vec<D> Load(D d, const float* from, hn::Vec<D>) {
    return hn::LoadU(d, from);
  }
};

template <>
struct KvElement<KvType::kF16> {
  using Type = hwy::float16_t;
  template <class D>
  static HWY_INLINE hn::Vec<D> Load(D d, const hwy::float16_t* from, hn::Vec<D>) {
    return hn::PromoteTo(d, hn::LoadU(hn::Rebind<hwy::float16_t, D>(), from));
  }
};

template <>
struct KvElement<KvType::kInt8> {
  using Type = int8_t;
  template <class D>
  static HWY_INLINE hn::Vec<D> Load(D d, const int8_t* from, hn::Vec<D> scale) {
    const hn::Rebind<int32_t, D> di;
    return hn::Mul(hn::ConvertTo(d, hn::PromoteTo(di, hn::LoadU(hn::Rebind<int8_t, D>(), from))), scale);
  }
};

template <KvType kType>
HWY_INLINE const float* ScalesOf(const typename KvElement<kType>::Type* codes, int64_t head_dim) {
  return kType == KvType::kInt8 ? reinterpret_cast<const float*>(codes + kKvBlock * head_dim) : nullptr;
}

// The components [first, first + dims) of a block's keys: to[c * kTileTokens + token].
template <KvType kType>
HWY_INLINE void UnpackKeys(const uint8_t* head, int64_t head_dim, int64_t first, int64_t dims, float* to) {
  using Element = KvElement<kType>;
  const auto* codes = reinterpret_cast<const typename Element::Type*>(head);
  const float* scales = ScalesOf<kType>(codes, head_dim);
  const TokenTag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t t = 0; t < kKvBlock; t += lanes) {
    auto scale = hn::Zero(d);
    for (int64_t c = 0; c < dims; ++c) {
      if (kType == KvType::kInt8 && c % kKvGroup == 0) {
        scale = hn::LoadU(d, scales + (first + c) / kKvGroup * kKvBlock + t);
      }
      hn::StoreU(Element::Load(d, codes + (first + c) * kKvBlock + t, scale), d, to + c * kTileTokens + t);
    }
  }
}

// The components [first, first + dims) of a block's first `tokens` values: to[token * kTileDims + c], zero behind the
// last up to whole vectors.
template <KvType kType>
HWY_INLINE void UnpackValues(const uint8_t* head, int64_t head_dim, int64_t first, int64_t dims, int64_t tokens,
                             float* to) {
  using Element = KvElement<kType>;
  const auto* codes = reinterpret_cast<const typename Element::Type*>(head);
  const float* scales = ScalesOf<kType>(codes, head_dim);
  const TokenTag d;
  const hn::CappedTag<float, 1> one;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d)), groups = KvGroups(head_dim);
  for (int64_t t = 0; t < tokens; ++t, to += kTileDims) {
    const auto* row = codes + t * head_dim + first;
    auto scale_of = [&](int64_t c) {
      return kType == KvType::kInt8 ? scales[t * groups + (first + c) / kKvGroup] : 0.0f;
    };
    int64_t c = 0;
    for (; c + lanes <= dims; c += lanes) {
      hn::StoreU(Element::Load(d, row + c, hn::Set(d, scale_of(c))), d, to + c);
    }
    if (c == dims) continue;
    const int64_t padded = c + lanes;
    for (; c < dims; ++c) hn::StoreU(Element::Load(one, row + c, hn::Set(one, scale_of(c))), one, to + c);
    std::fill(to + dims, to + padded, 0.0f);
  }
}

// `n` floats as elements; n <= kKvGroup, and `scale` is what int8 codes are to be multiplied with.
HWY_INLINE void RoundElements(const float* from, int64_t n, float*, float* to) {
  std::memcpy(to, from, static_cast<size_t>(n) * sizeof(float));
}

#if HWY_TARGET <= HWY_AVX2
template <class D>
HWY_INLINE void RoundVector(D d, const float* from, hwy::float16_t* to) {
  const hn::Rebind<hwy::float16_t, D> half;
  const auto value = hn::LoadU(d, from), most = hn::Set(d, kLargestFp16);
  const auto within = hn::IfThenElse(hn::IsNaN(value), value, hn::Clamp(value, hn::Neg(most), most));
  hn::StoreU(hn::DemoteTo(half, within), half, to);
}
#endif
HWY_INLINE void RoundElements(const float* from, int64_t n, float*, hwy::float16_t* to) {
  int64_t i = 0;
#if HWY_TARGET <= HWY_AVX2
  const TokenTag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (; i + lanes <= n; i += lanes) RoundVector(d, from + i, to + i);
  for (; i < n; ++i) RoundVector(hn::CappedTag<float, 1>(), from + i, to + i);
#endif  // elsewhere Highway 1.0 cuts off rather than rounds
  for (; i < n; ++i) {
    const float value = std::isnan(from[i]) ? from[i] : std::clamp(from[i], -kLargestFp16, kLargestFp16);
    to[i].bits = FloatToFp16(value);
  }
}

HWY_INLINE void RoundElements(const float* from, int64_t n, float* scale, int8_t* to) {
  float largest = 0;
  bool finite = true;
  for (int64_t i = 0; i < n; ++i) {
    largest = std::max(largest, std::abs(from[i]));
    finite &= std::isfinite(from[i]);
  }
  *scale = finite ? largest / 127.0f : std::numeric_limits<float>::quiet_NaN();
  const float inverse = finite && largest > 1e-30f ? 127.0f / largest : 0.0f;
  for (int64_t i = 0; i < n; ++i) to[i] = static_cast<int8_t>(finite ? std::lrintf(from[i] * inverse) : 0);
}

// Writes one head's key and value of the token in `slot` of a block.
template <KvType kType>
HWY_INLINE void PackToken(const float* key, const float* value, int64_t head_dim, int64_t slot, uint8_t* keys,
                          uint8_t* values) {
  using Element = typename KvElement<kType>::Type;
  auto *k = reinterpret_cast<Element*>(keys), *v = reinterpret_cast<Element*>(values);
  float* k_scales = const_cast<float*>(ScalesOf<kType>(k, head_dim));
  float* v_scales = const_cast<float*>(ScalesOf<kType>(v, head_dim));
  float scale = 0;
  Element rounded[kKvGroup];
  for (int64_t c = 0; c < head_dim; c += kKvGroup) {
    const int64_t n = std::min(kKvGroup, head_dim - c), group = c / kKvGroup;
    RoundElements(key + c, n, &scale, rounded);
    for (int64_t i = 0; i < n; ++i) k[(c + i) * kKvBlock + slot] = rounded[i];
    if (kType == KvType::kInt8) k_scales[group * kKvBlock + slot] = scale;
    RoundElements(value + c, n, &scale, v + slot * head_dim + c);
    if (kType == KvType::kInt8) v_scales[slot * KvGroups(head_dim) + group] = scale;
  }
}

#if HWY_TARGET != HWY_SCALAR
// to[j][i] = from[i][j] of 8 by 8.
HWY_INLINE void TransposeHalves(const hwy::float16_t* from, int64_t from_stride, hwy::float16_t* to,
                                int64_t to_stride) {
  const hn::CappedTag<uint16_t, 8> d16;
  const hn::CappedTag<uint32_t, 4> d32;
  const hn::CappedTag<uint64_t, 2> d64;
  hn::Vec<decltype(d16)> r[8];
  for (int i = 0; i < 8; ++i) r[i] = hn::LoadU(d16, reinterpret_cast<const uint16_t*>(from + i * from_stride));
  hn::Vec<decltype(d32)> pairs[8];  // pairs[4 h + i]: columns [4 h, 4 h + 4) of the rows 2 i and 2 i + 1
  for (int i = 0; i < 4; ++i) {
    pairs[i] = hn::BitCast(d32, hn::InterleaveLower(d16, r[2 * i], r[2 * i + 1]));
    pairs[4 + i] = hn::BitCast(d32, hn::InterleaveUpper(d16, r[2 * i], r[2 * i + 1]));
  }
  for (int h = 0; h < 8; h += 4) {
    for (int upper = 0; upper < 2; ++upper) {
      auto four = [&](int i) {  // two columns of four rows
        return hn::BitCast(d64, upper == 0 ? hn::InterleaveLower(d32, pairs[h + i], pairs[h + i + 1])
                                           : hn::InterleaveUpper(d32, pairs[h + i], pairs[h + i + 1]));
      };
      const auto low = four(0), high = four(2);
      uint16_t* at = reinterpret_cast<uint16_t*>(to + (h + 2 * upper) * to_stride);
      hn::StoreU(hn::BitCast(d16, hn::InterleaveLower(d64, low, high)), d16, at);
      hn::StoreU(hn::BitCast(d16, hn::InterleaveUpper(d64, low, high)), d16, at + to_stride);
    }
  }
}

// What PackToken does with all tokens of a block, in fp16; k and v begin at the head's first component.
HWY_INLINE void PackBlockOfHalves(const float* k, int64_t k_stride, const float* v, int64_t v_stride, int64_t head_dim,
                                  uint8_t* keys, uint8_t* values) {
  auto *to_keys = reinterpret_cast<hwy::float16_t*>(keys), *to_values = reinterpret_cast<hwy::float16_t*>(values);
  HWY_ALIGN hwy::float16_t rounded[kKvBlock][kKvGroup];
  for (int64_t first = 0; first < head_dim; first += kKvGroup) {
    const int64_t n = std::min(kKvGroup, head_dim - first), whole = n / 8 * 8;
    for (int64_t t = 0; t < kKvBlock; ++t) {
      RoundElements(k + t * k_stride + first, n, nullptr, rounded[t]);
      RoundElements(v + t * v_stride + first, n, nullptr, to_values + t * head_dim + first);
    }
    for (int64_t t = 0; t < kKvBlock; t += 8) {
      for (int64_t c = 0; c < whole; c += 8) {
        TransposeHalves(&rounded[t][c], kKvGroup, to_keys + (first + c) * kKvBlock + t, kKvBlock);
      }
    }
    for (int64_t c = whole; c < n; ++c) {
      for (int64_t t = 0; t < kKvBlock; ++t) to_keys[(first + c) * kKvBlock + t] = rounded[t][c];
    }
  }
}
#endif

}  // namespace HWY_NAMESPACE
}  // namespace lastro::kernels
HWY_AFTER_NAMESPACE();

#endif
