#include "engine/position_bias.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/check.h"
#include "kernels/bfloat16.h"

namespace lastro::engine {
namespace {

float RoundToBf16(float value) { return kernels::Bf16ToFloat(kernels::FloatToBf16(value)); }

// The first `count` of base, base^(1 + step), base^(1 + 2 step) ..., base = 2^(-8 / heads).
void AppendPowers(double heads, int64_t step, int64_t count, std::vector<float>* slopes) {
  for (int64_t i = 0; i < count; ++i) {
    slopes->push_back(static_cast<float>(std::exp2(-8.0 / heads * static_cast<double>(1 + i * step))));
  }
}

// The bucket of key position minus query position.
int64_t Bucket(const RelativeBias& bias, bool causal, int64_t distance) {
  int64_t buckets = bias.buckets, bucket = 0;
  if (!causal) {
    buckets /= 2;
    if (distance > 0) bucket = buckets;
  }
  const int64_t away = causal ? std::max<int64_t>(-distance, 0) : std::abs(distance);
  const int64_t exact = buckets / 2;
  if (away < exact) return bucket + away;
  // In fp32, as the reference: the rounding decides where a bucket ends.
  const float scaled =
      std::log(static_cast<float>(away) / static_cast<float>(exact)) /
      static_cast<float>(std::log(static_cast<double>(bias.max_distance) / static_cast<double>(exact)));
  const int64_t logarithmic = exact + static_cast<int64_t>(scaled * static_cast<float>(buckets - exact));
  return bucket + std::min(logarithmic, buckets - 1);
}

}  // namespace

std::vector<float> BloomAlibiSlopes(int64_t heads) {
  const int64_t lower = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(heads)));
  std::vector<float> slopes;
  AppendPowers(static_cast<double>(lower), 1, lower, &slopes);
  AppendPowers(static_cast<double>(2 * lower), 2, heads - lower, &slopes);
  return slopes;
}

std::vector<float> MptAlibiSlopes(int64_t heads, double max_bias) {
  const int64_t higher = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(heads)));
  auto slope = [&](int64_t i) {
    return static_cast<float>(std::exp2(-static_cast<double>(i + 1) * max_bias / static_cast<double>(higher)));
  };
  std::vector<float> slopes;
  if (higher == heads) {
    for (int64_t i = 0; i < heads; ++i) slopes.push_back(slope(i));
    return slopes;
  }
  for (int64_t i = 1; i < higher; i += 2) slopes.push_back(slope(i));
  for (int64_t i = 0; i < higher; i += 2) slopes.push_back(slope(i));
  slopes.resize(static_cast<size_t>(heads));
  return slopes;
}

PositionBias AlibiTable(const Architecture& a) {
  LASTRO_CHECK(a.causal && static_cast<int64_t>(a.alibi_slopes.size()) == a.heads);
  PositionBias table;
  table.stride = a.max_tokens;
  table.absolute = a.alibi_bf16;
  table.zero = table.absolute ? 0 : a.max_tokens - 1;
  const float scale = static_cast<float>(a.attention_scale);
  for (float slope : a.alibi_slopes) {
    for (int64_t i = 0; i < table.stride; ++i) {
      const float at = static_cast<float>(i - table.zero);
      table.values.push_back(a.alibi_bf16 ? RoundToBf16(RoundToBf16(slope) * RoundToBf16(at)) * scale : slope * at);
    }
  }
  return table;
}

PositionBias RelativeBiasTable(const Architecture& a, absl::Span<const float> weights) {
  LASTRO_CHECK(a.relative_bias.has_value());
  LASTRO_CHECK(static_cast<int64_t>(weights.size()) == a.relative_bias->buckets * a.heads);
  PositionBias table;
  table.zero = a.max_tokens - 1;
  table.stride = a.causal ? a.max_tokens : 2 * a.max_tokens - 1;
  for (int64_t h = 0; h < a.heads; ++h) {
    for (int64_t i = 0; i < table.stride; ++i) {
      const int64_t bucket = Bucket(*a.relative_bias, a.causal, i - table.zero);
      table.values.push_back(weights[static_cast<size_t>(bucket * a.heads + h)]);
    }
  }
  return table;
}

}  // namespace lastro::engine
