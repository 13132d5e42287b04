// Debian's Abseil is not instrumented, so ThreadSanitizer does not see that its mutexes, notifications and counts of
// references order anything and calls every use of them a race. In builds with -fsanitize=thread this file is linked
// into every program: its definitions take the place of the shared library's for all callers, gRPC included, tell the
// sanitizer what happens before what, and call the library's own. What is reported inside gRPC and the libraries below
// it is suppressed: they order their threads with atomics that the sanitizer cannot see either. Our own code in gRPC's
// threads is not suppressed. Conditions that Unlock and Await evaluate for other threads run with reads ignored: the
// library holds the mutex then, where the sanitizer cannot see it.
#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

extern "C" {
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);

// A report is dropped when a frame of one of its stacks is in such a library; handlers are called by libgrpc++, which
// is not listed. What libgrpc copies and sends is not looked at in the first place: megabytes of it would give
// thousands of reports, and finding out that each is dropped takes longer than the calls' deadlines.
const char* __tsan_default_suppressions() {
  return "called_from_lib:libgrpc.so\n"
         "called_from_lib:libgpr.so\n"
         "race:libgrpc.so\n"
         "race:libgpr.so\n"
         "race:libupb.so\n"
         "race:libabsl_\n"
         "race:grpc::ProtoBufferReader\n"
         "race:grpc::internal::FillMetadataArray\n"
         "race:grpc::internal::CallOpClientRecvStatus\n"
         "race:grpc::ServerContextBase::\n"
         "race:grpc::Status::\n"
         "race:grpc::CompletionQueue::~CompletionQueue\n"
         "race:grpc::GrpcLibraryCodegen\n"
         "race:grpc::Server::SyncRequest\n"
         "race:closure_impl::closure_wrapper\n";
}
}

namespace {

// A member function of the shared library, called with the object first.
template <class Result, class... Args>
class LibraryFunction {
 public:
  explicit LibraryFunction(const char* mangled) : function_(reinterpret_cast<Function>(dlsym(RTLD_NEXT, mangled))) {}
  Result operator()(Args... args) const { return function_(args...); }

 private:
  using Function = Result (*)(Args...);
  const Function function_;
};

class IgnoreReads {
 public:
  IgnoreReads() { AnnotateIgnoreReadsBegin(__FILE__, __LINE__); }
  ~IgnoreReads() { AnnotateIgnoreReadsEnd(__FILE__, __LINE__); }
};

// `call` gives the mutex up and takes it again.
template <class Call>
auto WhileWaiting(absl::Mutex* mutex, const Call& call) {
  struct Reacquire {
    absl::Mutex* mutex;
    ~Reacquire() { __tsan_acquire(mutex); }
  };
  __tsan_release(mutex);
  Reacquire reacquire{mutex};
  IgnoreReads ignore;
  return call();
}

}  // namespace

#define LASTRO_LIBRARY_FUNCTION(mangled, ...) static const LibraryFunction<__VA_ARGS__> library(mangled)

namespace absl {
ABSL_NAMESPACE_BEGIN

void Mutex::Lock() {
  LASTRO_LIBRARY_FUNCTION("_ZN4absl7debian35Mutex4LockEv", void, Mutex*);
  library(this);
  __tsan_acquire(this);
}

void Mutex::Unlock() {
  LASTRO_LIBRARY_FUNCTION("_ZN4absl7debian35Mutex6UnlockEv", void, Mutex*);
  __tsan_release(this);
  IgnoreReads ignore;
  library(this);
}

bool Mutex::TryLock() {
  LASTRO_LIBRARY_FUNCTION("_ZN4absl7debian35Mutex7TryLockEv", bool, Mutex*);
  if (!library(this)) return false;
  __tsan_acquire(this);
  return true;
}

void Mutex::ReaderLock() {
  LASTRO_LIBRARY_FUNCTION("_ZN4absl7debian35Mutex10ReaderLockEv", void, Mutex*);
  library(this);
  __tsan_acquire(this);
}

void Mutex::ReaderUnlock() {
  LASTRO_LIBRARY_FUNCTION("_ZN4absl7debian35Mutex12ReaderUnlockEv", void, Mutex*);
  __tsan_release(this);
  IgnoreReads ignore;
  library(this);
}

void Mutex::Await(const Condition& condition) {
  LASTRO_LIBRARY_FUNCTION("_ZN4absl7debian35Mutex5AwaitERKNS0_9ConditionE", void, Mutex*, const Condition&);
  WhileWaiting(this, [&] { library(this, condition); });
}

bool Mutex::AwaitWithTimeout(const Condition& condition, Duration timeout) {
  LASTRO_LIBRARY_FUNCTION("_ZN4absl7debian35Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE", bool, Mutex*,
                          const Condition&, Duration);
  return WhileWaiting(this, [&] { return library(this, condition, timeout); });
}

bool Mutex::AwaitWithDeadline(const Condition& condition, Time deadline) {
  LASTRO_LIBRARY_FUNCTION("_ZN4absl7debian35Mutex17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE", bool, Mutex*,
                          const Condition&, Time);
  return WhileWaiting(this, [&] { return library(this, condition, deadline); });
}

void CondVar::Wait(Mutex* mutex) {
  LASTRO_LIBRARY_FUNCTION("_ZN4absl7debian37CondVar4WaitEPNS0_5MutexE", void, CondVar*, Mutex*);
  WhileWaiting(mutex, [&] { library(this, mutex); });
}

bool CondVar::WaitWithTimeout(Mutex* mutex, Duration timeout) {
  LASTRO_LIBRARY_FUNCTION("_ZN4absl7debian37CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE", bool, CondVar*,
                          Mutex*, Duration);
  return WhileWaiting(mutex, [&] { return library(this, mutex, timeout); });
}

bool CondVar::WaitWithDeadline(Mutex* mutex, Time deadline) {
  LASTRO_LIBRARY_FUNCTION("_ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE", bool, CondVar*, Mutex*,
                          Time);
  return WhileWaiting(mutex, [&] { return library(this, mutex, deadline); });
}

void Notification::Notify() {
  LASTRO_LIBRARY_FUNCTION("_ZN4absl7debian312Notification6NotifyEv", void, Notification*);
  __tsan_release(this);
  library(this);
}

void Notification::WaitForNotification() const {
  LASTRO_LIBRARY_FUNCTION("_ZNK4absl7debian312Notification19WaitForNotificationEv", void, const Notification*);
  library(this);
  __tsan_acquire(const_cast<Notification*>(this));
}

bool Notification::WaitForNotificationWithTimeout(Duration timeout) const {
  LASTRO_LIBRARY_FUNCTION("_ZNK4absl7debian312Notification30WaitForNotificationWithTimeoutENS0_8DurationE", bool,
                          const Notification*, Duration);
  const bool notified = library(this, timeout);
  if (notified) __tsan_acquire(const_cast<Notification*>(this));
  return notified;
}

// The last holder of a status frees what others have read.
void Status::UnrefNonInlined(uintptr_t rep) {
  LASTRO_LIBRARY_FUNCTION("_ZN4absl7debian36Status15UnrefNonInlinedEm", void, uintptr_t);
  __tsan_release(reinterpret_cast<void*>(rep));
  __tsan_acquire(reinterpret_cast<void*>(rep));
  library(rep);
}

ABSL_NAMESPACE_END
}  // namespace absl
