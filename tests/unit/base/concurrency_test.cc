#include <atomic>
#include <thread>
#include <vector>

#include "base/bounded_queue.h"
#include "base/call_context.h"
#include "base/thread_pool.h"
#include "tests/test_util.h"

namespace lastro {
namespace {

TEST(BoundedQueue, KeepsOrderAndBlocksWhenFull) {
  BoundedQueue<int> queue(2);
  EXPECT_TRUE(queue.TryPush(1));
  EXPECT_TRUE(queue.TryPush(2));
  EXPECT_FALSE(queue.TryPush(3));
  std::thread producer([&] { EXPECT_TRUE(queue.Push(3)); });
  EXPECT_EQ(queue.Pop(), 1);
  EXPECT_EQ(queue.Pop(), 2);
  EXPECT_EQ(queue.Pop(), 3);
  producer.join();
}

TEST(BoundedQueue, CloseRefusesProducersAndDrainsForConsumers) {
  BoundedQueue<int> queue(2);
  ASSERT_TRUE(queue.Push(1));
  std::thread consumer([&] {
    EXPECT_EQ(queue.Pop(), 1);
    EXPECT_EQ(queue.Pop(), std::nullopt);
  });
  queue.Close();
  EXPECT_FALSE(queue.Push(2));
  consumer.join();
}

TEST(BoundedQueue, EveryItemArrivesOnceFromManyThreads) {
  constexpr int kProducers = 4, kItems = 500;
  BoundedQueue<int> queue(7);
  std::vector<std::atomic<int>> seen(kProducers * kItems);
  std::vector<std::thread> producers, consumers;
  for (int p = 0; p < kProducers; ++p) {
    producers.emplace_back([&, p] {
      for (int i = 0; i < kItems; ++i) queue.Push(p * kItems + i);
    });
  }
  for (int c = 0; c < 3; ++c) {
    consumers.emplace_back([&] {
      while (std::optional<int> item = queue.Pop()) ++seen[static_cast<size_t>(*item)];
    });
  }
  for (std::thread& thread : producers) thread.join();
  queue.Close();
  for (std::thread& thread : consumers) thread.join();
  for (const std::atomic<int>& count : seen) EXPECT_EQ(count, 1);
}

TEST(ThreadPool, CoversEachIndexOnceFromSeveralCallers) {
  for (int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    auto loop = [&pool](int64_t count, int64_t grain) {
      std::vector<std::atomic<int>> seen(static_cast<size_t>(count));
      pool.ParallelFor(count, grain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
      });
      for (const std::atomic<int>& times : seen) EXPECT_EQ(times, 1);
    };
    std::vector<std::thread> callers;
    for (int caller = 0; caller < 3; ++caller) {
      callers.emplace_back([&, caller] {
        for (int64_t count : {0, 1, 2, 17, 1000}) loop(count, 1 + caller * 7);
      });
    }
    for (std::thread& thread : callers) thread.join();
  }
}

TEST(CallContext, SeesCancelAndDeadlineThroughCopies) {
  CallContext context;
  EXPECT_TRUE(context.Check().ok());
  CallContext copy = context.WithDeadline(absl::Now() + absl::Hours(1));
  EXPECT_TRUE(copy.Check().ok());
  context.Cancel();
  EXPECT_TRUE(absl::IsCancelled(copy.Check()));
  EXPECT_TRUE(absl::IsDeadlineExceeded(CallContext::Until(absl::Now() - absl::Seconds(1)).Check()));
  std::atomic<bool> gone = false;
  CallContext polled = CallContext::Until(absl::InfiniteFuture(), [&] { return gone.load(); });
  EXPECT_TRUE(polled.Check().ok());
  gone = true;
  EXPECT_TRUE(absl::IsCancelled(polled.Check()));
}

}  // namespace
}  // namespace lastro
