#include "retrieval/upkeep.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "base/status_macros.h"

namespace lastro::retrieval {
namespace {

// Commits nudge, many a second; looking at each would only take the lock from the next.
constexpr absl::Duration kBetweenRounds = absl::Milliseconds(100);
constexpr int kShareOfCore = 4;  // one part in so many

}  // namespace

Upkeep::Upkeep(int64_t bytes_per_second, std::vector<Step> steps)
    : bytes_per_second_(bytes_per_second), steps_(std::move(steps)), thread_([this] { Run(); }) {}

void Upkeep::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    ++in_haste_;
  }
  if (thread_.joinable()) thread_.join();
}

void Upkeep::Nudge(bool urgent) {
  absl::MutexLock lock(&mutex_);
  nudged_ = true;
  urgent_ |= urgent;
}

void Upkeep::SetHaste(int change) {
  absl::MutexLock lock(&mutex_);
  in_haste_ += change;
}

Upkeep::Pause::Pause(Upkeep* upkeep) : upkeep_(upkeep) {
  upkeep_->SetHaste(1);
  upkeep_->step_mutex_.Lock();
}

Upkeep::Pause::~Pause() {
  upkeep_->step_mutex_.Unlock();
  upkeep_->SetHaste(-1);
}

absl::Status Upkeep::Finish() {
  Pause others(this);
  for (size_t done = 0; done < steps_.size();) {  // until each of them in turn has nothing left
    for (const Step& step : steps_) {
      LASTRO_ASSIGN_OR_RETURN(int64_t bytes, step());
      done = bytes > 0 ? 0 : done + 1;
    }
  }
  return absl::OkStatus();
}

absl::Duration Upkeep::RestAfter(int64_t bytes, absl::Duration took, int64_t bytes_per_second) {
  const absl::Duration for_bytes = absl::Seconds(static_cast<double>(bytes) / static_cast<double>(bytes_per_second));
  return std::max(took * (kShareOfCore - 1), for_bytes - took);
}

void Upkeep::Rest(absl::Duration rest) {
  absl::MutexLock lock(&mutex_);
  auto in_haste = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return in_haste_ > 0 || urgent_; };
  mutex_.AwaitWithTimeout(absl::Condition(&in_haste), rest);
}

void Upkeep::Pace(int64_t bytes) {
  const absl::Time begin = absl::Now();
  Rest(absl::Seconds(static_cast<double>(bytes) / static_cast<double>(bytes_per_second_)));
  paced_ += absl::Now() - begin;
  paced_bytes_ += bytes;
}

absl::StatusOr<int64_t> Upkeep::RunInBackground(const Step& step) {
  const absl::Time begin = absl::Now();
  absl::StatusOr<int64_t> bytes = 0;
  absl::Duration rest;
  {
    absl::MutexLock lock(&step_mutex_);
    paced_bytes_ = 0;
    paced_ = absl::ZeroDuration();
    bytes = step();
    const int64_t unpaced = bytes.ok() ? std::max<int64_t>(0, *bytes - paced_bytes_) : 0;
    rest = RestAfter(unpaced, absl::Now() - begin - paced_, bytes_per_second_);
  }
  Rest(rest);
  return bytes;
}

bool Upkeep::RunRound() {
  {
    absl::MutexLock lock(&mutex_);
    nudged_ = urgent_ = false;
  }
  bool more = false;
  for (const Step& step : steps_) {
    absl::StatusOr<int64_t> bytes = RunInBackground(step);
    absl::MutexLock lock(&mutex_);
    if (stopping_ || !bytes.ok()) return false;
    more |= *bytes > 0;
  }
  return more;
}

void Upkeep::Run() {
  auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopping_ || nudged_; };
  auto at_once = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopping_ || urgent_; };
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(&ready));
      if (stopping_) return;
    }
    while (RunRound()) {
    }
    absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithTimeout(absl::Condition(&at_once), kBetweenRounds);
  }
}

}  // namespace lastro::retrieval
