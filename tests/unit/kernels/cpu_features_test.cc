// LASTRO_SIMD limits what is used, bytes and tiles included: in processes of their own, as a limit stays for good.
#include "kernels/cpu_features.h"

#include <cstdlib>
#include <string>

#include "gtest/gtest.h"
#include "tests/unit/kernels/avx_vnni_emulator.h"

namespace lastro::kernels {
namespace {

// Exits with 0 when under `limit` ("": none) VNNI and tiles can be used as wanted.
[[noreturn]] void UseUnder(const std::string& limit, Vnni want_vnni, bool want_tiles) {
  unsetenv("LASTRO_SIMD");
  if (!limit.empty()) setenv("LASTRO_SIMD", limit.c_str(), 1);
  const bool fast_integers = HasFastIntegers() && limit != "sse4";
  const bool scalar = ApplySimdLimit();
  bool good = scalar == (limit == "scalar") && (scalar || VnniInUse() == want_vnni);
  good = good && HasFastIntegers() == fast_integers;
  for (TileUse use : {TileUse::kEmulated, TileUse::kHardware}) {
    SetTilesForTest(use);
    good = good && (want_tiles || TilesInUse() == TileUse::kNone);
    if (want_tiles && use == TileUse::kEmulated) good = good && TilesInUse() == use;
  }
  std::exit(good && (want_tiles || TilesProblem() == nullptr) ? 0 : 1);
}

TEST(SimdLimitDeathTest, LeavesOutTilesAndBytes) {
  const Vnni best = VnniInUse(), avx = NeedsAvxVnniEmulation() ? Vnni::kNone : Vnni::kAvx;
  const bool tiles = best == Vnni::kAvx512;
  EXPECT_EXIT(UseUnder("", best, tiles), ::testing::ExitedWithCode(0), "");
  EXPECT_EXIT(UseUnder("nonsense", best, tiles), ::testing::ExitedWithCode(0), "");
  EXPECT_EXIT(UseUnder("avx512vnni", best, false), ::testing::ExitedWithCode(0), "");
  EXPECT_EXIT(UseUnder("avxvnni", avx, false), ::testing::ExitedWithCode(0), "");
  for (const char* limit : {"scalar", "sse4", "avx2", "avx512"}) {
    EXPECT_EXIT(UseUnder(limit, Vnni::kNone, false), ::testing::ExitedWithCode(0), "") << limit;
  }
}

}  // namespace
}  // namespace lastro::kernels
