// Stages: measures how long the stages of a call take. Not thread-safe.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "lastro/v1/common.pb.h"

namespace lastro::services {

class Stages {
 public:
  // Runs `work` and adds its time to the stage `name`.
  template <typename Work>
  auto Time(const std::string& name, Work&& work) {
    absl::Time start = absl::Now();
    auto result = std::forward<Work>(work)();
    Add(name, absl::ToDoubleMilliseconds(absl::Now() - start));
    return result;
  }

  std::vector<v1::StageDuration> durations() const { return durations_; }

 private:
  void Add(const std::string& name, double ms) {
    for (v1::StageDuration& duration : durations_) {
      if (duration.stage() == name) return duration.set_duration_ms(duration.duration_ms() + ms);
    }
    durations_.emplace_back();
    durations_.back().set_stage(name);
    durations_.back().set_duration_ms(ms);
  }

  std::vector<v1::StageDuration> durations_;
};

}  // namespace lastro::services
