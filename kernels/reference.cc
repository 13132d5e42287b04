// The reference implementation: formulas as plain loops, sums in double. Slow and obvious.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/bfloat16.h"
#include "kernels/kernels.h"

namespace lastro::kernels {
namespace {

float Element(const void* data, DataType type, int64_t i) {
  if (type == DataType::kF32) return static_cast<const float*>(data)[i];
  uint16_t bits = static_cast<const uint16_t*>(data)[i];
  return type == DataType::kBF16 ? Bf16ToFloat(bits) : Fp16ToFloat(bits);
}

void ToF32(const void* in, DataType type, int64_t n, bool accumulate, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = Element(in, type, i) + (accumulate ? out[i] : 0.0f);
}

void ToBf16(ConstRows in, int64_t rows, int64_t cols, uint16_t* out) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) out[r * cols + c] = FloatToBf16(in.data[r * in.stride + c]);
  }
}

void RmsNorm(ConstRows x, const float* weight, float eps, int64_t rows, int64_t cols, MutRows out) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* in = x.data + r * x.stride;
    double squares = 0;
    for (int64_t c = 0; c < cols; ++c) squares += static_cast<double>(in[c]) * in[c];
    double factor = 1.0 / std::sqrt(squares / static_cast<double>(cols) + eps);
    for (int64_t c = 0; c < cols; ++c) out.data[r * out.stride + c] = static_cast<float>(in[c] * factor * weight[c]);
  }
}

void LayerNorm(ConstRows x, const float* weight, const float* bias, float eps, int64_t rows, int64_t cols,
               MutRows out) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* in = x.data + r * x.stride;
    double mean = 0, variance = 0;
    for (int64_t c = 0; c < cols; ++c) mean += in[c];
    mean /= static_cast<double>(cols);
    for (int64_t c = 0; c < cols; ++c) variance += (in[c] - mean) * (in[c] - mean);
    double factor = 1.0 / std::sqrt(variance / static_cast<double>(cols) + eps);
    for (int64_t c = 0; c < cols; ++c) {
      out.data[r * out.stride + c] = static_cast<float>((in[c] - mean) * factor * weight[c] + (bias ? bias[c] : 0.0f));
    }
  }
}

void Add(ConstRows x, int64_t rows, int64_t cols, MutRows inout) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) inout.data[r * inout.stride + c] += x.data[r * x.stride + c];
  }
}

double ActivateOne(ActivationKind kind, double x) {
  switch (kind) {
    case ActivationKind::kSilu:
      return x / (1.0 + std::exp(-x));
    case ActivationKind::kGeluErf:
      return 0.5 * x * (1.0 + std::erf(x / std::sqrt(2.0)));
    case ActivationKind::kGeluTanh:
      return 0.5 * x * (1.0 + std::tanh(std::sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x)));
    case ActivationKind::kRelu:
      return x < 0 ? 0 : x;
    case ActivationKind::kClampedSwiglu:
      x = std::min<double>(x, kSwigluLimit);
      return x / (1.0 + std::exp(-static_cast<double>(kSwigluAlpha) * x));
  }
  return x;
}

// What f(gate) is multiplied by.
double UpFactor(ActivationKind kind, ConstRows up, int64_t r, int64_t c) {
  if (up.data == nullptr) return 1.0;
  const double value = up.data[r * up.stride + c];
  if (kind != ActivationKind::kClampedSwiglu) return value;
  return std::clamp<double>(value, -kSwigluLimit, kSwigluLimit) + 1.0;
}

void Activate(ActivationKind kind, ConstRows gate, ConstRows up, int64_t rows, int64_t cols, MutRows out) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      double factor = UpFactor(kind, up, r, c);
      out.data[r * out.stride + c] = static_cast<float>(ActivateOne(kind, gate.data[r * gate.stride + c]) * factor);
    }
  }
}

void Rope(const float* cos, const float* sin, int64_t rows, int64_t heads, int64_t head_dim, int64_t rotary_dim,
          MutRows x) {
  int64_t half = rotary_dim / 2;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t h = 0; h < heads; ++h) {
      float* head = x.data + r * x.stride + h * head_dim;
      for (int64_t i = 0; i < half; ++i) {
        double c = cos[r * half + i], s = sin[r * half + i], a = head[i], b = head[i + half];
        head[i] = static_cast<float>(a * c - b * s);
        head[i + half] = static_cast<float>(b * c + a * s);
      }
    }
  }
}

