// What memory gives to a loop that does nothing but read.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lastro::bench {

// Reads [begin, end) in order, sixteen sums side by side so that nothing but memory is waited for.
inline uint64_t SumOf(const uint64_t* begin, const uint64_t* end) {
  uint64_t sums[16] = {};
  for (const uint64_t* p = begin; p + 16 <= end; p += 16) {
    __builtin_prefetch(p + 512);
    __builtin_prefetch(p + 520);
    for (size_t j = 0; j < 16; ++j) sums[j] += p[j];
  }
  uint64_t total = 0;
  for (uint64_t sum : sums) total += sum;
  return total;
}

}  // namespace lastro::bench
