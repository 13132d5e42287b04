// What the GPU can do at best, beside which the benchmarks' figures are read: copies within its memory, and bf16
// products by cuBLASLt. Prints one JSON object.
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <vector>

#include "kernels/cuda/dense_product.h"

namespace lastro::kernels::cuda {
namespace {

void Check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "ceilings: %s: %s\n", what, cudaGetErrorString(error));
  std::exit(1);
}

void* Allocate(size_t bytes) {
  void* memory = nullptr;
  Check(cudaMalloc(&memory, bytes), "cudaMalloc");
  Check(cudaMemset(memory, 0, bytes), "cudaMemset");
  return memory;
}

// Median seconds of one run of `body`, over runs of several.
double Seconds(cudaStream_t stream, const std::function<void()>& body) {
  constexpr int kRuns = 7, kRepeats = 10;
  cudaEvent_t begin, end;
  Check(cudaEventCreate(&begin), "cudaEventCreate");
  Check(cudaEventCreate(&end), "cudaEventCreate");
  std::vector<float> times;
  body();
  for (int run = 0; run < kRuns; ++run) {
    Check(cudaEventRecord(begin, stream), "cudaEventRecord");
    for (int i = 0; i < kRepeats; ++i) body();
    Check(cudaEventRecord(end, stream), "cudaEventRecord");
    Check(cudaEventSynchronize(end), "cudaEventSynchronize");
    float milliseconds = 0;
    Check(cudaEventElapsedTime(&milliseconds, begin, end), "cudaEventElapsedTime");
    times.push_back(milliseconds / kRepeats);
  }
  std::nth_element(times.begin(), times.begin() + kRuns / 2, times.end());
  return times[kRuns / 2] / 1e3;
}

int Main() {
  cudaStream_t stream;
  Check(cudaStreamCreate(&stream), "cudaStreamCreate");
  constexpr size_t kBytes = size_t{2} << 30;
  void *from = Allocate(kBytes), *to = Allocate(kBytes);
  const double copy = Seconds(
      stream, [&] { Check(cudaMemcpyAsync(to, from, kBytes, cudaMemcpyDeviceToDevice, stream), "cudaMemcpyAsync"); });
  std::string error;
  auto products = DenseProducts::Create(Allocate(DenseProducts::kWorkspaceBytes), &error);
  if (products == nullptr) {
    std::fprintf(stderr, "ceilings: %s\n", error.c_str());
    return 1;
  }
  constexpr int64_t kSize = 8192;
  const Matrix x = {from, DataType::kBF16, kSize, kSize, kSize};
  const Matrix out = {static_cast<uint8_t*>(from) + kBytes / 2, DataType::kBF16, kSize, kSize, kSize};
  const double product = Seconds(stream, [&] { Check(products->Run(to, nullptr, x, out, stream), "product"); });
  // A copy reads and writes.
  std::printf("{\"memory_gb_per_s\": %.0f, \"bf16_tflop_per_s\": %.0f}\n", 2.0 * kBytes / copy / 1e9,
              2.0 * kSize * kSize * kSize / product / 1e12);
  return 0;
}

}  // namespace
}  // namespace lastro::kernels::cuda

int main() { return lastro::kernels::cuda::Main(); }
