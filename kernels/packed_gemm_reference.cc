// The products of packed_gemm.h as plain loops: sums in double.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/packed_gemm.h"

namespace lastro::kernels {
namespace {

// `count` floats, and zeros behind them, through put(i, code) for 128 numbers; gives their scale.
template <class Put>
float RoundGroup(const float* x, int64_t count, const Put& put) {
  float largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    if (std::isnan(x[i]) || std::abs(x[i]) > largest) largest = std::abs(x[i]);
    if (std::isnan(largest)) break;
  }
  const float scale = largest / kPackedLimit;
  for (int64_t i = 0; i < kPackedGroup; ++i) {
    const bool zero = i >= count || !std::isnormal(scale);
    const float code = zero ? 0 : std::nearbyint(x[i] / scale);
    put(i, static_cast<int16_t>(std::clamp(code, -kPackedLimit, kPackedLimit)));
  }
  return scale;
}

int64_t InputsOf(int64_t group, int64_t k) { return std::min(kPackedGroup, k - group * kPackedGroup); }

void PackPanel(ConstRows features, int64_t count, int64_t k, PackedWeights* to) {
  for (int64_t g = 0; g < PackedGroups(k); ++g) {
    for (int64_t f = 0; f < kPackedColumns; ++f) {
      const bool there = f < count;
      const float* from = there ? features.data + f * features.stride + g * kPackedGroup : nullptr;
      to[g].scales[f] = RoundGroup(from, there ? InputsOf(g, k) : 0,
                                   [&](int64_t i, int16_t code) { to[g].codes[i / 2][f][i % 2] = code; });
    }
  }
}

// Where code i of a group is.
int64_t CodeAt(const PackedRows& x, int64_t row, int64_t group, int64_t i) {
  return ((row / kPackedRows * x.groups + group) * kPackedRows + row % kPackedRows) * kPackedGroup + i;
}
int64_t ScaleAt(const PackedRows& x, int64_t row, int64_t group) {
  return (row / kPackedRows * x.groups + group) * kPackedRows + row % kPackedRows;
}

void RoundRows(ConstRows x, int64_t rows, int64_t k, PackedRows out) {
  for (int64_t row = 0; row < (rows + kPackedRows - 1) / kPackedRows * kPackedRows; ++row) {
    for (int64_t g = 0; g < PackedGroups(k); ++g) {
      const bool there = row < rows;
      const float* from = there ? x.data + row * x.stride + g * kPackedGroup : nullptr;
      out.scales[ScaleAt(out, row, g)] = RoundGroup(
          from, there ? InputsOf(g, k) : 0, [&](int64_t i, int16_t code) { out.codes[CodeAt(out, row, g, i)] = code; });
    }
  }
}

double Dot(const PackedGemmArgs& args, int64_t row, int64_t n) {
  const PackedWeights* panel = args.panels + n / kPackedColumns * args.x.groups;
  const int64_t f = n % kPackedColumns;
  double sum = 0;
  for (int64_t g = 0; g < args.x.groups; ++g) {
    double codes = 0;
    for (int64_t i = 0; i < kPackedGroup; ++i) {
      codes += static_cast<double>(panel[g].codes[i / 2][f][i % 2]) * args.x.codes[CodeAt(args.x, row, g, i)];
    }
    const float scale = args.x.scales[ScaleAt(args.x, row, g)];
    sum += codes * static_cast<double>(scale) * static_cast<double>(panel[g].scales[f]);
  }
  return sum;
}

void Gemm(const PackedGemmArgs& args, int64_t panel_begin, int64_t panel_end) {
  const int64_t end = std::min(args.n, panel_end * kPackedColumns);
  for (int64_t n = panel_begin * kPackedColumns; n < end; ++n) {
    for (int64_t row = 0; row < args.rows; ++row) {
      const double bias = args.bias != nullptr ? static_cast<double>(args.bias[n]) : 0;
      args.out.data[row * args.out.stride + n] = static_cast<float>(Dot(args, row, n) + bias);
    }
  }
}

// Of the query at q, in double; nothing is rounded.
void Attend(const RowAttentionArgs& args, const float* q, float* out) {
  double weights[kMaxRowAttention];
  double largest = -std::numeric_limits<double>::infinity(), sum = 0;
  for (int64_t t = 0; t < args.rows; ++t) {
    double& score = weights[t] = 0;
    for (int64_t i = 0; i < args.head_dim; ++i) {
      score += static_cast<double>(q[i]) * static_cast<double>(args.k.data[t * args.k.stride + i]);
    }
    score *= static_cast<double>(args.scale);
    largest = std::max(largest, score);
  }
  for (int64_t t = 0; t < args.rows; ++t) sum += weights[t] = std::exp(weights[t] - largest);
  for (int64_t i = 0; i < args.head_dim; ++i) {
    double value = 0;
    for (int64_t t = 0; t < args.rows; ++t) {
      value += weights[t] * static_cast<double>(args.v.data[t * args.v.stride + i]);
    }
    out[i] = static_cast<float>(value / sum);
  }
}

void RowAttention(const RowAttentionArgs& args) {
  for (int64_t row = 0; row < args.rows; ++row) {
    for (int64_t h = 0; h < args.group; ++h) {
      const int64_t column = h * args.head_dim;
      Attend(args, args.q.data + row * args.q.stride + column, args.out.data + row * args.out.stride + column);
    }
  }
}

}  // namespace

const PackedGemmKernels& ReferencePackedGemmKernels() {
  static const PackedGemmKernels table = {PackPanel, RoundRows, Gemm, RowAttention};
  return table;
}

}  // namespace lastro::kernels
