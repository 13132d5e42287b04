#include "engine/stop_matcher.h"

#include <algorithm>

#include "absl/strings/match.h"

namespace lastro::engine {
namespace {

// The length of the longest end of `text` that begins `stop` without being all of it.
size_t OpenLength(absl::string_view text, absl::string_view stop) {
  for (size_t length = std::min(text.size(), stop.size() - 1); length > 0; --length) {
    if (absl::StartsWith(stop, text.substr(text.size() - length))) return length;
  }
  return 0;
}

}  // namespace

std::string StopMatcher::Push(absl::string_view text) {
  if (found_) return "";
  held_.append(text.data(), text.size());
  size_t first = std::string::npos, open = 0;
  for (const std::string& stop : stops_) {
    first = std::min(first, held_.find(stop));
    open = std::max(open, OpenLength(held_, stop));
  }
  found_ = first != std::string::npos;
  const size_t safe = found_ ? first : held_.size() - open;
  std::string out = held_.substr(0, safe);
  held_ = found_ ? "" : held_.substr(safe);
  return out;
}

std::string StopMatcher::Finish() {
  std::string out = std::move(held_);
  held_.clear();
  return out;
}

}  // namespace lastro::engine
