// Times as the store keeps them: nanoseconds since the Unix epoch in an int64 (1677 to 2262; times outside saturate).
#pragma once

#include <cstdint>
#include <limits>

#include "absl/time/time.h"

namespace lastro::retrieval {

inline int64_t ToStoredTime(absl::Time time) { return absl::ToUnixNanos(time); }

// The ends of the range stand for times that had no place in it.
inline absl::Time FromStoredTime(int64_t nanos) {
  if (nanos == std::numeric_limits<int64_t>::max()) return absl::InfiniteFuture();
  if (nanos == std::numeric_limits<int64_t>::min()) return absl::InfinitePast();
  return absl::FromUnixNanos(nanos);
}

}  // namespace lastro::retrieval
