#include "services/grpc/health_watch.h"

#include <algorithm>

namespace lastro::services {

HealthWatch::HealthWatch(grpc::HealthCheckServiceInterface* health, std::vector<std::string> services,
                         ActiveCalls* calls, absl::Duration patience, const EventLog* log)
    : health_(health), services_(std::move(services)), calls_(calls), patience_(patience), log_(log) {
  {
    absl::MutexLock lock(&mutex_);
    Set(true);
  }
  thread_ = std::thread([this] { Loop(); });
}

HealthWatch::~HealthWatch() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

void HealthWatch::BeginDrain() {
  absl::MutexLock lock(&mutex_);
  draining_ = true;
  Set(false);
}

void HealthWatch::Loop() {
  const absl::Duration period = std::min(absl::Seconds(1), patience_ / 4);
  absl::MutexLock lock(&mutex_);
  while (!mutex_.AwaitWithTimeout(absl::Condition(&stopping_), period)) {
    mutex_.Unlock();
    Check();
    mutex_.Lock();
  }
}

void HealthWatch::Check() {
  const absl::Time now = absl::Now();
  calls_->CancelStalledStreams(now, patience_);
  const bool alive = calls_->Alive(now, patience_);
  absl::MutexLock lock(&mutex_);
  if (draining_ || alive == serving_) return;
  Set(alive);
  log_->Write(alive ? LogLevel::kInfo : LogLevel::kError, alive ? "serving again" : "computation is stuck",
              {{"calls", int64_t{calls_->count()}}, {"patience_s", absl::ToDoubleSeconds(patience_)}});
}

void HealthWatch::Set(bool serving) {
  serving_ = serving;
  health_->SetServingStatus("", serving);
  for (const std::string& service : services_) health_->SetServingStatus(service, serving);
}

}  // namespace lastro::services
