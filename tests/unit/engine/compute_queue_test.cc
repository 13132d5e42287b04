#include "engine/compute_queue.h"

#include <atomic>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "tests/test_util.h"
#include "tests/unit/engine/queue_blocker.h"

namespace lastro::engine {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

TEST(ComputeQueueTest, RunsOnOneThreadAndReturnsTheStatus) {
  ComputeQueue queue;
  std::thread::id first, second;
  EXPECT_THAT(queue.Run(CallContext(), [&] { return first = std::this_thread::get_id(), absl::OkStatus(); }), IsOk());
  EXPECT_THAT(queue.Run(CallContext(), [&] { return second = std::this_thread::get_id(), absl::DataLossError("x"); }),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("x")));
  EXPECT_EQ(first, second);
  EXPECT_NE(first, std::this_thread::get_id());
}

TEST(ComputeQueueTest, ManyCallersNeverOverlap) {
  ComputeQueue queue;
  std::atomic<int> inside = 0, overlaps = 0, done = 0;
  std::vector<std::thread> callers;
  for (int i = 0; i < 50; ++i) {
    callers.emplace_back([&] {
      for (int j = 0; j < 20; ++j) {
        EXPECT_THAT(queue.Run(CallContext(),
                              [&] {
                                if (inside.fetch_add(1) != 0) ++overlaps;
                                ++done;
                                inside.fetch_sub(1);
                                return absl::OkStatus();
                              }),
                    IsOk());
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(done, 1000);
  EXPECT_EQ(overlaps, 0);
}

TEST(ComputeQueueTest, ACancelledCallerLeavesTheQueue) {
  ComputeQueue queue;
  QueueBlocker busy(queue);
  busy.AwaitStart();
  CallContext context;
  std::atomic<bool> ran = false;
  absl::Status status;
  std::thread waiting([&] { status = queue.Run(context, [&] { return ran = true, absl::OkStatus(); }); });
  context.Cancel();
  waiting.join();  // while the queue is still busy
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kCancelled, HasSubstr("cancel")));
  EXPECT_THAT(
      queue.Run(CallContext::Until(absl::Now() + absl::Milliseconds(1)), [&] { return ran = true, absl::OkStatus(); }),
      StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("deadline")));
  busy.Release();
  EXPECT_THAT(queue.Run(CallContext(), [] { return absl::OkStatus(); }), IsOk());  // behind whatever waited
  EXPECT_FALSE(ran);
}

TEST(ComputeQueueTest, TheBackgroundComesLastButEveryFourthTime) {
  ComputeQueue queue;
  QueueBlocker busy(queue);
  busy.AwaitStart();
  std::string order;
  std::vector<std::thread> callers;
  for (const char name : std::string("xyabcdefg")) {
    callers.emplace_back([&, name] {
      const CallContext context =
          CallContext().WithPriority(name >= 'x' ? Priority::kBackground : Priority::kInteractive);
      EXPECT_THAT(queue.Run(context, [&] { return order += name, absl::OkStatus(); }), IsOk());
    });
    while (queue.waiting() < static_cast<int>(callers.size())) std::this_thread::yield();
  }
  busy.Release();
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(order, "abcxdefyg");
}

TEST(ComputeQueueTest, OutOfMemoryIsAStatus) {
  ComputeQueue queue;
  EXPECT_THAT(queue.Run(CallContext(), []() -> absl::Status { throw std::bad_alloc(); }),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("memory")));
}

}  // namespace
}  // namespace lastro::engine
