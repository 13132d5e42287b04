// Helpers for every test: status matchers, temporary folders, printed seeds.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lastro::testing {

inline const absl::Status& StatusOf(const absl::Status& status) { return status; }
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& result) {
  return result.status();
}

inline constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;
inline constexpr absl::StatusCode kUnimplemented = absl::StatusCode::kUnimplemented;

// EXPECT_THAT(status_or_statusor, IsOk()); EXPECT_THAT(x, StatusIs(code, HasSubstr("..."))).
MATCHER(IsOk, "is OK") {
  *result_listener << StatusOf(arg).ToString();
  return StatusOf(arg).ok();
}
MATCHER_P2(StatusIs, code, message, "") {
  *result_listener << StatusOf(arg).ToString();
  return StatusOf(arg).code() == code &&
         ::testing::ExplainMatchResult(message, std::string(StatusOf(arg).message()), result_listener);
}

#define LASTRO_TEST_CONCAT_INNER_(a, b) a##b
#define LASTRO_TEST_CONCAT_(a, b) LASTRO_TEST_CONCAT_INNER_(a, b)
// ASSERT_OK_AND_ASSIGN(auto x, F());
#define ASSERT_OK_AND_ASSIGN(lhs, expr) ASSERT_OK_AND_ASSIGN_IMPL_(LASTRO_TEST_CONCAT_(result_, __LINE__), lhs, expr)
#define ASSERT_OK_AND_ASSIGN_IMPL_(tmp, lhs, expr) \
  auto tmp = (expr);                               \
  ASSERT_TRUE(tmp.ok()) << tmp.status();           \
  lhs = *std::move(tmp)

// Whether a test program is to have a GPU's kernels overlap (RuntimeOptions::kernels_overlap).
inline bool TestsKernelsOverlap() { return std::getenv("LASTRO_TEST_KERNELS_OVERLAP") != nullptr; }

// A fresh folder, removed at the end of its life.
class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "lastro_test_XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return (std::filesystem::path(path_) / name).string(); }

 private:
  std::string path_;
};

// A random engine whose seed is printed, and taken from LASTRO_TEST_SEED when that is set.
inline std::mt19937_64 SeededRandom(uint64_t default_seed) {
  const char* given = std::getenv("LASTRO_TEST_SEED");
  uint64_t seed = given ? std::strtoull(given, nullptr, 10) : default_seed;
  ::testing::Test::RecordProperty("seed", std::to_string(seed));
  std::printf("seed %llu (set LASTRO_TEST_SEED to repeat another)\n", static_cast<unsigned long long>(seed));
  return std::mt19937_64(seed);
}

}  // namespace lastro::testing
