// HealthWatch: keeps the health service of a server true, on a thread of its own: SERVING while computation goes on,
// NOT_SERVING while it is stuck or the server drains. It also ends calls whose peer has stalled. Thread-safe.
#pragma once

#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "grpcpp/health_check_service_interface.h"
#include "services/grpc/active_calls.h"
#include "services/grpc/event_log.h"

namespace lastro::services {

class HealthWatch {
 public:
  // All must outlive the watch. `services` besides "", which stands for the whole server.
  HealthWatch(grpc::HealthCheckServiceInterface* health, std::vector<std::string> services, ActiveCalls* calls,
              absl::Duration patience, const EventLog* log);
  ~HealthWatch();
  HealthWatch(const HealthWatch&) = delete;
  HealthWatch& operator=(const HealthWatch&) = delete;

  // NOT_SERVING from now on.
  void BeginDrain();

 private:
  void Loop();
  void Check();
  void Set(bool serving) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  grpc::HealthCheckServiceInterface* const health_;
  const std::vector<std::string> services_;
  ActiveCalls* const calls_;
  const absl::Duration patience_;
  const EventLog* const log_;

  absl::Mutex mutex_;
  bool serving_ ABSL_GUARDED_BY(mutex_) = false;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace lastro::services
