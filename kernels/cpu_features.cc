#include "kernels/cpu_features.h"

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "hwy/targets.h"
#include "kernels/tiles.h"

namespace lastro::kernels {
namespace {

bool HasVnni() {
#if HWY_ARCH_X86
  return __builtin_cpu_supports("avx512vnni") != 0;
#else
  return false;
#endif
}

std::atomic<bool>& Vnni() {
  static std::atomic<bool> use = HasVnni();
  return use;
}

// Set before the first kernel runs; the tiles are not even tried where LASTRO_SIMD says less.
std::atomic<bool> may_use_tiles = true;

const char* FailedCheck() {
  static const char* const failed = may_use_tiles && WhyNoTiles() == nullptr ? CheckTiles() : nullptr;
  return failed;
}

TileUse BestTiles() {
  const bool use = may_use_tiles && HasVnni() && WhyNoTiles() == nullptr && FailedCheck() == nullptr;
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
  if (is("scalar") || is("sse4") || is("avx2") || is("avx512") || is("avx512vnni")) may_use_tiles = false;
  if (is("scalar")) return true;
  if (is("sse4") || is("avx2") || is("avx512")) Vnni() = false;
  int64_t disabled = 0;
  if (is("sse4") || is("avx2")) disabled |= HWY_AVX3 | HWY_AVX3_DL;
  if (is("sse4")) disabled |= HWY_AVX2;
  if (disabled != 0) hwy::DisableTargets(disabled);
  return false;
}

bool HasFastIntegers() { return (hwy::SupportedTargets() & (HWY_AVX2 | HWY_AVX3 | HWY_AVX3_DL)) != 0; }

bool UseVnni() { return Vnni(); }
void SetVnniForTest(bool use) { Vnni() = use && HasVnni(); }

TileUse TilesInUse() { return UseVnni() ? Tiles().load() : TileUse::kNone; }
void SetTilesForTest(TileUse use) {
  const bool possible = use == TileUse::kHardware ? BestTiles() == use : may_use_tiles && HasVnni();
  Tiles() = possible ? use : TileUse::kNone;
}
const char* TilesProblem() { return FailedCheck(); }

}  // namespace lastro::kernels
