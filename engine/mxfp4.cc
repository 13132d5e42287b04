#include "engine/mxfp4.h"

#include <cmath>
#include <limits>

#include "kernels/bfloat16.h"

namespace lastro::engine {
namespace {

constexpr float kE2M1[8] = {0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f};

uint16_t Decode(uint8_t half, float scale) {
  float value = kE2M1[half & 7] * scale;
  if (std::fabs(value) < std::numeric_limits<float>::min()) value = 0.0f;
  return kernels::FloatToBf16((half & 8) != 0 ? -value : value);
}

}  // namespace

void DecodeMxfp4Run(const uint8_t* values, uint8_t scale, uint16_t* out) {
  const float factor =
      scale == 255 ? std::numeric_limits<float>::quiet_NaN() : std::ldexp(1.0f, static_cast<int>(scale) - 127);
  for (int64_t i = 0; i < kMxfp4RunBytes; ++i) {
    out[2 * i] = Decode(values[i] & 15, factor);
    out[2 * i + 1] = Decode(values[i] >> 4, factor);
  }
}

}  // namespace lastro::engine
