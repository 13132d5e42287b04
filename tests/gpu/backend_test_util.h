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

// A number in a type of two bytes.
inline uint16_t NarrowBits(float value, DataType type) {
  return type == DataType::kBF16 ? kernels::FloatToBf16(value) : kernels::FloatToFp16(value);
}

// Number `at` of a matrix's bytes.
inline float ElementAt(const uint8_t* bytes, DataType type, int64_t at) {
  float value;
  uint16_t bits;
  if (type == DataType::kF32) {
    std::memcpy(&value, bytes + at * 4, 4);
    return value;
  }
  std::memcpy(&bits, bytes + at * 2, 2);
  return type == DataType::kBF16 ? kernels::Bf16ToFloat(bits) : kernels::Fp16ToFloat(bits);
}

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
  static constexpr float kSentinel = -12352.0f;  // exact in every type
  static constexpr int64_t kGuard = 64;

  static void Write(float value, DataType type, int64_t at, std::vector<uint8_t>* bytes) {
    if (type == DataType::kF32) {
      std::memcpy(bytes->data() + at * 4, &value, 4);
    } else {
      const uint16_t bits = NarrowBits(value, type);
      std::memcpy(bytes->data() + at * 2, &bits, 2);
    }
  }
  static float Read(const std::vector<uint8_t>& bytes, DataType type, int64_t at) {
    return ElementAt(bytes.data(), type, at);
  }

  std::unique_ptr<Backend> backend_;
  std::vector<std::unique_ptr<Buffer>> buffers_;
};

inline std::unique_ptr<Backend> NewCuda(DataType type, int64_t memory_bytes = int64_t{1} << 30) {
  CudaBackendOptions options;
  options.type = type;
  options.memory_bytes = memory_bytes;
  options.kernels_overlap = testing::TestsKernelsOverlap();
  auto backend = CudaBackend::Create(options);
  EXPECT_THAT(backend, testing::IsOk());
  return *std::move(backend);
}

inline std::unique_ptr<Backend> NewReference() {
  CpuBackendOptions options;
  options.threads = 1;
  return std::make_unique<CpuBackend>(options, kernels::ReferenceKernels());
}

// Runs with activations of each type. Numbers that both backends get are exact in every one of them.
class CudaTest : public ::testing::TestWithParam<DataType> {
 protected:
  CudaTest() : cuda_(NewCuda(GetParam())), reference_(NewReference()) {}

  DataType type() const { return GetParam(); }
  bool narrow() const { return type() != DataType::kF32; }
  // What is allowed in bf16 and in fp32; in fp16, which has three bits more, a sixth of bf16's.
  double Allowed(double bf16, double fp32) const {
    return type() == DataType::kBF16 ? bf16 : type() == DataType::kF16 ? bf16 / 6 : fp32;
  }

  std::vector<float> Random(int64_t count, float scale = 1.0f) {
    std::normal_distribution<float> normal(0, scale);
    std::vector<float> values(static_cast<size_t>(count));
    for (float& v : values) {
      v = kernels::Bf16ToFloat(kernels::FloatToBf16(normal(random_)));
      if (std::abs(v) < 0x1p-14f) v = 0;  // fp16 has fewer bits there
    }
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
    const bool rounded = stored != DataType::kF32;
    ExpectNear(got, want, rounded ? Allowed(0x1p-8, 0) : 2e-5, rounded ? 1e-6 : 2e-6);
  }

  Side cuda_, reference_;
  std::mt19937_64 random_ = testing::SeededRandom(4711);
};

#define LASTRO_INSTANTIATE_CUDA_TESTS(suite)                                                                   \
  INSTANTIATE_TEST_SUITE_P(                                                                                    \
      Types, suite, ::testing::Values(DataType::kF32, DataType::kBF16, DataType::kF16), [](const auto& info) { \
        return info.param == DataType::kF32 ? "fp32" : info.param == DataType::kBF16 ? "bf16" : "fp16";        \
      })

}  // namespace lastro::engine
