#include "kernels/cpu_features.h"

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "hwy/targets.h"

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

}  // namespace

bool ApplySimdLimit() {
  const char* choice = std::getenv("LASTRO_SIMD");
  if (choice == nullptr) return false;
  auto is = [choice](const char* name) { return std::strcmp(choice, name) == 0; };
  if (is("scalar")) return true;
  if (is("sse4") || is("avx2") || is("avx512")) Vnni() = false;
  int64_t disabled = 0;
  if (is("sse4") || is("avx2")) disabled |= HWY_AVX3 | HWY_AVX3_DL;
  if (is("sse4")) disabled |= HWY_AVX2;
  if (disabled != 0) hwy::DisableTargets(disabled);
  return false;
}

bool UseVnni() { return Vnni(); }
void SetVnniForTest(bool use) { Vnni() = use && HasVnni(); }

}  // namespace lastro::kernels
