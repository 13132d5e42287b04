#include "ingest/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace lastro::ingest {
namespace {

constexpr int kCannotStart = 127;
constexpr int kPollMs = 50;
constexpr uint64_t kMaxErrorBytes = 4096;

// A file in memory, owned.
class MemoryFile {
 public:
  static absl::StatusOr<MemoryFile> Create(const char* name) {
    int fd = memfd_create(name, MFD_CLOEXEC);
    if (fd < 0) return ErrnoToStatus(errno, absl::StrCat("create the memory file ", name));
    MemoryFile low(fd);
    if (fd > STDERR_FILENO) return low;
    // The process was started without standard streams: stay clear of their numbers, which the child overwrites.
    int high = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (high < 0) return ErrnoToStatus(errno, absl::StrCat("duplicate the memory file ", name));
    return MemoryFile(high);
  }
  MemoryFile(MemoryFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  MemoryFile& operator=(MemoryFile&&) = delete;
  ~MemoryFile() {
    if (fd_ >= 0) close(fd_);
  }

  int fd() const { return fd_; }

  absl::Status Fill(absl::string_view content) const {
    while (!content.empty()) {
      ssize_t written = write(fd_, content.data(), content.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return ErrnoToStatus(errno, "write the input of a parser");
      content.remove_prefix(static_cast<size_t>(written));
    }
    if (lseek(fd_, 0, SEEK_SET) != 0) return ErrnoToStatus(errno, "rewind the input of a parser");
    return absl::OkStatus();
  }

  absl::StatusOr<uint64_t> Size() const {
    struct stat info;
    if (fstat(fd_, &info) != 0) return ErrnoToStatus(errno, "stat the output of a parser");
    return static_cast<uint64_t>(info.st_size);
  }

  absl::StatusOr<std::string> Read(uint64_t max_bytes) const {
    LASTRO_ASSIGN_OR_RETURN(uint64_t size, Size());
    std::string content(std::min(size, max_bytes), '\0');
    size_t done = 0;
    while (done < content.size()) {
      ssize_t got = pread(fd_, content.data() + done, content.size() - done, static_cast<off_t>(done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return ErrnoToStatus(errno, "read the output of a parser");
      if (got == 0) break;
      done += static_cast<size_t>(got);
    }
    content.resize(done);
    return content;
  }

 private:
  explicit MemoryFile(int fd) : fd_(fd) {}
  int fd_;
};

void Limit(__rlimit_resource resource, uint64_t value) {
  struct rlimit limit = {value, value};
  setrlimit(resource, &limit);
}

// What the child does between fork and exec: system calls only, as other threads of the parent may hold locks.
[[noreturn]] void BecomeProgram(char* const* arguments, int input, int output, int errors, const ChildLimits& limits) {
  char* const no_environment[] = {nullptr};
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  dup2(input, STDIN_FILENO);
  dup2(output, STDOUT_FILENO);
  dup2(errors, STDERR_FILENO);
  close_range(3, ~0u, 0);
  Limit(RLIMIT_CORE, 0);
  Limit(RLIMIT_AS, limits.memory_bytes);
  Limit(RLIMIT_FSIZE, limits.output_bytes);
  Limit(RLIMIT_CPU, static_cast<uint64_t>(std::ceil(limits.timeout_s)) + 1);
  execve(arguments[0], arguments, no_environment);
  _exit(kCannotStart);
}

// A running child. Killed with its group and reaped at the end of its life, whatever happened before.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid), pidfd_(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (!reaped_) {
      kill(-pid_, SIGKILL);
      kill(pid_, SIGKILL);
      Reap(0);
    }
    if (pidfd_ >= 0) close(pidfd_);
  }

  // Waits up to kPollMs; true once the child has ended.
  bool WaitAWhile() {
    if (pidfd_ >= 0) {
      struct pollfd waited = {pidfd_, POLLIN, 0};
      poll(&waited, 1, kPollMs);
    } else {
      absl::SleepFor(absl::Milliseconds(kPollMs));
    }
    return Reap(WNOHANG);
  }

  int wait_status() const { return wait_status_; }

 private:
  bool Reap(int flags) {
    pid_t reaped;
    do {
      reaped = waitpid(pid_, &wait_status_, flags);
    } while (reaped < 0 && errno == EINTR);
    if (reaped == pid_) kill(-pid_, SIGKILL);  // what it may have left behind
    reaped_ = reaped_ || reaped != 0;
    return reaped_;
  }

  const pid_t pid_;
  const int pidfd_;
  int wait_status_ = 0;
  bool reaped_ = false;
};

absl::Status WaitForEnd(Child* child, const std::string& program, double timeout_s, const CallContext& context) {
  absl::Time end = absl::Now() + absl::Seconds(timeout_s);
  while (!child->WaitAWhile()) {
    LASTRO_RETURN_IF_ERROR(context.Check());
    if (absl::Now() > end) {
      return absl::DeadlineExceededError(absl::StrCat(program, " did not finish within ", timeout_s, " s"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<ChildResult> Collect(const std::string& program, int wait_status, const MemoryFile& output,
                                    const MemoryFile& errors, const ChildLimits& limits) {
  LASTRO_ASSIGN_OR_RETURN(uint64_t size, output.Size());
  bool signalled = WIFSIGNALED(wait_status);
  if (size >= limits.output_bytes || (signalled && WTERMSIG(wait_status) == SIGXFSZ)) {
    return absl::ResourceExhaustedError(absl::StrCat(program, " wrote more than ", limits.output_bytes, " bytes"));
  }
  if (signalled) {
    return absl::InternalError(absl::StrCat(program, " was ended by signal ", WTERMSIG(wait_status)));
  }
  ChildResult result;
  result.exit_code = WEXITSTATUS(wait_status);
  if (result.exit_code == kCannotStart) return absl::NotFoundError(absl::StrCat("cannot start ", program));
  LASTRO_ASSIGN_OR_RETURN(result.output, output.Read(limits.output_bytes));
  LASTRO_ASSIGN_OR_RETURN(result.errors, errors.Read(kMaxErrorBytes));
  return result;
}

}  // namespace

absl::StatusOr<ChildResult> RunChild(const std::vector<std::string>& arguments, absl::string_view input,
                                     const ChildLimits& limits, const CallContext& context) {
  const std::string& program = arguments.at(0);
  LASTRO_ASSIGN_OR_RETURN(MemoryFile input_file, MemoryFile::Create("input"));
  LASTRO_ASSIGN_OR_RETURN(MemoryFile output_file, MemoryFile::Create("output"));
  LASTRO_ASSIGN_OR_RETURN(MemoryFile error_file, MemoryFile::Create("errors"));
  LASTRO_RETURN_IF_ERROR(input_file.Fill(input));
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);

  pid_t pid = fork();
  if (pid < 0) return ErrnoToStatus(errno, "fork for " + program);
  if (pid == 0) BecomeProgram(argv.data(), input_file.fd(), output_file.fd(), error_file.fd(), limits);
  Child child(pid);
  LASTRO_RETURN_IF_ERROR(WaitForEnd(&child, program, limits.timeout_s, context));
  return Collect(program, child.wait_status(), output_file, error_file, limits);
}

std::string FindProgram(const std::string& program) {
  for (const char* folder : {"/usr/local/bin/", "/usr/bin/", "/bin/"}) {
    std::string path = folder + program;
    if (access(path.c_str(), X_OK) == 0) return path;
  }
  return "";
}

}  // namespace lastro::ingest
