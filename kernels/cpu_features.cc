#include "kernels/cpu_features.h"

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "hwy/targets.h"
#include "kernels/tiles.h"

namespace lastro::kernels {
namespace {

#if HWY_ARCH_X86
bool HasAvxVnni() { return __builtin_cpu_supports("avxvnni") != 0; }
bool HasAvx512Vnni() { return __builtin_cpu_supports("avx512vnni") != 0; }
#else
bool HasAvxVnni() { return false; }
bool HasAvx512Vnni() { return false; }
#endif

Vnni BestVnni() { return HasAvx512Vnni() ? Vnni::kAvx512 : HasAvxVnni() ? Vnni::kAvx : Vnni::kNone; }

std::atomic<Vnni>& CurrentVnni() {
  static std::atomic<Vnni> use = BestVnni();
  return use;
}

// Set before the first kernel runs; the tiles are not even tried where LASTRO_SIMD says less.
std::atomic<bool> may_use_tiles = true;

const char* FailedCheck() {
  static const char* const failed = may_use_tiles && WhyNoTiles() == nullptr ? CheckTiles() : nullptr;
  return failed;
}

TileUse BestTiles() {
  const bool use = may_use_tiles && HasAvx512Vnni() && WhyNoTiles() == nullptr && FailedCheck() == nullptr;
  return use ? TileUse::kHardware : TileUse::kNone;
}

std::atomic<TileUse>& Tiles() {
  static std::atomic<TileUse> use = BestTiles();
  return use;
}

}  // namespace

bool ApplySimdLimit() {
  const char* choice = std::getenv("LASTRO_SIMD");
  if (choice == nullptr) return false;
  auto is = [choice](const char* name) { return std::strcmp(choice, name) == 0; };
  const bool no_avx512 = is("sse4") || is("avx2") || is("avxvnni");
  if (is("scalar") || no_avx512 || is("avx512") || is("avx512vnni")) may_use_tiles = false;
  if (is("scalar")) return true;
  if (no_avx512 || is("avx512")) CurrentVnni() = is("avxvnni") && HasAvxVnni() ? Vnni::kAvx : Vnni::kNone;
  int64_t disabled = 0;
  if (no_avx512) disabled |= HWY_AVX3 | HWY_AVX3_DL;
  if (is("sse4")) disabled |= HWY_AVX2;
  if (disabled != 0) hwy::DisableTargets(disabled);
  return false;
}

bool HasFastIntegers() { return (hwy::SupportedTargets() & (HWY_AVX2 | HWY_AVX3 | HWY_AVX3_DL)) != 0; }

Vnni VnniInUse() { return CurrentVnni(); }
void SetVnniForTest(Vnni use) { CurrentVnni() = use; }

TileUse TilesInUse() { return VnniInUse() == Vnni::kAvx512 ? Tiles().load() : TileUse::kNone; }
void SetTilesForTest(TileUse use) {
  const bool possible = use == TileUse::kHardware ? BestTiles() == use : may_use_tiles && HasAvx512Vnni();
  Tiles() = possible ? use : TileUse::kNone;
}
const char* TilesProblem() { return FailedCheck(); }

}  // namespace lastro::kernels
