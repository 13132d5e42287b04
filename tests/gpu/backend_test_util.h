// What the tests of the CUDA backend share: matrices on a backend with sentinels around and between their rows, and
// the backend under test beside the plain loops in double of the CPU's reference kernels.
#pragma once

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/cpu_backend.h"
#include "engine/cuda/cuda_backend.h"
#include "kernels/bfloat16.h"
#include "tests/test_util.h"

namespace lastro::engine {

// One backend, and matrices of its own on it.
class Side {
 public:
  explicit Side(std::unique_ptr<Backend> backend) : backend_(std::move(backend)) {}
  Backend& operator*() const { return *backend_; }
  Backend* operator->() const { return backend_.get(); }

  // A matrix that holds `values` (NaN where there are none), its rows `gap` elements apart.
  MatrixView Put(const std::vector<float>& values, int64_t rows, int64_t cols, DataType type, int64_t gap = 8) {
    const int64_t stride = cols + gap;
    std::vector<uint8_t> bytes(static_cast<size_t>(kernels::RowBytes(type, kGuard + rows * stride + kGuard)));
    for (int64_t i = 0; i < kGuard + rows * stride + kGuard; ++i) Write(kSentinel, type, i, &bytes);
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t col = 0; col < cols; ++col) {
        const float value = values.empty() ? NAN : values[static_cast<size_t>(row * cols + col)];
        Write(value, type, kGuard + row * stride + col, &bytes);
      }
    }
    buffers_.push_back(*backend_->Allocate(static_cast<int64_t>(bytes.size())));
    Buffer& buffer = *buffers_.back();
    EXPECT_THAT(backend_->CopyToDevice(bytes.data(), static_cast<int64_t>(bytes.size()), buffer.data()),
                testing::IsOk());
    return {buffer.data() + kernels::RowBytes(type, kGuard), rows, cols, stride, type};
  }
  MatrixView Empty(int64_t rows, int64_t cols, DataType type, int64_t gap = 8) {
    return Put({}, rows, cols, type, gap);
  }
  const float* Vector(const std::vector<float>& values) {
    return Put(values, 1, static_cast<int64_t>(values.size()), DataType::kF32).floats();
  }

  // The elements of a whole matrix of Put; fails where a sentinel is no more.
  std::vector<float> Get(const MatrixView& m) {
    const int64_t count = kGuard + m.rows * m.stride + kGuard;
    std::vector<uint8_t> bytes(static_cast<size_t>(kernels::RowBytes(m.type, count)));
    const uint8_t* from = static_cast<const uint8_t*>(m.data) - kernels::RowBytes(m.type, kGuard);
    backend_->CopyToHost(from, static_cast<int64_t>(bytes.size()), bytes.data());
    EXPECT_THAT(backend_->Synchronize(), testing::IsOk());
    std::vector<float> values;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t at = i - kGuard;
      const float value = Read(bytes, m.type, i);
      const bool inside = at >= 0 && at < m.rows * m.stride && at % m.stride < m.cols;
      if (inside) values.push_back(value);
      EXPECT_TRUE(inside || value == kSentinel) << value << " at " << at;
    }
    return values;
  }

 private:
  static constexpr float kSentinel = -12352.0f;  // exact in bf16
  static constexpr int64_t kGuard = 64;

  static void Write(float value, DataType type, int64_t at, std::vector<uint8_t>* bytes) {
    if (type == DataType::kBF16) {
      const uint16_t bits = kernels::FloatToBf16(value);
      std::memcpy(bytes->data() + at * 2, &bits, 2);
    } else {
      std::memcpy(bytes->data() + at * 4, &value, 4);
    }
  }
  static float Read(const std::vector<uint8_t>& bytes, DataType type, int64_t at) {
    float value;
    uint16_t bits;
    std::memcpy(&value, bytes.data() + at * (type == DataType::kBF16 ? 2 : 4), type == DataType::kBF16 ? 2 : 4);
    if (type != DataType::kBF16) return value;
    std::memcpy(&bits, bytes.data() + at * 2, 2);
    return kernels::Bf16ToFloat(bits);
  }

  std::unique_ptr<Backend> backend_;
  std::vector<std::unique_ptr<Buffer>> buffers_;
};

inline std::unique_ptr<Backend> NewCuda(bool bf16, int64_t memory_bytes = int64_t{1} << 30) {
  CudaBackendOptions options;
  options.bf16 = bf16;
  options.memory_bytes = memory_bytes;
  auto backend = CudaBackend::Create(options);
  EXPECT_THAT(backend, testing::IsOk());
  return *std::move(backend);
}

inline std::unique_ptr<Backend> NewReference() {
  CpuBackendOptions options;
  options.threads = 1;
  return std::make_unique<CpuBackend>(options, kernels::ReferenceKernels());
}

// Runs with fp32 and with bf16 activations. Numbers that both backends get are exact in the type they are stored in.
class CudaTest : public ::testing::TestWithParam<bool> {
 protected:
  CudaTest() : cuda_(NewCuda(GetParam())), reference_(NewReference()) {}

  bool bf16() const { return GetParam(); }
  DataType type() const { return bf16() ? DataType::kBF16 : DataType::kF32; }

  std::vector<float> Random(int64_t count, float scale = 1.0f) {
    std::normal_distribution<float> normal(0, scale);
    std::vector<float> values(static_cast<size_t>(count));
    for (float& v : values) v = kernels::Bf16ToFloat(kernels::FloatToBf16(normal(random_)));
    return values;
  }

  // Each within `relative` of the largest of the wanted numbers' neighbourhood, or `absolute`.
  void ExpectNear(const std::vector<float>& got, const std::vector<float>& want, double relative, double absolute) {
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < got.size(); ++i) {
      ASSERT_NEAR(got[i], want[i], relative * std::abs(want[i]) + absolute) << "at " << i;
    }
  }
  // Of results that were rounded once to the activations' type.
  void ExpectRounded(const std::vector<float>& got, const std::vector<float>& want, DataType stored) {
    const bool rounded = stored == DataType::kBF16;
    ExpectNear(got, want, rounded ? 0x1p-8 : 2e-5, rounded ? 1e-6 : 2e-6);
  }

  Side cuda_, reference_;
  std::mt19937_64 random_ = testing::SeededRandom(4711);
};

#define LASTRO_INSTANTIATE_CUDA_TESTS(suite)                \
  INSTANTIATE_TEST_SUITE_P(Types, suite, ::testing::Bool(), \
                           [](const auto& info) { return info.param ? "bf16" : "fp32"; })

}  // namespace lastro::engine
