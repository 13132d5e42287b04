// What the kernel tests share: every implementation and instruction set of this machine, matrices with sentinels around
// and between their rows, and tolerances from norms.
#pragma once

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "hwy/targets.h"
#include "kernels/cpu_features.h"
#include "kernels/kernels.h"
#include "tests/test_util.h"
#include "tests/unit/kernels/avx_vnni_emulator.h"

namespace lastro::kernels {

// One implementation: the reference, or SIMD with the best instruction set limited to `target`.
struct Implementation {
  std::string name;
  int64_t target;  // 0: the reference
  Vnni vnni = Vnni::kNone;
  TileUse tiles = TileUse::kNone;

  bool IsEmulated() const { return vnni == Vnni::kAvx && NeedsAvxVnniEmulation(); }
};

inline const Vnni kBestVnni = VnniInUse();

// AVX-VNNI is emulated where the CPU lacks it.
inline std::vector<Implementation> Implementations() {
  std::vector<Implementation> all = {{"scalar", 0}};
  const int64_t supported = hwy::SupportedTargets();
  for (int64_t target : {HWY_AVX3, HWY_AVX2, HWY_SSE4, HWY_EMU128}) {
    // The portable target has no bit of its own in what the CPU supports.
    if ((supported & target) != 0 || target == HWY_EMU128) all.push_back({hwy::TargetName(target), target});
  }
  if ((supported & HWY_AVX2) != 0) all.push_back({"AVX2_VNNI", HWY_AVX2, Vnni::kAvx});
  if (kBestVnni == Vnni::kAvx512) all.push_back({"AVX3_VNNI", HWY_AVX3, kBestVnni});
  return all;
}

// Where there are bytes to multiply also tiles: the instructions where the CPU has them, and what emulates them.
inline std::vector<Implementation> WithTiles() {
  std::vector<Implementation> all = Implementations();
  if (kBestVnni != Vnni::kAvx512) return all;
  all.push_back({"AMX_EMULATED", HWY_AVX3, kBestVnni, TileUse::kEmulated});
  if (TilesInUse() == TileUse::kHardware) all.push_back({"AMX", HWY_AVX3, kBestVnni, TileUse::kHardware});
  return all;
}

// From now on SIMD kernels are those of `one`. REQUIRES: not the reference.
inline void Use(const Implementation& one) {
  hwy::SetSupportedTargetsForTest(one.target);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  if (one.IsEmulated()) EmulateAvxVnni();
  SetVnniForTest(one.vnni);
  SetTilesForTest(one.tiles);
}
inline void UseTheBest() {
  SetVnniForTest(kBestVnni);
  SetTilesForTest(TileUse::kHardware);
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().DeInit();
}

// The base of each file's fixture: every test runs once per implementation; `kernels()` is the one under test.
class KernelTest : public ::testing::TestWithParam<Implementation> {
 protected:
  void SetUp() override {
    if (GetParam().target != 0) Use(GetParam());
  }
  void TearDown() override { UseTheBest(); }
  const Kernels& kernels() const { return GetParam().target == 0 ? ReferenceKernels() : SimdKernels(); }

  std::mt19937_64 random_ = testing::SeededRandom(20240611);
};

#define LASTRO_INSTANTIATE_KERNEL_TESTS(suite) LASTRO_INSTANTIATE_KERNEL_TESTS_OF_(suite, Implementations())
#define LASTRO_INSTANTIATE_KERNEL_TESTS_WITH_TILES(suite) LASTRO_INSTANTIATE_KERNEL_TESTS_OF_(suite, WithTiles())
#define LASTRO_INSTANTIATE_KERNEL_TESTS_OF_(suite, implementations)                      \
  INSTANTIATE_TEST_SUITE_P(Implementations, suite, ::testing::ValuesIn(implementations), \
                           [](const auto& info) { return info.param.name; })

inline constexpr float kSentinel = -12345.0f;

// A strided matrix whose rows do not touch: every float that is not an element is a sentinel.
class GuardedMatrix {
 public:
  GuardedMatrix(int64_t rows, int64_t cols, int64_t gap = 3)
      : rows_(rows), cols_(cols), stride_(cols + gap), data_(static_cast<size_t>(rows * stride_ + 64), kSentinel) {}

  static GuardedMatrix Random(int64_t rows, int64_t cols, std::mt19937_64& random, float scale = 1.0f) {
    GuardedMatrix m(rows, cols);
    std::normal_distribution<float> normal(0.0f, scale);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < cols; ++c) m.at(r, c) = normal(random);
    }
    return m;
  }

  float& at(int64_t r, int64_t c) { return data_[static_cast<size_t>(kBefore + r * stride_ + c)]; }
  float at(int64_t r, int64_t c) const { return data_[static_cast<size_t>(kBefore + r * stride_ + c)]; }
  ConstRows in() const { return {data_.data() + kBefore, stride_}; }
  MutRows out() { return {data_.data() + kBefore, stride_}; }
  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }

  // Fails when anything outside the elements was written.
  void ExpectGuardsIntact() const {
    for (int64_t i = 0; i < static_cast<int64_t>(data_.size()); ++i) {
      const int64_t offset = i - kBefore;
      const bool element = offset >= 0 && offset < rows_ * stride_ && offset % stride_ < cols_;
      if (element) continue;
      ASSERT_EQ(data_[static_cast<size_t>(i)], kSentinel) << "at offset " << offset;
    }
  }

 private:
  static constexpr int64_t kBefore = 5;  // odd: rows are not aligned to vectors
  int64_t rows_, cols_, stride_;
  std::vector<float> data_;
};

// |got - want| within `ulps` of fp32 epsilon times `magnitude`, the size of the terms that were added; NaN fails.
inline void ExpectClose(double got, double want, double magnitude, double ulps) {
  EXPECT_LE(std::abs(got - want), ulps * 1.2e-7 * magnitude + 1e-30) << "got " << got << ", want " << want;
}

// Widths around the vector lengths of all instruction sets.
inline const std::vector<int64_t>& TailSizes() {
  static const std::vector<int64_t> sizes = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 129, 384};
  return sizes;
}

}  // namespace lastro::kernels
