#include "engine/rope.h"

#include <algorithm>
#include <cmath>

namespace lastro::engine {
namespace {

double Llama3Frequency(const RopeParams& rope, double frequency) {
  const double wavelength = 2 * M_PI / frequency;
  if (wavelength < rope.original_max_tokens / rope.high_freq_factor) return frequency;
  if (wavelength > rope.original_max_tokens / rope.low_freq_factor) return frequency / rope.factor;
  const double smooth =
      (rope.original_max_tokens / wavelength - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
  return (1 - smooth) * frequency / rope.factor + smooth * frequency;
}

// The component that turns `rotations` times within the original context.
double YarnComponent(const RopeParams& rope, double rotations) {
  return static_cast<double>(rope.rotary_dim) * std::log(rope.original_max_tokens / (rotations * 2 * M_PI)) /
         (2 * std::log(rope.theta));
}

double YarnFrequency(const RopeParams& rope, int64_t component, double frequency) {
  double low = YarnComponent(rope, rope.beta_fast), high = YarnComponent(rope, rope.beta_slow);
  if (rope.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(rope.rotary_dim - 1));
  if (low == high) high += 0.001;
  const double ramp = std::clamp((static_cast<double>(component) - low) / (high - low), 0.0, 1.0);
  return frequency / rope.factor * ramp + frequency * (1 - ramp);
}

double Theta(const RopeParams& rope, double tokens) {
  if (rope.scaling != RopeScaling::kDynamic || tokens <= rope.original_max_tokens) return rope.theta;
  const double dim = static_cast<double>(rope.rotary_dim);
  const double growth = rope.factor * tokens / rope.original_max_tokens - (rope.factor - 1);
  return rope.theta * std::pow(growth, dim / (dim - 2));
}

}  // namespace

bool DependsOnLength(const RopeParams& rope) {
  return rope.scaling == RopeScaling::kDynamic || rope.scaling == RopeScaling::kLongRope;
}

std::vector<float> RotaryFrequencies(const RopeParams& rope, int64_t tokens) {
  const double theta = Theta(rope, static_cast<double>(tokens));
  const bool is_long = static_cast<double>(tokens) > rope.original_max_tokens;
  std::vector<float> frequencies;
  for (int64_t i = 0; i < rope.rotary_dim / 2; ++i) {
    double frequency = 1.0 / std::pow(theta, static_cast<double>(2 * i) / static_cast<double>(rope.rotary_dim));
    if (rope.scaling == RopeScaling::kLinear) frequency /= rope.factor;
    if (rope.scaling == RopeScaling::kLlama3) frequency = Llama3Frequency(rope, frequency);
    if (rope.scaling == RopeScaling::kYarn) frequency = YarnFrequency(rope, i, frequency);
    if (rope.scaling == RopeScaling::kLongRope) {
      frequency /= (is_long ? rope.long_factors : rope.short_factors)[static_cast<size_t>(i)];
    }
    frequencies.push_back(static_cast<float>(frequency));
  }
  return frequencies;
}

}  // namespace lastro::engine
