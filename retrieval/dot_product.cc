#include "retrieval/dot_product.h"

#include <cstdlib>
#include <cstring>

#include "absl/strings/string_view.h"

namespace lastro::retrieval {
namespace {

using DotFunction = float (*)(const float*, const float*, size_t);

float DotScalar(const float* a, const float* b, size_t n) {
  float sum = 0;
  for (size_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

#if defined(__x86_64__)

// GCC vector types: one source, compiled once per instruction set by the callers' target attributes.
typedef float Float8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef float Float16 __attribute__((vector_size(64), aligned(4), may_alias));

// Four independent sums hide the latency of the multiply-adds. `Vector` has `kLanes` floats.
#define LASTRO_DOT_BODY(Vector, kLanes)                                                                              \
  Vector sum0 = {}, sum1 = {}, sum2 = {}, sum3 = {};                                                                 \
  size_t i = 0;                                                                                                      \
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {                                                                     \
    sum0 += *reinterpret_cast<const Vector*>(a + i) * *reinterpret_cast<const Vector*>(b + i);                       \
    sum1 += *reinterpret_cast<const Vector*>(a + i + kLanes) * *reinterpret_cast<const Vector*>(b + i + kLanes);     \
    sum2 +=                                                                                                          \
        *reinterpret_cast<const Vector*>(a + i + 2 * kLanes) * *reinterpret_cast<const Vector*>(b + i + 2 * kLanes); \
    sum3 +=                                                                                                          \
        *reinterpret_cast<const Vector*>(a + i + 3 * kLanes) * *reinterpret_cast<const Vector*>(b + i + 3 * kLanes); \
  }                                                                                                                  \
  Vector sums = (sum0 + sum1) + (sum2 + sum3);                                                                       \
  float total = 0;                                                                                                   \
  for (int lane = 0; lane < kLanes; ++lane) total += sums[lane];                                                     \
  for (; i < n; ++i) total += a[i] * b[i];                                                                           \
  return total;

__attribute__((target("avx2,fma"))) float DotAvx2(const float* a, const float* b, size_t n) {
  LASTRO_DOT_BODY(Float8, 8)
}

__attribute__((target("avx512f,fma"))) float DotAvx512(const float* a, const float* b,
                                                       size_t n){LASTRO_DOT_BODY(Float16, 16)}
#undef LASTRO_DOT_BODY

DotFunction ChooseDot() {
  const char* wanted = std::getenv("LASTRO_SIMD");
  if (wanted != nullptr && absl::string_view(wanted) == "scalar") return DotScalar;
  if (__builtin_cpu_supports("avx512f")) return DotAvx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return DotAvx2;
  return DotScalar;
}

#else

DotFunction ChooseDot() { return DotScalar; }

#endif

}  // namespace

float DotProduct(const float* a, const float* b, size_t n) {
  static const DotFunction dot = ChooseDot();
  return dot(a, b, n);
}

}  // namespace lastro::retrieval
