// How fast the GPU finds the nearest of many vectors: gpu_scan [ROWS]. Prints one JSON object: for callers that ask one
// after another and many at once, searches a second and the rate at which codes are read (of a search that shares its
// pass with others, its part).
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <thread>
#include <vector>

#include "engine/vector_scan.h"

namespace lastro::engine {
namespace {

constexpr int64_t kStride = 384;

double Seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// Searches a second of `callers` that each ask `searches` times.
double Rate(VectorScan::Rows& rows, const ScanQuery& query, int callers, int searches) {
  auto ask = [&] {
    for (int i = 0; i < searches; ++i) {
      if (rows.Best(query).ok()) continue;
      std::fprintf(stderr, "gpu_scan: a search failed\n");
      std::exit(1);
    }
  };
  const double begin = Seconds();
  std::vector<std::thread> threads;
  for (int i = 1; i < callers; ++i) threads.emplace_back(ask);
  ask();
  for (std::thread& thread : threads) thread.join();
  return callers * searches / (Seconds() - begin);
}

int Main(int64_t count) {
  std::mt19937 random(1);
  std::vector<uint8_t> codes(static_cast<size_t>(count * kStride));
  for (uint8_t& code : codes) code = static_cast<uint8_t>(1 + random() % 255);
  const std::vector<float> scales(static_cast<size_t>(count), 1.0f / 4096), errors(static_cast<size_t>(count), 0.007f);
  std::vector<int8_t> high(kStride), low(kStride);
  for (size_t i = 0; i < kStride; ++i) high[i] = static_cast<int8_t>(random()), low[i] = static_cast<int8_t>(random());
  auto scan = VectorScan::Create("cuda", int64_t{32} << 30);
  auto rows = scan.ok() ? (*scan)->Load({codes.data(), scales.data(), errors.data(), count, kStride}) : scan.status();
  if (!rows.ok()) {
    std::fprintf(stderr, "gpu_scan: %s\n", std::string(rows.status().message()).c_str());
    return 1;
  }
  const ScanQuery query = {high, low, 1e-4f, 1.0f, 1e-5f, {}, 52};
  Rate(**rows, query, 1, 10);
  std::printf("{\"rows\": %ld", static_cast<long>(count));
  for (int callers : {1, 8, 32}) {
    const double rate = Rate(**rows, query, callers, 400 / callers + 1);
    std::printf(", \"searches_per_s_%d\": %.0f, \"gb_per_s_%d\": %.0f", callers, rate, callers,
                rate * static_cast<double>(count * kStride) / 1e9);
  }
  std::printf("}\n");
  return 0;
}

}  // namespace
}  // namespace lastro::engine

int main(int argc, char** argv) { return lastro::engine::Main(argc > 1 ? std::atol(argv[1]) : 1000000); }
