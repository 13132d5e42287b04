// The instructions of kernels/cuda/tensor_core.cuh, lane by lane as the PTX manual lays out their fragments.
#pragma once

#include <cstdint>
#include <cstring>

#include "cuda_bf16.h"
#include "cuda_fp16.h"

namespace cuda_emulator {

inline float AsFloat(__nv_bfloat16 x) { return __bfloat162float(x); }
inline float AsFloat(__half x) { return __half2float(x); }
template <typename T>
float ElementOf(unsigned pair, int which) {
  return AsFloat(T{static_cast<uint16_t>(pair >> 16 * which)});
}

template <typename T>
void Mma(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  const unsigned given[6] = {a[0], a[1], a[2], a[3], b0, b1};
  unsigned fragments[32][6];
  const Slot* slots = Exchange(~0u, given, sizeof(given));
  for (int lane = 0; lane < 32; ++lane) std::memcpy(fragments[lane], slots[lane].bytes, sizeof(given));
  const int lane = current_thread->lane;
  for (int i = 0; i < 4; ++i) {
    const int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
    for (int k = 0; k < 16; ++k) {
      const int at = k % 8 / 2;
      c[i] += ElementOf<T>(fragments[row % 8 * 4 + at][row / 8 + k / 8 * 2], k % 2) *
              ElementOf<T>(fragments[column * 4 + at][4 + k / 8], k % 2);
    }
  }
}

inline void LoadMatrices(const void* row, bool transposed, unsigned (&out)[4]) {
  const uint16_t* rows[32];
  const Slot* slots = Exchange(~0u, &row, sizeof(row));
  for (int lane = 0; lane < 32; ++lane) std::memcpy(&rows[lane], slots[lane].bytes, sizeof(row));
  const int g = current_thread->lane / 4, t = current_thread->lane % 4;
  for (int i = 0; i < 4; ++i) {
    const uint16_t* const* matrix = rows + 8 * i;
    const unsigned low = transposed ? matrix[2 * t][g] : matrix[g][2 * t];
    const unsigned high = transposed ? matrix[2 * t + 1][g] : matrix[g][2 * t + 1];
    out[i] = low | high << 16;
  }
}
inline void LoadMatrices(const void* row, unsigned (&out)[4]) { LoadMatrices(row, false, out); }
inline void LoadMatricesTransposed(const void* row, unsigned (&out)[4]) { LoadMatrices(row, true, out); }

// Aligned as the hardware wants it, or the copy aborts.
inline void CopyAsync16(void* shared, const void* global, bool valid) {
  if (reinterpret_cast<uintptr_t>(shared) % 16 != 0 || reinterpret_cast<uintptr_t>(global) % 16 != 0) std::abort();
  if (valid) {
    std::memcpy(shared, global, 16);
  } else {
    std::memset(shared, 0, 16);
  }
}
inline void CommitCopies() {}
template <int kPending>
void WaitForCopies() {}

}  // namespace cuda_emulator
