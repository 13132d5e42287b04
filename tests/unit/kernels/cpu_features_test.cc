// LASTRO_SIMD limits what is used, bytes and tiles included: in processes of their own, as a limit stays for good.
#include "kernels/cpu_features.h"

#include <cstdlib>
#include <string>

#include "gtest/gtest.h"

namespace lastro::kernels {
namespace {

// Exits with 0 when under `limit` ("": none) bytes and tiles can be used as wanted.
[[noreturn]] void UseUnder(const std::string& limit, bool want_bytes, bool want_tiles) {
  unsetenv("LASTRO_SIMD");
  if (!limit.empty()) setenv("LASTRO_SIMD", limit.c_str(), 1);
  const bool fast_integers = HasFastIntegers() && limit != "sse4";
  const bool scalar = ApplySimdLimit();
  bool good = scalar == (limit == "scalar") && (scalar || UseVnni() == want_bytes);
  good = good && HasFastIntegers() == fast_integers;
  for (TileUse use : {TileUse::kEmulated, TileUse::kHardware}) {
    SetTilesForTest(use);
    good = good && (want_tiles || TilesInUse() == TileUse::kNone);
    if (want_tiles && use == TileUse::kEmulated) good = good && TilesInUse() == use;
  }
  std::exit(good && (want_tiles || TilesProblem() == nullptr) ? 0 : 1);
}

TEST(SimdLimitDeathTest, LeavesOutTilesAndBytes) {
  const bool bytes = UseVnni();
  EXPECT_EXIT(UseUnder("", bytes, bytes), ::testing::ExitedWithCode(0), "");
  EXPECT_EXIT(UseUnder("nonsense", bytes, bytes), ::testing::ExitedWithCode(0), "");
  EXPECT_EXIT(UseUnder("avx512vnni", bytes, false), ::testing::ExitedWithCode(0), "");
  for (const char* limit : {"scalar", "sse4", "avx2", "avx512"}) {
    EXPECT_EXIT(UseUnder(limit, false, false), ::testing::ExitedWithCode(0), "") << limit;
  }
}

}  // namespace
}  // namespace lastro::kernels
