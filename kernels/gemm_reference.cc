// The products of gemm.h as plain loops: x rounded to 16 bits, sums in double.
#include <algorithm>
#include <cmath>

#include "kernels/bfloat16.h"
#include "kernels/gemm.h"

namespace lastro::kernels {
namespace {

RowCode CodeFor(DataType type) { return type == DataType::kBF16 ? RowCode::kInt14 : RowCode::kInt16; }

// Where value k of a row is among the codes.
int64_t CodeAt(const GemmRows& x, int64_t row, int64_t k) {
  return row / kGemmRows * kGemmRows * x.padded_k + 2 * (k / 2 * kGemmRows + row % kGemmRows) + k % 2;
}
// Where the scale or sum is of the `size` values that k is among.
int64_t GroupAt(const GemmRows& x, int64_t row, int64_t k, int64_t size) {
  return row / kGemmRows * kGemmRows * x.padded_k / size + k / size * kGemmRows + row % kGemmRows;
}

// A group of one row that begins at k.
void RoundGroup(const GemmRows& out, int64_t row, int64_t k, double limit, const double (&values)[kQuantGroup]) {
  double largest = 0;
  for (double value : values) {
    if (std::isnan(value) || std::abs(value) > largest) largest = std::abs(value);
    if (std::isnan(largest)) break;
  }
  const float scale = static_cast<float>(largest / limit);
  out.scales[GroupAt(out, row, k, kQuantGroup)] = scale;
  for (int64_t half = 0; half < kQuantGroup; half += kQuantSumGroup) {
    double sum = 0;
    for (int64_t i = half; i < half + kQuantSumGroup; ++i) {
      const double code =
          scale > 0 && std::isfinite(scale) ? std::nearbyint(values[i] / static_cast<double>(scale)) : 0;
      static_cast<int16_t*>(out.codes)[CodeAt(out, row, k + i)] = static_cast<int16_t>(std::clamp(code, -limit, limit));
      sum += static_cast<double>(scale) * code;
    }
    out.sums[GroupAt(out, row, k + half, kQuantSumGroup)] = static_cast<float>(sum);
  }
}

void RoundRows(ConstRows x, int64_t rows, int64_t k, RowCode code, GemmRows out) {
  for (int64_t row = 0; row < (rows + kGemmRows - 1) / kGemmRows * kGemmRows; ++row) {
    for (int64_t group = 0; group < out.padded_k; group += kQuantGroup) {
      double values[kQuantGroup] = {};
      for (int64_t i = group; i < std::min(k, group + kQuantGroup) && row < rows; ++i) {
        values[i - group] = static_cast<double>(x.data[row * x.stride + i]);
      }
      RoundGroup(out, row, group, static_cast<double>(LimitOf(code)), values);
    }
  }
}

// Up to 256 weights of one feature.
void Weights(const GemmArgs& args, int64_t n, int64_t k, int64_t count, float* out) {
  const uint8_t* from =
      static_cast<const uint8_t*>(args.weights) + n * RowBytes(args.type, args.k) + RowBytes(args.type, k);
  if (args.type != DataType::kBF16) return ReferenceQuantKernels().dequantize(from, args.type, count, false, out);
  for (int64_t i = 0; i < count; ++i) out[i] = Bf16ToFloat(reinterpret_cast<const uint16_t*>(from)[i]);
}

double Dot(const GemmArgs& args, int64_t n, int64_t row) {
  double sum = 0;
  float weights[kQuantChunk];
  for (int64_t k = 0; k < args.k; k += kQuantChunk) {
    const int64_t count = std::min(kQuantChunk, args.k - k);
    Weights(args, n, k, count, weights);
    for (int64_t i = 0; i < count; ++i) {
      const double scale = static_cast<double>(args.x.scales[GroupAt(args.x, row, k + i, kQuantGroup)]);
      const int16_t code = static_cast<const int16_t*>(args.x.codes)[CodeAt(args.x, row, k + i)];
      sum += static_cast<double>(weights[i]) * scale * code;
    }
  }
  return sum;
}

void Gemm(const GemmArgs& args, int64_t panel_begin, int64_t panel_end) {
  const int64_t end = std::min(args.n, panel_end * kGemmColumns);
  for (int64_t n = panel_begin * kGemmColumns; n < end; ++n) {
    for (int64_t r = 0; r < args.rows; ++r) {
      const double bias = args.bias != nullptr ? static_cast<double>(args.bias[n]) : 0;
      args.out.data[r * args.out.stride + n] = static_cast<float>(Dot(args, n, r) + bias);
    }
  }
}

}  // namespace

const GemmKernels& ReferenceGemmKernels() {
  static const GemmKernels table = {CodeFor, RoundRows, Gemm, 1};
  return table;
}

}  // namespace lastro::kernels
