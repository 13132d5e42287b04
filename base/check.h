// LASTRO_CHECK(condition, message): for our own bugs only. What the world causes (files, requests, models, peers) is an
// absl::Status. Always on, in release builds too.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>

namespace lastro::internal {
[[noreturn]] inline void CheckFailed(const char* file, int line, const char* condition, const std::string& message) {
  std::fprintf(stderr, "%s:%d: check failed: %s %s\n", file, line, condition, message.c_str());
  std::abort();
}
}  // namespace lastro::internal

#define LASTRO_CHECK(condition, ...)                                                                     \
  do {                                                                                                   \
    if (!(condition)) [[unlikely]]                                                                       \
      ::lastro::internal::CheckFailed(__FILE__, __LINE__, #condition, std::string{__VA_ARGS__});         \
  } while (false)
