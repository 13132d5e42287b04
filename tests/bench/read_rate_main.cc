// read_rate [--megabytes N] [--threads N] [--passes N]: the rate at which memory is read, in GB/s, the median of the
// passes of the fastest way. What a step that reads every weight once cannot be faster than.
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "tests/bench/memory_rate.h"

namespace lastro::bench {
namespace {

double Seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

int Main(size_t megabytes, size_t threads, int passes) {
  const size_t words = (megabytes << 20) / sizeof(uint64_t);
  void* memory = mmap(nullptr, words * sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  LASTRO_CHECK(memory != MAP_FAILED);
  (void)madvise(memory, words * sizeof(uint64_t), MADV_HUGEPAGE);
  auto* numbers = static_cast<uint64_t*>(memory);
  for (size_t i = 0; i < words; ++i) numbers[i] = i;
  std::atomic<uint64_t> sink{0};
  std::vector<std::vector<double>> rates(std::size(kReaders));
  for (int pass = 0; pass < passes; ++pass) {
    for (size_t way = 0; way < rates.size(); ++way) {
      const double start = Seconds();
      std::vector<std::thread> readers;
      for (size_t t = 0; t < threads; ++t) {
        readers.emplace_back(
            [&, t] { sink += kReaders[way](numbers + words * t / threads, numbers + words * (t + 1) / threads); });
      }
      for (std::thread& reader : readers) reader.join();
      rates[way].push_back(static_cast<double>(words * sizeof(uint64_t)) / (Seconds() - start) / 1e9);
    }
  }
  double best = 0;
  for (std::vector<double>& of_one_way : rates) {
    std::sort(of_one_way.begin(), of_one_way.end());
    best = std::max(best, of_one_way[of_one_way.size() / 2]);
  }
  std::printf("{\"gb_per_s\": %.2f, \"sum\": %llu}\n", best, static_cast<unsigned long long>(sink.load()));
  return 0;
}

}  // namespace
}  // namespace lastro::bench

int main(int argc, char** argv) {
  long megabytes = 1024, threads = 2, passes = 9;
  bool understood = argc % 2 == 1;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string option = argv[i];
    long* to = option == "--megabytes" ? &megabytes
               : option == "--threads" ? &threads
               : option == "--passes"  ? &passes
                                       : nullptr;
    understood &= to != nullptr;
    if (to != nullptr) *to = std::atol(argv[i + 1]);
  }
  if (!understood || megabytes < 1 || threads < 1 || passes < 1) {
    std::fprintf(stderr, "read_rate [--megabytes N] [--threads N] [--passes N]: how fast memory is read\n");
    return 2;
  }
  return lastro::bench::Main(static_cast<size_t>(megabytes), static_cast<size_t>(threads), static_cast<int>(passes));
}
