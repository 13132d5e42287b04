// PromptShare: how many tokens of prompts a step takes beside sessions that decode. Whoever decodes waits for the whole
// step for the next token, so a step may take about twice as long as one that only decodes; but prompts always go on.
// What steps take is measured, as it depends on model, machine and lengths. Not thread-safe.
#pragma once

#include <cstddef>

#include "absl/time/time.h"

namespace lastro::engine {

class PromptShare {
 public:
  static constexpr size_t kLeast = 8;
  static constexpr size_t kMost = 256;

  // Of the next step that decodes; now and then 0: a step that only decodes, to be measured.
  size_t tokens() const { return since_alone_ < kMeasurePeriod ? tokens_ : 0; }

  // A step that decoded has taken so long, with so many tokens of prompts.
  void Add(size_t prompt_tokens, absl::Duration took);

 private:
  static constexpr int kMeasurePeriod = 32;

  size_t tokens_ = 32;
  absl::Duration alone_;  // what a step takes that only decodes, on average; zero: not known yet
  int since_alone_ = 0;   // steps
};

}  // namespace lastro::engine
