#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "services/grpc/admission.h"
#include "tests/test_util.h"

namespace lastro::services {
namespace {

using ::lastro::testing::IsOk;
using ::lastro::testing::StatusIs;
using ::testing::HasSubstr;

void WaitUntil(const std::function<bool()>& condition) {
  while (!condition()) absl::SleepFor(absl::Milliseconds(1));
}

TEST(AdmissionGate, RefusesAtOnceWhatNeitherRunsNorMayWait) {
  AdmissionGate gate("questions", 2, 0);
  auto first = gate.Acquire(CallContext());
  auto second = gate.Acquire(CallContext());
  ASSERT_THAT(first, IsOk());
  ASSERT_THAT(second, IsOk());
  EXPECT_THAT(gate.Acquire(CallContext()),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("too many questions: 2 run and 0 wait")));
  *first = AdmissionGate::Permit();
  EXPECT_EQ(gate.running(), 1);
  EXPECT_THAT(gate.Acquire(CallContext()), IsOk());
}

TEST(AdmissionGate, WaitersGoInOrderOfArrival) {
  AdmissionGate gate("calls", 1, 3);
  absl::StatusOr<AdmissionGate::Permit> held = gate.Acquire(CallContext());
  ASSERT_THAT(held, IsOk());
  std::vector<int> order;  // guarded by the only permit
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] {
      auto permit = gate.Acquire(CallContext());
      ASSERT_THAT(permit, IsOk());
      order.push_back(i);
    });
    WaitUntil([&] { return gate.waiting() == i + 1; });
  }
  EXPECT_THAT(gate.Acquire(CallContext()), StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("3 wait")));
  *held = AdmissionGate::Permit();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2}));
  EXPECT_EQ(gate.running(), 0);
}

CallContext Of(const std::string& tenant) {
  Scope scope;
  scope.tenant = tenant;
  return CallContext().WithScope(scope);
}

TEST(AdmissionGate, TenantsTakeTurns) {
  AdmissionGate gate("calls", 2, 10);
  std::vector<absl::StatusOr<AdmissionGate::Permit>> held;
  for (int i = 0; i < 2; ++i) held.push_back(gate.Acquire(Of("loud")));
  absl::Mutex mutex;
  std::vector<std::string> order;
  std::vector<std::thread> threads;
  for (const char* tenant : {"loud", "loud", "loud", "loud", "quiet", "quiet"}) {
    threads.emplace_back([&, tenant] {
      auto permit = gate.Acquire(Of(tenant));
      ASSERT_THAT(permit, IsOk());
      absl::MutexLock lock(&mutex);
      order.push_back(tenant);
    });
    WaitUntil([&] { return gate.waiting() == static_cast<int>(threads.size()); });
  }
  held.pop_back();  // the other is held, so that calls run one after the other
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(order, (std::vector<std::string>{"quiet", "quiet", "loud", "loud", "loud", "loud"}));
}

TEST(AdmissionGate, ATenantWithFewWaitersDisplacesOneOfTheTenantWithMost) {
  AdmissionGate gate("calls", 1, 3);
  absl::StatusOr<AdmissionGate::Permit> held = gate.Acquire(Of("loud"));
  ASSERT_THAT(held, IsOk());
  std::atomic<int> refused{0}, run{0};
  std::vector<std::thread> threads;
  auto start = [&](const char* tenant, int waiting) {
    threads.emplace_back([&, tenant] {
      auto permit = gate.Acquire(Of(tenant));
      (permit.ok() ? run : refused)++;
      if (!permit.ok()) {
        EXPECT_THAT(permit, StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("too many calls")));
      }
    });
    WaitUntil([&] { return gate.waiting() == waiting; });
  };
  for (int i = 1; i <= 3; ++i) start("loud", i);
  EXPECT_THAT(gate.Acquire(Of("loud")), StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("3 wait")));
  start("quiet", 3);
  WaitUntil([&] { return refused == 1; });
  EXPECT_EQ(gate.waiting(), 3);
  // Two of "loud" wait beside one of "quiet": both have about the same, and nobody makes room any more.
  EXPECT_THAT(gate.Acquire(Of("quiet")), StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("3 wait")));
  *held = AdmissionGate::Permit();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(run, 3);
  EXPECT_EQ(gate.running(), 0);
}

TEST(AdmissionGate, AWaiterLeavesWhenItsCallerDoes) {
  AdmissionGate gate("calls", 1, 2);
  auto held = gate.Acquire(CallContext());
  CallContext cancelled;
  std::thread waiter(
      [&] { EXPECT_THAT(gate.Acquire(cancelled), StatusIs(absl::StatusCode::kCancelled, HasSubstr("cancelled"))); });
  WaitUntil([&] { return gate.waiting() == 1; });
  cancelled.Cancel();
  waiter.join();
  EXPECT_EQ(gate.waiting(), 0);
  EXPECT_THAT(gate.Acquire(CallContext::Until(absl::Now() + absl::Milliseconds(20))),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("deadline")));
}

TEST(AdmissionGate, ManyThreadsNeverExceedTheLimit) {
  AdmissionGate gate("calls", 3, 100);
  std::atomic<int> inside{0};
  std::atomic<int> most{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 40; ++i) {
    threads.emplace_back([&] {
      auto permit = gate.Acquire(CallContext());
      ASSERT_THAT(permit, IsOk());
      const int now = ++inside;
      for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
      }
      std::this_thread::yield();
      --inside;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(most, 3);
  EXPECT_EQ(gate.running(), 0);
  EXPECT_EQ(gate.waiting(), 0);
}

}  // namespace
}  // namespace lastro::services
