// Random weights of a quantised format for tests: any bytes are a block, but for its F16 numbers and exponent, which
// must be of a size that weights have.
#pragma once

#include <cstring>
#include <random>
#include <vector>

#include "kernels/quant.h"

namespace lastro::testing {

// Where the F16 numbers of a block are.
inline std::vector<size_t> HalvesOf(kernels::DataType type) {
  using kernels::DataType;
  switch (type) {
    case DataType::kQ4_1:
    case DataType::kQ5_1:
    case DataType::kQ4_K:
    case DataType::kQ5_K:
      return {0, 2};
    case DataType::kQ2_K:
      return {80, 82};
    case DataType::kQ3_K:
      return {108};
    case DataType::kQ6_K:
      return {208};
    case DataType::kMXFP4:
      return {};
    default:
      return {0};
  }
}

// Some F16 numbers are subnormal, and all are below the one with the bits `half_limit`. REQUIRES: whole blocks.
inline std::vector<uint8_t> RandomBlocks(kernels::DataType type, int64_t elements, uint64_t half_limit,
                                         std::mt19937_64& random) {
  std::vector<uint8_t> blocks(static_cast<size_t>(kernels::RowBytes(type, elements)));
  for (uint8_t& byte : blocks) byte = static_cast<uint8_t>(random());
  const size_t bytes = static_cast<size_t>(kernels::ShapeOf(type).bytes);
  for (size_t at = 0; at < blocks.size(); at += bytes) {
    for (size_t offset : HalvesOf(type)) {
      const uint16_t half = static_cast<uint16_t>(random() % half_limit | (random() % 2) << 15);
      std::memcpy(blocks.data() + at + offset, &half, 2);
    }
    if (type == kernels::DataType::kMXFP4) blocks[at] = static_cast<uint8_t>(110 + random() % 20);
  }
  return blocks;
}

// Blocks whose every byte is `byte`, but for F16 numbers of 1/64 and the exponents of MXFP4. REQUIRES: whole blocks.
inline std::vector<uint8_t> EvenBlocks(kernels::DataType type, int64_t elements, uint8_t byte) {
  std::vector<uint8_t> blocks(static_cast<size_t>(kernels::RowBytes(type, elements)), byte);
  const size_t bytes = static_cast<size_t>(kernels::ShapeOf(type).bytes);
  for (size_t at = 0; at < blocks.size(); at += bytes) {
    for (size_t offset : HalvesOf(type)) blocks[at + offset] = 0, blocks[at + offset + 1] = 0x24;
    if (type == kernels::DataType::kMXFP4) blocks[at] = 121;
  }
  return blocks;
}

// The largest codes there are, of either sign, come of one of these.
inline constexpr uint8_t kEvenBytes[] = {0x00, 0x77, 0x7F, 0x80, 0x88, 0xF0, 0x0F, 0xFF};

}  // namespace lastro::testing
