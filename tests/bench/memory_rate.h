// What memory gives to a loop that does nothing but read.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lastro::bench {

// Reads [begin, end) in order, sixteen sums side by side so that nothing but memory is waited for; kAhead: fetched by
// instructions that far before their use, 0: by what the CPU does of itself. Which is faster depends on the CPU.
template <size_t kAhead>
uint64_t SumOf(const uint64_t* begin, const uint64_t* end) {
  uint64_t sums[16] = {};
  for (const uint64_t* p = begin; p + 16 <= end; p += 16) {
    if constexpr (kAhead > 0) {
      __builtin_prefetch(p + kAhead / sizeof(uint64_t));
      __builtin_prefetch(p + kAhead / sizeof(uint64_t) + 8);
    }
    for (size_t j = 0; j < 16; ++j) sums[j] += p[j];
  }
  uint64_t total = 0;
  for (uint64_t sum : sums) total += sum;
  return total;
}

using Reader = uint64_t (*)(const uint64_t* begin, const uint64_t* end);
inline constexpr Reader kReaders[] = {SumOf<0>, SumOf<1024>, SumOf<4096>};

}  // namespace lastro::bench
