// Budget: what one rendering may still use. A hostile template ends with RESOURCE_EXHAUSTED. Not thread-safe.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace lastro::engine::chat {

class Budget {
 public:
  Budget(int64_t steps, int64_t bytes) : steps_(steps), steps_left_(steps), bytes_(bytes), bytes_left_(bytes) {}

  // Evaluated nodes, items gone over.
  absl::Status Step(int64_t count = 1) {
    if (count <= steps_left_) return steps_left_ -= count, absl::OkStatus();
    return absl::ResourceExhaustedError(absl::StrCat("the template takes more than ", steps_, " steps"));
  }
  // Bytes that are written, all of a rendering together: memory in use is less.
  absl::Status Write(int64_t bytes) {
    if (bytes <= bytes_left_) return bytes_left_ -= bytes, absl::OkStatus();
    return absl::ResourceExhaustedError(absl::StrCat("the template writes more than ", bytes_, " bytes"));
  }

 private:
  const int64_t steps_;
  int64_t steps_left_;
  const int64_t bytes_;
  int64_t bytes_left_;
};

}  // namespace lastro::engine::chat
