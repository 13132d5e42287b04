#include "kernels/block_quantizer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/bfloat16.h"
#include "kernels/quant.h"

namespace lastro::kernels {
namespace {

// How far, in codes, the searched scales reach beyond and within the one that maps the largest value to the last code.
constexpr float kReach = 1.5f;
constexpr float kStep = 0.125f;
constexpr int kSmallestHalfExponent = -24;

int Round(float value, int low, int high) { return std::clamp(static_cast<int>(std::lrint(value)), low, high); }

// `value` rounded to F16 at `out`; gives the rounded value. A number too small for F16 becomes the smallest, so that
// its codes still count.
float StoreHalf(float value, uint8_t* out) {
  uint16_t half = FloatToFp16(value);
  if (half == 0 && value > 0) half = FloatToFp16(std::ldexp(1.0f, kSmallestHalfExponent));
  std::memcpy(out, &half, sizeof(half));
  return Fp16ToFloat(half);
}

float LargestMagnitude(const float* x, int n) {
  float largest = 0;
  for (int i = 0; i < n; ++i) {
    if (std::abs(x[i]) > std::abs(largest)) largest = x[i];
  }
  return largest;
}

// The s for which s * q, q a code in [low, high], is nearest to x; negative where the largest value is positive, for it
// then gets the code `low`, which is farther from zero.
float FitScale(const float* x, int n, int low, int high) {
  const float extreme = LargestMagnitude(x, n);
  if (extreme == 0) return 0;
  float best = extreme / static_cast<float>(low), best_gain = -1;
  for (float delta = -kReach; delta <= kReach; delta += kStep) {
    const float inverse = (static_cast<float>(low) + delta) / extreme;
    float xq = 0, qq = 0;
    for (int i = 0; i < n; ++i) {
      const float q = static_cast<float>(Round(x[i] * inverse, low, high));
      xq += x[i] * q;
      qq += q * q;
    }
    if (qq == 0 || xq * xq / qq <= best_gain) continue;  // the error is sum(x^2) less this
    best_gain = xq * xq / qq;
    best = xq / qq;
  }
  return best;
}

struct Affine {
  float scale = 0;
  float minimum = 0;  // x = scale * q - minimum; not negative
};

// Least squares of x = s q - m for given codes, with m >= 0.
Affine Solve(const float* x, const float* q, int n) {
  double sum_q = 0, sum_qq = 0, sum_x = 0, sum_xq = 0;
  for (int i = 0; i < n; ++i) {
    sum_q += q[i];
    sum_qq += static_cast<double>(q[i]) * q[i];
    sum_x += x[i];
    sum_xq += static_cast<double>(x[i]) * q[i];
  }
  const double determinant = n * sum_qq - sum_q * sum_q;
  if (determinant > 0) {
    const double scale = (n * sum_xq - sum_q * sum_x) / determinant, offset = (sum_x - scale * sum_q) / n;
    if (offset <= 0) return {static_cast<float>(scale), static_cast<float>(-offset)};
  }
  return {sum_qq > 0 ? static_cast<float>(sum_xq / sum_qq) : 0.0f, 0.0f};
}

double ErrorOf(const Affine& affine, const float* x, const float* q, int n) {
  double error = 0;
  for (int i = 0; i < n; ++i) {
    const double delta = affine.scale * q[i] - affine.minimum - x[i];
    error += delta * delta;
  }
  return error;
}

// The best scale and minimum for codes in [0, high] of 32 values.
Affine FitAffine(const float* x, int high) {
  constexpr int kCount = 32;
  const float low = std::min(0.0f, *std::min_element(x, x + kCount)), top = *std::max_element(x, x + kCount);
  if (top <= low) return {0, -low};
  Affine best;
  double best_error = INFINITY;
  for (float delta = -kReach; delta <= kReach; delta += kStep) {
    const float inverse = (static_cast<float>(high) + delta) / (top - low);
    float q[kCount];
    for (int i = 0; i < kCount; ++i) q[i] = static_cast<float>(Round((x[i] - low) * inverse, 0, high));
    const Affine affine = Solve(x, q, kCount);
    const double error = ErrorOf(affine, x, q, kCount);
    if (affine.scale <= 0 || error >= best_error) continue;
    best_error = error;
    best = affine;
  }
  return best;
}

void QuantizeQ8_0(const float* x, uint8_t* block) {
  const float d = StoreHalf(std::abs(LargestMagnitude(x, 32)) / 127.0f, block);
  for (int i = 0; i < 32; ++i) {
    block[2 + i] = static_cast<uint8_t>(static_cast<int8_t>(d == 0 ? 0 : Round(x[i] / d, -127, 127)));
  }
}

void PackNibbles32(const uint8_t* codes, uint8_t* out) {
  for (int i = 0; i < 16; ++i) out[i] = static_cast<uint8_t>(codes[i] | codes[i + 16] << 4);
}

void QuantizeQ4_0(const float* x, uint8_t* block) {
  const uint16_t half = FloatToFp16(FitScale(x, 32, -8, 7));
  std::memcpy(block, &half, sizeof(half));
  const float d = Fp16ToFloat(half);
  uint8_t codes[32];
  for (int i = 0; i < 32; ++i) codes[i] = static_cast<uint8_t>(8 + (d == 0 ? 0 : Round(x[i] / d, -8, 7)));
  PackNibbles32(codes, block + 2);
}

int NearestMxfp4(float value) {
  int best = 0;
  for (int code = 1; code < 16; ++code) {
    if (std::abs(kMxfp4Values[code] - value) < std::abs(kMxfp4Values[best] - value)) best = code;
  }
  return best;
}

// Codes for the exponent `e`; gives the squared error.
double TryMxfp4(const float* x, int e, uint8_t* codes) {
  double error = 0;
  for (int i = 0; i < 32; ++i) {
    codes[i] = static_cast<uint8_t>(NearestMxfp4(std::ldexp(x[i], 128 - e)));
    const double delta = std::ldexp(static_cast<double>(kMxfp4Values[codes[i]]), e - 128) - x[i];
    error += delta * delta;
  }
  return error;
}

void QuantizeMxfp4(const float* x, uint8_t* block) {
  const float extreme = std::abs(LargestMagnitude(x, 32));
  // The largest code is 6, in [4, 8): its power of two is that of the largest value, or one more.
  const int first = extreme == 0 ? 0 : std::clamp(std::ilogb(extreme) - 2 + 127, 0, 253);
  uint8_t codes[32], more[32];
  const double error = TryMxfp4(x, first, codes);
  const bool use_more = TryMxfp4(x, first + 1, more) < error;
  block[0] = static_cast<uint8_t>(first + (use_more ? 1 : 0));
  PackNibbles32(use_more ? more : codes, block + 1);
}

// d, dmin, the 12 bytes of scales, and the codes of 256 elements in [0, high].
void QuantizeAffine256(const float* x, int high, uint8_t* block, uint8_t* codes) {
  Affine groups[8];
  float largest_scale = 0, largest_minimum = 0;
  for (int g = 0; g < 8; ++g) {
    groups[g] = FitAffine(x + 32 * g, high);
    largest_scale = std::max(largest_scale, groups[g].scale);
    largest_minimum = std::max(largest_minimum, groups[g].minimum);
  }
  const float d = StoreHalf(largest_scale / 63, block), m = StoreHalf(largest_minimum / 63, block + 2);
  uint8_t* packed = block + 4;
  std::memset(packed, 0, 12);
  for (int g = 0; g < 8; ++g) {
    const int scale = d == 0 ? 0 : Round(groups[g].scale / d, 0, 63);
    const int minimum = m == 0 ? 0 : Round(groups[g].minimum / m, 0, 63);
    if (g < 4) {
      packed[g] = static_cast<uint8_t>(packed[g] | scale);
      packed[g + 4] = static_cast<uint8_t>(packed[g + 4] | minimum);
    } else {
      packed[g + 4] = static_cast<uint8_t>((scale & 15) | (minimum & 15) << 4);
      packed[g - 4] = static_cast<uint8_t>(packed[g - 4] | (scale >> 4) << 6);
      packed[g] = static_cast<uint8_t>(packed[g] | (minimum >> 4) << 6);
    }
    const float step = d * static_cast<float>(scale), offset = m * static_cast<float>(minimum);
    for (int i = 32 * g; i < 32 * g + 32; ++i) {
      codes[i] = static_cast<uint8_t>(step == 0 ? 0 : Round((x[i] + offset) / step, 0, high));
    }
  }
}

// 32 bytes hold 64 elements, the first half in the low nibbles.
void PackNibbles256(const uint8_t* codes, uint8_t* out) {
  for (int i = 0; i < 128; ++i) {
    const uint8_t* pair = codes + i / 32 * 64 + i % 32;
    out[i] = static_cast<uint8_t>((pair[0] & 15) | (pair[32] & 15) << 4);
  }
}

void QuantizeQ4_K(const float* x, uint8_t* block) {
  uint8_t codes[256];
  QuantizeAffine256(x, 15, block, codes);
  PackNibbles256(codes, block + 16);
}

void QuantizeQ5_K(const float* x, uint8_t* block) {
  uint8_t codes[256];
  QuantizeAffine256(x, 31, block, codes);
  std::memset(block + 16, 0, 32);
  for (int i = 0; i < 256; ++i) {
    block[16 + i % 32] = static_cast<uint8_t>(block[16 + i % 32] | (codes[i] >> 4) << (i / 32));
  }
  PackNibbles256(codes, block + 48);
}

void PackQ6_K(const uint8_t* codes, uint8_t* block) {
  std::memset(block, 0, 192);
  for (int i = 0; i < 256; ++i) {
    const int half = i / 128, within = i % 128;
    uint8_t& low = block[half * 64 + within % 64];
    uint8_t& high = block[128 + half * 32 + within % 32];
    low = static_cast<uint8_t>(low | (codes[i] & 15) << (within / 64 * 4));
    high = static_cast<uint8_t>(high | (codes[i] >> 4) << (within / 32 * 2));
  }
}

void QuantizeQ6_K(const float* x, uint8_t* block) {
  float scales[16];
  for (int g = 0; g < 16; ++g) scales[g] = FitScale(x + 16 * g, 16, -32, 31);
  const float d = StoreHalf(std::abs(LargestMagnitude(scales, 16)) / 127, block + 208);
  uint8_t codes[256];
  for (int g = 0; g < 16; ++g) {
    const int scale = d == 0 ? 0 : Round(scales[g] / d, -127, 127);
    block[192 + g] = static_cast<uint8_t>(static_cast<int8_t>(scale));
    const float step = d * static_cast<float>(scale);
    for (int i = 16 * g; i < 16 * g + 16; ++i) {
      codes[i] = static_cast<uint8_t>(32 + (step == 0 ? 0 : Round(x[i] / step, -32, 31)));
    }
  }
  PackQ6_K(codes, block);
}

using QuantizeBlock = void (*)(const float* x, uint8_t* block);

QuantizeBlock FunctionOf(DataType type) {
  switch (type) {
    case DataType::kQ8_0:
      return QuantizeQ8_0;
    case DataType::kQ4_0:
      return QuantizeQ4_0;
    case DataType::kQ4_K:
      return QuantizeQ4_K;
    case DataType::kQ5_K:
      return QuantizeQ5_K;
    case DataType::kQ6_K:
      return QuantizeQ6_K;
    case DataType::kMXFP4:
      return QuantizeMxfp4;
    default:
      return nullptr;
  }
}

}  // namespace

bool CanQuantize(DataType type) { return FunctionOf(type) != nullptr; }

void QuantizeBlocks(DataType type, const float* x, int64_t n, uint8_t* blocks) {
  const QuantizeBlock quantize = FunctionOf(type);
  const BlockShape shape = ShapeOf(type);
  for (int64_t i = 0; i < n / shape.elements; ++i) quantize(x + i * shape.elements, blocks + i * shape.bytes);
}

}  // namespace lastro::kernels
