// Which instruction sets the kernels use: the best the CPU has, unless the environment variable LASTRO_SIMD says less:
// "scalar" (the reference kernels), "sse4", "avx2", "avxvnni", "avx512" or "avx512vnni" (no AMX). Thread-safe.
#pragma once

namespace lastro::kernels {

// Reads LASTRO_SIMD and takes Highway's better targets away; true for "scalar". Before the first kernel runs.
bool ApplySimdLimit();

// Whether products in integers (gemm.h, packed_gemm.h, quant.h) are faster than fp32's, or about as fast and of weights
// half as large: x86 from AVX2 on. Of what ApplySimdLimit() has left.
bool HasFastIntegers();

// Sums of four products of bytes, for which Highway 1.0 has no targets of its own: AVX-VNNI, of CPUs with AVX2, and
// AVX-512 VNNI.
enum class Vnni { kNone, kAvx, kAvx512 };
Vnni VnniInUse();
void SetVnniForTest(Vnni use);  // of what the CPU has or the test emulates; not while kernels run

// AMX (tiles.h), of a CPU with AVX-512 VNNI too, whose tiles have passed CheckTiles(). kEmulated: for tests.
enum class TileUse { kNone, kEmulated, kHardware };
TileUse TilesInUse();
void SetTilesForTest(TileUse use);  // of what can be used; not while kernels run
// What CheckTiles() says of tiles that would be used otherwise; null where all is well or there are none.
const char* TilesProblem();

}  // namespace lastro::kernels
