// QueueBlocker: a step that keeps a backend's queue busy, so that a test chooses what waits behind it.
#pragma once

#include <thread>

#include "absl/synchronization/notification.h"
#include "engine/compute_queue.h"
#include "tests/test_util.h"

namespace lastro::engine {

class QueueBlocker {
 public:
  // Joins `queue`, which must outlive the object.
  explicit QueueBlocker(ComputeQueue& queue)
      : thread_([this, &queue] {
          const auto wait = [this] {
            started_.Notify();
            release_.WaitForNotification();
            return absl::OkStatus();
          };
          EXPECT_THAT(queue.Run(CallContext(), wait), testing::IsOk());
        }) {}
  ~QueueBlocker() {
    if (!release_.HasBeenNotified()) Release();
    thread_.join();
  }

  void AwaitStart() { started_.WaitForNotification(); }
  void Release() { release_.Notify(); }  // once

 private:
  absl::Notification started_, release_;
  std::thread thread_;
};

}  // namespace lastro::engine
