#include "engine/mxfp4.h"

namespace lastro::engine {
namespace {

uint8_t Half(const uint8_t* values, int64_t i) { return static_cast<uint8_t>(values[i / 2] >> (4 * (i % 2)) & 15); }

}  // namespace

void RepackMxfp4Run(const uint8_t* values, uint8_t scale, uint8_t* block) {
  block[0] = scale;
  for (int64_t i = 0; i < kMxfp4RunBytes; ++i) {
    block[1 + i] = static_cast<uint8_t>(Half(values, i) | Half(values, i + kMxfp4RunBytes) << 4);
  }
}

}  // namespace lastro::engine
