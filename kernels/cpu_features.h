// Which instruction sets the kernels use: the best the CPU has, unless the environment variable LASTRO_SIMD says less:
// "scalar" (the reference kernels), "sse4", "avx2", "avx512" or "avx512vnni". Thread-safe.
#pragma once

namespace lastro::kernels {

// Reads LASTRO_SIMD and takes Highway's better targets away; true for "scalar". Before the first kernel runs.
bool ApplySimdLimit();

// AVX-512 VNNI, for which Highway 1.0 has no target of its own: sums of products of bytes.
bool UseVnni();
void SetVnniForTest(bool use);  // of a CPU that has it; not while kernels run

}  // namespace lastro::kernels
