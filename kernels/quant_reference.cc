// Quantised blocks by their definition, element by element.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/bfloat16.h"
#include "kernels/quant.h"

namespace lastro::kernels {
namespace {

double Half(const uint8_t* p) {
  uint16_t bits;
  std::memcpy(&bits, p, sizeof(bits));
  return Fp16ToFloat(bits);
}

int Nibble32(const uint8_t* q, int i) { return i < 16 ? q[i] & 15 : q[i - 16] >> 4; }
int HighBit32(const uint8_t* high, int i) { return high[i / 8] >> (i % 8) & 1; }
int Nibble64(const uint8_t* q, int i) { return q[i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 15; }

// The 6-bit scale and minimum of 32 elements, of Q4_K and Q5_K: four of each lie whole in bytes 0-3 and 4-7; the other
// four have their low nibbles in bytes 8-11 and their upper two bits above those of the first.
int ScaleOfGroup(const uint8_t* s, int g) { return g < 4 ? s[g] & 63 : (s[g + 4] & 15) | (s[g - 4] >> 6) << 4; }
int MinimumOfGroup(const uint8_t* s, int g) { return g < 4 ? s[g + 4] & 63 : s[g + 4] >> 4 | (s[g] >> 6) << 4; }

double GroupOf32(const uint8_t* block, int i, int q) {
  return Half(block) * ScaleOfGroup(block + 4, i / 32) * q - Half(block + 2) * MinimumOfGroup(block + 4, i / 32);
}

double Q6K(const uint8_t* block, int i) {
  const int half = i / 128, within = i % 128;
  const int low = block[half * 64 + within % 64] >> (within / 64 * 4) & 15;
  const int high = block[128 + half * 32 + within % 32] >> (within / 32 * 2) & 3;
  return Half(block + 208) * static_cast<int8_t>(block[192 + i / 16]) * ((low | high << 4) - 32);
}

int Pair(const uint8_t* pairs, int i) { return pairs[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3; }

double Q2K(const uint8_t* block, int i) {
  const int scale = block[i / 16];
  return Half(block + 80) * (scale & 15) * Pair(block + 16, i) - Half(block + 82) * (scale >> 4);
}

double Q3K(const uint8_t* block, int i) {
  const uint8_t* scales = block + 96;
  const int g = i / 16;
  const int scale = (scales[g % 8] >> (g / 8 * 4) & 15) | (scales[8 + g % 4] >> (g / 4 * 2) & 3) << 4;
  const int high = block[i % 32] >> (i / 32) & 1;
  return Half(block + 108) * (scale - 32) * (Pair(block + 32, i) - (high ? 0 : 4));
}

double ElementOfBlock(DataType type, const uint8_t* b, int i) {
  switch (type) {
    case DataType::kQ8_0:
      return Half(b) * static_cast<int8_t>(b[2 + i]);
    case DataType::kQ4_0:
      return Half(b) * (Nibble32(b + 2, i) - 8);
    case DataType::kQ4_1:
      return Half(b) * Nibble32(b + 4, i) + Half(b + 2);
    case DataType::kQ5_0:
      return Half(b) * ((Nibble32(b + 6, i) | HighBit32(b + 2, i) << 4) - 16);
    case DataType::kQ5_1:
      return Half(b) * (Nibble32(b + 8, i) | HighBit32(b + 4, i) << 4) + Half(b + 2);
    case DataType::kMXFP4:
      return std::ldexp(kMxfp4Values[Nibble32(b + 1, i)], b[0] - 128);
    case DataType::kQ4_K:
      return GroupOf32(b, i, Nibble64(b + 16, i));
    case DataType::kQ5_K:
      return GroupOf32(b, i, Nibble64(b + 48, i) | (b[16 + i % 32] >> (i / 32) & 1) << 4);
    case DataType::kQ6_K:
      return Q6K(b, i);
    case DataType::kQ2_K:
      return Q2K(b, i);
    case DataType::kQ3_K:
      return Q3K(b, i);
    case DataType::kF32:
    case DataType::kBF16:
    case DataType::kF16:
      break;
  }
  return 0;
}

double Element(const void* blocks, DataType type, int64_t i) {
  const BlockShape shape = ShapeOf(type);
  return ElementOfBlock(type, static_cast<const uint8_t*>(blocks) + i / shape.elements * shape.bytes,
                        static_cast<int>(i % shape.elements));
}

void Dequantize(const void* blocks, DataType type, int64_t n, bool accumulate, float* out) {
  for (int64_t i = 0; i < n; ++i) {
    out[i] = static_cast<float>(Element(blocks, type, i)) + (accumulate ? out[i] : 0.0f);
  }
}

void QuantizeGroup(const float* x, float scale, int16_t* values) {
  for (int64_t i = 0; i < kQuantGroup; ++i) {
    values[i] =
        static_cast<int16_t>(scale > 0 && std::isfinite(scale) ? std::lrint(static_cast<double>(x[i]) / scale) : 0);
  }
}

void QuantizeRow(const float* x, int64_t k, int64_t padded_k, int16_t* values, float* scales, float* sums) {
  std::fill(values + k, values + padded_k, int16_t{0});
  std::fill(scales + k / kQuantGroup, scales + padded_k / kQuantGroup, 0.0f);
  std::fill(sums + k / kQuantSumGroup, sums + padded_k / kQuantSumGroup, 0.0f);
  for (int64_t begin = 0; begin < k; begin += kQuantGroup) {
    float largest = 0;
    for (int64_t i = begin; i < begin + kQuantGroup; ++i) {
      if (std::isnan(x[i]) || std::abs(x[i]) > largest) largest = std::abs(x[i]);
      if (std::isnan(largest)) break;
    }
    const float scale = largest / 32767.0f;
    scales[begin / kQuantGroup] = scale;
    QuantizeGroup(x + begin, scale, values + begin);
    for (int64_t at = begin; at < begin + kQuantGroup; at += kQuantSumGroup) {
      int64_t sum = 0;
      for (int64_t i = at; i < at + kQuantSumGroup; ++i) sum += values[i];
      sums[at / kQuantSumGroup] = static_cast<float>(static_cast<double>(sum) * scale);
    }
  }
}

void QuantizeRows(ConstRows x, int64_t rows, int64_t k, QuantizedRows out) {
  for (int64_t r = 0; r < rows; ++r) {
    QuantizeRow(x.data + r * x.stride, k, out.padded_k, static_cast<int16_t*>(out.codes) + r * out.padded_k,
                out.scales + r * (out.padded_k / kQuantGroup), out.sums + r * (out.padded_k / kQuantSumGroup));
  }
}

void QuantGemv(const QuantLinearArgs& args, int64_t n_begin, int64_t n_end) {
  const int64_t row_bytes = RowBytes(args.type, args.k), padded = args.x.padded_k;
  for (int64_t n = n_begin; n < n_end; ++n) {
    const uint8_t* w = static_cast<const uint8_t*>(args.weights) + n * row_bytes;
    for (int64_t r = 0; r < args.rows; ++r) {
      double sum = args.bias != nullptr ? args.bias[n] : 0.0;
      for (int64_t i = 0; i < args.k; ++i) {
        const double scale = args.x.scales[r * (padded / kQuantGroup) + i / kQuantGroup];
        sum += Element(w, args.type, i) * scale * static_cast<const int16_t*>(args.x.codes)[r * padded + i];
      }
      args.out.data[r * args.out.stride + n] = static_cast<float>(sum);
    }
  }
}

}  // namespace

const QuantKernels& ReferenceQuantKernels() {
  static const QuantKernels table = {RowCode::kInt16, Dequantize, QuantizeRows, QuantGemv};
  return table;
}

}  // namespace lastro::kernels