void Gemv(const LinearArgs& args, int64_t n_begin, int64_t n_end) {
  for (int64_t r = 0; r < args.rows; ++r) {
    const float* x = args.x.data + r * args.x.stride;
    for (int64_t n = n_begin; n < n_end; ++n) {
      double sum = args.bias ? args.bias[n] : 0.0;
      for (int64_t k = 0; k < args.k; ++k) {
        sum += static_cast<double>(x[k]) * Element(args.weights, args.type, n * args.k + k);
      }
      args.out.data[r * args.out.stride + n] = static_cast<float>(sum);
    }
  }
}

// Component d of a head's key or value of the token in a slot of its block; `at` is where the codes have it, and
// `scale_at` which of the scales behind them is its.
double KvElementAt(const KvView& cache, const uint8_t* head, int64_t at, int64_t scale_at) {
  switch (cache.type) {
    case KvType::kF32:
      return reinterpret_cast<const float*>(head)[at];
    case KvType::kF16:
      return Fp16ToFloat(reinterpret_cast<const uint16_t*>(head)[at]);
    case KvType::kInt8: {
      const float* scales = reinterpret_cast<const float*>(head + kKvBlock * cache.head_dim);
      return static_cast<double>(scales[scale_at]) * reinterpret_cast<const int8_t*>(head)[at];
    }
  }
  return 0;
}

double KeyAt(const KvView& cache, const int32_t* blocks, int64_t t, int64_t g, int64_t d) {
  const int64_t slot = t % kKvBlock;
  return KvElementAt(cache, cache.Keys(blocks[t / kKvBlock], g), d * kKvBlock + slot, d / kKvGroup * kKvBlock + slot);
}
double ValueAt(const KvView& cache, const int32_t* blocks, int64_t t, int64_t g, int64_t d) {
  const int64_t slot = t % kKvBlock;
  return KvElementAt(cache, cache.Values(blocks[t / kKvBlock], g), slot * cache.head_dim + d,
                     slot * KvGroups(cache.head_dim) + d / kKvGroup);
}

// What multiplies the int8 codes of a group.
float Int8Scale(const float* x, int64_t n) {
  float largest = 0;
  for (int64_t i = 0; i < n; ++i) {
    if (!std::isfinite(x[i])) return std::numeric_limits<float>::quiet_NaN();
    largest = std::max(largest, std::abs(x[i]));
  }
  return largest / 127.0f;
}

// One head's vector of a token: component d at d * stride of the codes, the scale of group i at i * scale_stride.
void StoreVector(const KvView& cache, const float* x, int64_t stride, int64_t scale_stride, int64_t slot_at,
                 int64_t scale_slot_at, uint8_t* head) {
  for (int64_t d = 0; d < cache.head_dim; ++d) {
    const int64_t at = slot_at + d * stride;
    if (cache.type == KvType::kF32) reinterpret_cast<float*>(head)[at] = x[d];
    if (cache.type == KvType::kF16) {
      const float value = std::isnan(x[d]) ? x[d] : std::clamp(x[d], -kLargestFp16, kLargestFp16);
      reinterpret_cast<uint16_t*>(head)[at] = FloatToFp16(value);
    }
    if (cache.type == KvType::kInt8) {
      const int64_t first = d / kKvGroup * kKvGroup;
      const float scale = Int8Scale(x + first, std::min(kKvGroup, cache.head_dim - first));
      const bool zero = !(scale > 1e-30f);
      reinterpret_cast<int8_t*>(head)[at] = static_cast<int8_t>(zero ? 0 : std::lrint(x[d] / scale));
      reinterpret_cast<float*>(head + kKvBlock * cache.head_dim)[scale_slot_at + d / kKvGroup * scale_stride] = scale;
    }
  }
}

void StoreKv(ConstRows k, ConstRows v, int64_t rows, const int32_t* blocks, int64_t position, KvView cache) {
  const int64_t groups = KvGroups(cache.head_dim);
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t block = blocks[(position + r) / kKvBlock], slot = (position + r) % kKvBlock;
    for (int64_t g = 0; g < cache.kv_heads; ++g) {
      StoreVector(cache, k.data + r * k.stride + g * cache.head_dim, kKvBlock, kKvBlock, slot, slot,
                  cache.Keys(block, g));
      StoreVector(cache, v.data + r * v.stride + g * cache.head_dim, 1, 1, slot * cache.head_dim, slot * groups,
                  cache.Values(block, g));
    }
  }
}

