// Products of many rows (gemm.h, packed_gemm.h), and attention by such. Panels of gemm.h are packed chunk by chunk of
// 256 inputs, so that the one in use stays in the first-level cache while all rows of x meet it.
#include <algorithm>
#include <cstring>
#include <limits>
#include <type_traits>

#include "kernels/cpu_features.h"
#include "kernels/gemm.h"
#include "kernels/packed_gemm.h"
#include "kernels/tiles.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd_gemm.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/quant_formats-inl.h"
#include "kernels/simd_vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lastro::kernels {
namespace HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR
const GemmKernels& Gemm() { return ReferenceGemmKernels(); }
const PackedGemmKernels& PackedGemm() { return ReferencePackedGemmKernels(); }
#else
namespace gemm_plain {
#define LASTRO_VNNI 0
#include "kernels/gemm_tiles-inl.h"
#undef LASTRO_VNNI
#include "kernels/packed_gemm-inl.h"
#include "kernels/row_attention-inl.h"
}  // namespace gemm_plain
#if HWY_TARGET != HWY_AVX2 && HWY_TARGET != HWY_AVX3
const GemmKernels& Gemm() { return gemm_plain::Table(); }
const PackedGemmKernels& PackedGemm() { return gemm_plain::PackedTable(); }
#endif
#endif

}  // namespace HWY_NAMESPACE
}  // namespace lastro::kernels
HWY_AFTER_NAMESPACE();

#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
// Highway 1.0 has no targets with just these extensions.
#if HWY_TARGET == HWY_AVX2
HWY_PUSH_ATTRIBUTES(HWY_TARGET_STR ",avxvnni")
#else
HWY_PUSH_ATTRIBUTES(HWY_TARGET_STR ",avx512vnni")
#endif
namespace lastro::kernels {
namespace HWY_NAMESPACE {
namespace gemm_vnni {
#define LASTRO_VNNI 1
#include "kernels/gemm_tiles-inl.h"
#undef LASTRO_VNNI
#if HWY_TARGET == HWY_AVX3
#include "kernels/gemm_amx-inl.h"
#endif
#include "kernels/packed_gemm-inl.h"
#include "kernels/row_attention-inl.h"
}  // namespace gemm_vnni
constexpr Vnni kOwnVnni = HWY_TARGET == HWY_AVX3 ? Vnni::kAvx512 : Vnni::kAvx;
const GemmKernels& Gemm() {
#if HWY_TARGET == HWY_AVX3
  switch (TilesInUse()) {
    case TileUse::kHardware:
      return gemm_vnni::TileTable<HardwareTiles>();
    case TileUse::kEmulated:
      return gemm_vnni::TileTable<EmulatedTiles>();
    case TileUse::kNone:
      break;
  }
#endif
  return VnniInUse() == kOwnVnni ? gemm_vnni::Table() : gemm_plain::Table();
}
const PackedGemmKernels& PackedGemm() {
  return VnniInUse() == kOwnVnni ? gemm_vnni::PackedTable() : gemm_plain::PackedTable();
}
}  // namespace HWY_NAMESPACE
}  // namespace lastro::kernels
HWY_POP_ATTRIBUTES
#endif

#if HWY_ONCE
namespace lastro::kernels {
HWY_EXPORT(Gemm);
HWY_EXPORT(PackedGemm);
const GemmKernels& SimdGemmKernels() { return HWY_DYNAMIC_DISPATCH(Gemm)(); }
const PackedGemmKernels& SimdPackedGemmKernels() { return HWY_DYNAMIC_DISPATCH(PackedGemm)(); }
}  // namespace lastro::kernels
#endif
