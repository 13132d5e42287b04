#include "retrieval/dot_product.h"

#include <atomic>
#include <cstdlib>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "retrieval/dot_product.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"

#ifndef LASTRO_RETRIEVAL_DOT_PRODUCT_CC_
#define LASTRO_RETRIEVAL_DOT_PRODUCT_CC_
namespace lastro::retrieval {

// What ScoreRange and ScoreRows are made of.
struct CodeProducts {
  void (*range)(const CodeOperand& operand, const CodeRows& rows, size_t begin, size_t count, float* out);
  void (*indices)(const CodeOperand& operand, const CodeRows& rows, const uint32_t* indices, size_t count, float* out);
};

// Whoever limits Highway's targets (kernels/cpu_features.h reads the same variable) limits these too; what Highway has
// no target for is limited here.
std::atomic<SimdLimit>& CurrentLimit();
inline bool UseVnni() {
#if HWY_ARCH_X86
  static const bool has = __builtin_cpu_supports("avx512vnni") != 0;
  return has && CurrentLimit() == SimdLimit::kNone;
#else
  return false;
#endif
}

}  // namespace lastro::retrieval
#endif

HWY_BEFORE_NAMESPACE();
namespace lastro::retrieval {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Four independent sums hide the latency of the multiply-adds.
float Dot(const float* a, const float* b, size_t n) {
  const hn::ScalableTag<float> d;
  const size_t lanes = hn::Lanes(d);
  auto sum0 = hn::Zero(d), sum1 = sum0, sum2 = sum0, sum3 = sum0;
  size_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    sum0 = hn::MulAdd(hn::LoadU(d, a + i), hn::LoadU(d, b + i), sum0);
    sum1 = hn::MulAdd(hn::LoadU(d, a + i + lanes), hn::LoadU(d, b + i + lanes), sum1);
    sum2 = hn::MulAdd(hn::LoadU(d, a + i + 2 * lanes), hn::LoadU(d, b + i + 2 * lanes), sum2);
    sum3 = hn::MulAdd(hn::LoadU(d, a + i + 3 * lanes), hn::LoadU(d, b + i + 3 * lanes), sum3);
  }
  for (; i + lanes <= n; i += lanes) sum0 = hn::MulAdd(hn::LoadU(d, a + i), hn::LoadU(d, b + i), sum0);
  float total = hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(sum0, sum1), hn::Add(sum2, sum3))));
  for (; i < n; ++i) total += a[i] * b[i];
  return total;
}

namespace plain {
#define LASTRO_VNNI 0
#include "retrieval/code_products-inl.h"
#undef LASTRO_VNNI
}  // namespace plain
#if HWY_TARGET != HWY_AVX3
const CodeProducts& Products() { return plain::Table(); }
#endif

}  // namespace HWY_NAMESPACE
}  // namespace lastro::retrieval
HWY_AFTER_NAMESPACE();

#if HWY_TARGET == HWY_AVX3
// Highway 1.0 has no target with just this extension.
HWY_PUSH_ATTRIBUTES(HWY_TARGET_STR ",avx512vnni")
namespace lastro::retrieval {
namespace HWY_NAMESPACE {
namespace vnni {
#define LASTRO_VNNI 1
#include "retrieval/code_products-inl.h"
#undef LASTRO_VNNI
}  // namespace vnni
const CodeProducts& Products() { return UseVnni() ? vnni::Table() : plain::Table(); }
}  // namespace HWY_NAMESPACE
}  // namespace lastro::retrieval
HWY_POP_ATTRIBUTES
#endif

#if HWY_ONCE
namespace lastro::retrieval {
HWY_EXPORT(Dot);
HWY_EXPORT(Products);

std::atomic<SimdLimit>& CurrentLimit() {
  static std::atomic<SimdLimit> limit = [] {
    const char* choice = std::getenv("LASTRO_SIMD");
    auto is = [choice](const char* name) { return choice != nullptr && std::strcmp(choice, name) == 0; };
    if (is("scalar")) return SimdLimit::kScalar;
    return is("sse4") || is("avx2") || is("avx512") ? SimdLimit::kNoVnni : SimdLimit::kNone;
  }();
  return limit;
}

void SetSimdLimitForTest(SimdLimit limit) { CurrentLimit() = limit; }

namespace {

float DotScalar(const float* a, const float* b, size_t n) {
  float sum = 0;
  for (size_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

float ScoreScalar(const CodeOperand& operand, const CodeRows& rows, size_t row) {
  int64_t total = 0;
  for (size_t k = 0; k < rows.stride; ++k) total += operand.wide[k] * (rows.codes[row * rows.stride + k] - 128);
  return operand.scale * rows.scales[row] * static_cast<float>(total);
}

}  // namespace

float DotProduct(const float* a, const float* b, size_t n) {
  return CurrentLimit() == SimdLimit::kScalar ? DotScalar(a, b, n) : HWY_DYNAMIC_DISPATCH(Dot)(a, b, n);
}

void ScoreRange(const CodeOperand& operand, const CodeRows& rows, size_t begin, size_t count, float* out) {
  if (CurrentLimit() != SimdLimit::kScalar) {
    return HWY_DYNAMIC_DISPATCH(Products)().range(operand, rows, begin, count, out);
  }
  for (size_t i = 0; i < count; ++i) out[i] = ScoreScalar(operand, rows, begin + i);
}

void ScoreRows(const CodeOperand& operand, const CodeRows& rows, const uint32_t* indices, size_t count, float* out) {
  if (CurrentLimit() != SimdLimit::kScalar) {
    return HWY_DYNAMIC_DISPATCH(Products)().indices(operand, rows, indices, count, out);
  }
  for (size_t i = 0; i < count; ++i) out[i] = ScoreScalar(operand, rows, indices[i]);
}

}  // namespace lastro::retrieval
#endif
