// Upkeep: work that keeps a store small and fast, done in steps on a thread of its own within a budget, so that what
// commits and searches need of the disk and the CPU is left to them. Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace lastro::retrieval {

// When there is something to do, and how much of it at once. Tests make them small.
struct UpkeepOptions {
  int64_t bytes_per_second = 64 << 20;  // written in the background, not counting vector indexes
  int64_t log_bytes = 8 << 20;          // a longer log (WAL) is put into the database
  int64_t max_log_bytes = 64 << 20;     // a longer one at once, and begun anew: the next commit waits for that, and
                                        // for all that is left to be moved from four times as many bytes on
  int64_t free_bytes = 64 << 20;        // more free pages, and more than an eighth of all, are given back to the disk
};

class Upkeep {
 public:
  // Does a part of the work; the bytes it wrote, 0: nothing is left to do.
  using Step = std::function<absl::StatusOr<int64_t>()>;

  // One step runs at a time. They are taken in turn when nudged, and once at the start.
  Upkeep(int64_t bytes_per_second, std::vector<Step> steps);
  ~Upkeep() { Stop(); }
  // No step runs any more; one that has begun is finished first, in haste.
  void Stop();

  // There may be something to do, which is looked at in a moment; when urgent, at once and without the rests that the
  // budget wants of the steps until then. Cheap.
  void Nudge(bool urgent = false);
  // Does in haste all that there is to do; the first error. In the background a step that fails is tried again when
  // nudged: it lives on the same disk as the commits, which say what is wrong with it.
  absl::Status Finish();

  // While it lives no step runs. Its making waits for the one that does. Not within a step, and before any lock that
  // steps take.
  class Pause {
   public:
    explicit Pause(Upkeep* upkeep) ABSL_NO_THREAD_SAFETY_ANALYSIS;
    ~Pause() ABSL_NO_THREAD_SAFETY_ANALYSIS;
    Pause(const Pause&) = delete;
    Pause& operator=(const Pause&) = delete;

   private:
    Upkeep* const upkeep_;
  };

  // Within a step that holds no lock and has written so many bytes more: waits as the budget wants, unless in haste.
  void Pace(int64_t bytes);

  // How long nothing is done after a step that took `took` and wrote `bytes`, so that no more than a quarter of one
  // core and `bytes_per_second` are used.
  static absl::Duration RestAfter(int64_t bytes, absl::Duration took, int64_t bytes_per_second);

 private:
  void Run();
  // Takes each step once; true when one had something to do.
  bool RunRound();
  absl::StatusOr<int64_t> RunInBackground(const Step& step);
  // Until `rest` is over, or somebody is in haste or something urgent.
  void Rest(absl::Duration rest);
  void SetHaste(int change);

  const int64_t bytes_per_second_;
  const std::vector<Step> steps_;

  absl::Mutex step_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);  // held while a step runs
  // What the step that runs has paced, and how long it waited for that; its thread holds step_mutex_.
  int64_t paced_bytes_ = 0;
  absl::Duration paced_;
  absl::Mutex mutex_;
  int in_haste_ ABSL_GUARDED_BY(mutex_) = 0;  // those who wait for the step that runs, or do not want to
  bool nudged_ ABSL_GUARDED_BY(mutex_) = true;
  bool urgent_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace lastro::retrieval
