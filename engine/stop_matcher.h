// StopMatcher: passes streamed text on, but never any part of a stop string, also when one comes in pieces: text that
// may be the beginning of a stop string is held back until it is clear. Not thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace lastro::engine {

class StopMatcher {
 public:
  // REQUIRES: no stop string is empty.
  explicit StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  // The text that is now safe to show. After the first stop string was found, always "".
  std::string Push(absl::string_view text);
  // What was held back, at the end of the stream.
  std::string Finish();

  bool found() const { return found_; }

 private:
  const std::vector<std::string> stops_;
  std::string held_;
  bool found_ = false;
};

}  // namespace lastro::engine
