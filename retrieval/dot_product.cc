#include "retrieval/dot_product.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "retrieval/dot_product.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"

#ifndef LASTRO_RETRIEVAL_DOT_PRODUCT_CC_
#define LASTRO_RETRIEVAL_DOT_PRODUCT_CC_
namespace lastro::retrieval {

// What ScoreRange, ScoreRows and ScoreRangeCoarsely are made of.
struct CodeProducts {
  void (*range)(const CodeOperand& operand, const CodeRows& rows, size_t begin, size_t count, float* out);
  void (*indices)(const CodeOperand& operand, const CodeRows& rows, const uint32_t* indices, size_t count, float* out);
  // Null: no faster than `range`.
  void (*coarse)(const CoarseOperand& operand, const CodeRows& rows, size_t begin, size_t count, float* out);
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

uint32_t Nearest(const float* x, const float* columns) {
  const hn::CappedTag<float, 16> d;
  const hn::RebindToSigned<decltype(d)> di;
  const size_t lanes = hn::Lanes(d);
  auto best = hn::Set(d, std::numeric_limits<float>::infinity());
  auto best_at = hn::Zero(di);
  for (size_t i = 0; i < kPartColumns; i += lanes) {
    auto distance = hn::Zero(d);
    for (size_t k = 0; k < kPartNumbers; ++k) {
      const auto rest = hn::Sub(hn::Set(d, x[k]), hn::LoadU(d, columns + k * kPartColumns + i));
      distance = hn::MulAdd(rest, rest, distance);
    }
    const auto nearer = hn::Lt(distance, best);
    best = hn::IfThenElse(nearer, distance, best);
    best_at = hn::IfThenElse(hn::RebindMask(di, nearer), hn::Set(di, static_cast<int32_t>(i)), best_at);
  }
  HWY_ALIGN float distances[16];
  HWY_ALIGN int32_t at[16];
  hn::Store(best, d, distances);
  hn::Store(best_at, di, at);
  size_t lane = 0;
  auto column = [&](size_t l) { return static_cast<size_t>(at[l]) + l; };
  for (size_t l = 1; l < lanes; ++l) {
    if (distances[l] < distances[lane] || (distances[l] == distances[lane] && column(l) < column(lane))) lane = l;
  }
  return static_cast<uint32_t>(column(lane));
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
HWY_EXPORT(Nearest);
HWY_EXPORT(Products);

std::atomic<SimdLimit>& CurrentLimit() {
  static std::atomic<SimdLimit> limit = [] {
    const char* choice = std::getenv("LASTRO_SIMD");
    auto is = [choice](const char* name) { return choice != nullptr && std::strcmp(choice, name) == 0; };
    if (is("scalar")) return SimdLimit::kScalar;
    const bool no_vnni = is("sse4") || is("avx2") || is("avxvnni") || is("avx512");
    return no_vnni ? SimdLimit::kNoVnni : SimdLimit::kNone;
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
  const uint8_t* codes = rows.codes + row * rows.stride;
  for (size_t k = 0; k < rows.stride; ++k) {
    total += operand.wide[k % 2 * (rows.stride / 2) + k / 2] * (codes[k] - 128);
  }
  return operand.scale * rows.scales[row] * static_cast<float>(total);
}

float ScoreCoarselyScalar(const CoarseOperand& operand, const CodeRows& rows, size_t row) {
  int64_t total = 0;
  const uint8_t* codes = rows.codes + row * rows.stride;
  for (size_t k = 0; k < rows.stride; ++k) total += operand.numbers[k] * (codes[k] - 128);
  return operand.scale * rows.scales[row] * static_cast<float>(total);
}

uint32_t NearestScalar(const float* x, const float* columns) {
  uint32_t nearest = 0;
  float least = std::numeric_limits<float>::infinity();
  for (uint32_t i = 0; i < kPartColumns; ++i) {
    float distance = 0;
    for (size_t k = 0; k < kPartNumbers; ++k) {
      const float rest = x[k] - columns[k * kPartColumns + i];
      distance += rest * rest;
    }
    if (distance >= least) continue;
    least = distance;
    nearest = i;
  }
  return nearest;
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

bool CoarseIsFaster() {
  return CurrentLimit() != SimdLimit::kScalar && HWY_DYNAMIC_DISPATCH(Products)().coarse != nullptr;
}

void ScoreRangeCoarsely(const CoarseOperand& operand, const CodeRows& rows, size_t begin, size_t count, float* out) {
  if (CoarseIsFaster()) return HWY_DYNAMIC_DISPATCH(Products)().coarse(operand, rows, begin, count, out);
  for (size_t i = 0; i < count; ++i) out[i] = ScoreCoarselyScalar(operand, rows, begin + i);
}

uint32_t NearestColumn(const float* x, const float* columns) {
  return CurrentLimit() == SimdLimit::kScalar ? NearestScalar(x, columns)
                                              : HWY_DYNAMIC_DISPATCH(Nearest)(x, columns);
}

}  // namespace lastro::retrieval
#endif
