// Instructions that CUDA C++ has no function for: matrix products on tensor cores, their operands' loads, and copies
// past the registers. Device code; every thread of a warp calls them together.
//
// Fragments of mma.m16n8k16 (PTX ISA, "Matrix Fragments for mma.m16n8k16"), of thread lane = 4 g + t:
//   A [16, 16]: a[0] holds (g, 2t), (g, 2t + 1); a[1] the same of row g + 8; a[2] and a[3] these of columns + 8
//   B [16, 8]:  b[0] holds (2t, g), (2t + 1, g); b[1] those of rows + 8
//   C [16, 8]:  c[0], c[1] are (g, 2t), (g, 2t + 1); c[2], c[3] those of row g + 8
#pragma once

#include <type_traits>

#include "kernels/cuda/elements.cuh"

#ifdef LASTRO_CUDA_EMULATOR
#include <tensor_core_emulation.h>
#endif

namespace lastro::kernels::cuda {

#ifdef LASTRO_CUDA_EMULATOR
using ::cuda_emulator::CommitCopies;
using ::cuda_emulator::CopyAsync16;
using ::cuda_emulator::LoadMatrices;
using ::cuda_emulator::LoadMatricesTransposed;
using ::cuda_emulator::Mma;
using ::cuda_emulator::WaitForCopies;
#else

// c += a b, of elements T (bf16 or __half).
template <typename T>
__device__ __forceinline__ void Mma(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
#define LASTRO_MMA(types)                                                           \
  asm volatile("mma.sync.aligned.m16n8k16.row.col." types                           \
               " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n" \
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])                     \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1))
  if constexpr (std::is_same_v<T, bf16>) {
    LASTRO_MMA("f32.bf16.bf16.f32");
  } else {
    LASTRO_MMA("f32.f16.f16.f32");
  }
#undef LASTRO_MMA
}

// Four matrices of 8 x 8 16-bit elements from shared memory: `row` of lane 8 i + j is row j of matrix i (16 bytes,
// aligned). out[i] holds elements (g, 2t), (g, 2t + 1) of matrix i.
__device__ __forceinline__ void LoadMatrices(const void* row, unsigned (&out)[4]) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(static_cast<unsigned>(__cvta_generic_to_shared(row)))
               : "memory");
}
// As LoadMatrices, of the transposed matrices: out[i] holds elements (2t, g), (2t + 1, g) of matrix i.
__device__ __forceinline__ void LoadMatricesTransposed(const void* row, unsigned (&out)[4]) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(static_cast<unsigned>(__cvta_generic_to_shared(row)))
               : "memory");
}

// Starts the copy of 16 bytes from global to shared memory, both aligned; zeros when not `valid`. Copies started
// between two CommitCopies are one group.
__device__ __forceinline__ void CopyAsync16(void* shared, const void* global, bool valid) {
  asm volatile(
      "cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(static_cast<unsigned>(__cvta_generic_to_shared(shared))),
      "l"(global), "r"(valid ? 16 : 0)
      : "memory");
}
__device__ __forceinline__ void CommitCopies() { asm volatile("cp.async.commit_group;\n" ::: "memory"); }
// Until at most `kPending` of the thread's groups are under way; others see the copies after a barrier.
template <int kPending>
__device__ __forceinline__ void WaitForCopies() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(kPending) : "memory");
}
#endif

// Two floats as elements T (bf16 or __half), the first in the low half.
template <typename T>
__device__ __forceinline__ unsigned PackPair(float low, float high) {
#ifdef LASTRO_CUDA_EMULATOR
  return FromFloat<T>(low).bits | static_cast<unsigned>(FromFloat<T>(high).bits) << 16;
#else
  unsigned out;
  if constexpr (std::is_same_v<T, bf16>) {
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;\n" : "=r"(out) : "f"(high), "f"(low));
  } else {
    asm("cvt.rn.f16x2.f32 %0, %1, %2;\n" : "=r"(out) : "f"(high), "f"(low));
  }
  return out;
#endif
}

}  // namespace lastro::kernels::cuda