double Score(const AttentionArgs& args, const float* q, int64_t h, int64_t position, int64_t t) {
  double score = 0;
  for (int64_t d = 0; d < args.cache.head_dim; ++d) {
    score += static_cast<double>(q[d]) * KeyAt(args.cache, args.blocks, t, args.kv_head, d);
  }
  score *= args.scale;
  if (args.softcap > 0) score = args.softcap * std::tanh(score / args.softcap);
  if (args.bias != nullptr) score += args.bias[h * args.bias_stride + (args.bias_absolute ? t : t - position)];
  return score;
}

// Row r and head h: the tokens [first, end) are seen.
void AttendOne(const AttentionArgs& args, int64_t r, int64_t h, int64_t first, int64_t end) {
  int64_t head_dim = args.cache.head_dim;
  const float* q = args.q.data + r * args.q.stride + h * head_dim;
  float* out = args.out.data + r * args.out.stride + h * head_dim;
  std::vector<double> scores;
  double maximum = args.sinks != nullptr ? args.sinks[h] : -INFINITY;
  for (int64_t t = first; t < end; ++t) {
    scores.push_back(Score(args, q, h, args.position + r, t));
    maximum = std::max(maximum, scores.back());
  }
  double sum = args.sinks != nullptr ? std::exp(args.sinks[h] - maximum) : 0;
  for (double& score : scores) sum += score = std::exp(score - maximum);
  for (int64_t d = 0; d < head_dim; ++d) {
    double value = 0;
    for (int64_t t = first; t < end; ++t) {
      value += scores[t - first] * ValueAt(args.cache, args.blocks, t, args.kv_head, d);
    }
    out[d] = static_cast<float>(value / sum);
  }
}

void Attention(const AttentionArgs& args) {
  int64_t group = args.heads / args.cache.kv_heads;
  for (int64_t r = 0; r < args.rows; ++r) {
    int64_t position = args.position + r, first = 0;
    int64_t end = args.causal ? std::min(args.length, position + 1) : args.length;
    if (args.window > 0) {
      first = std::max<int64_t>(0, position - args.window + 1);
      end = std::min(end, position + args.window);
    }
    for (int64_t h = args.kv_head * group; h < (args.kv_head + 1) * group; ++h) AttendOne(args, r, h, first, end);
  }
}

void MeanRows(ConstRows x, int64_t rows, int64_t cols, float* out) {
  for (int64_t c = 0; c < cols; ++c) {
    double sum = 0;
    for (int64_t r = 0; r < rows; ++r) sum += x.data[r * x.stride + c];
    out[c] = static_cast<float>(sum / static_cast<double>(rows));
  }
}

double LogSumExp(const float* x, int64_t n) {
  double best = -INFINITY, sum = 0;
  for (int64_t i = 0; i < n; ++i) best = x[i] > best ? x[i] : best;
  for (int64_t i = 0; i < n; ++i) sum += std::exp(x[i] - best);
  return best + std::log(sum);
}

void L2Normalize(int64_t rows, int64_t cols, MutRows x) {
  for (int64_t r = 0; r < rows; ++r) {
    float* row = x.data + r * x.stride;
    double squares = 0;
    for (int64_t c = 0; c < cols; ++c) squares += static_cast<double>(row[c]) * row[c];
    double norm = std::max(std::sqrt(squares), 1e-12);
    for (int64_t c = 0; c < cols; ++c) row[c] = static_cast<float>(row[c] / norm);
  }
}

double MapOne(MapKind kind, double parameter, double x) {
  switch (kind) {
    case MapKind::kScale:
      return parameter * x;
    case MapKind::kClamp:
      return std::clamp(x, -parameter, parameter);
    case MapKind::kSoftcap:
      return parameter * std::tanh(x / parameter);
  }
  return x;
}

void Map(MapKind kind, float parameter, int64_t rows, int64_t cols, MutRows inout) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      float& x = inout.data[r * inout.stride + c];
      x = static_cast<float>(MapOne(kind, parameter, x));
    }
  }
}

}  // namespace

const Kernels& ReferenceKernels() {
  static const Kernels table = {"scalar", ToF32,   ToBf16,    RmsNorm,  LayerNorm, Add,         Activate, Rope,
                                Gemv,     StoreKv, Attention, MeanRows, LogSumExp, L2Normalize, Map};
  return table;
}

}  // namespace lastro::kernels
