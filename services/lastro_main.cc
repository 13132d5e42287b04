// `lastro`: the command line on the real streams, signals and components.
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <iostream>
#include <string>
#include <vector>

#include "services/cli/cli.h"

namespace {

std::atomic<int> interrupts{0};  // lock-free: written by the signal handler, read by every thread
static_assert(std::atomic<int>::is_always_lock_free);

// The first Ctrl-C asks the call to end; the second ends the process.
void OnInterrupt(int) {
  if (interrupts.exchange(1) > 0) _exit(lastro::services::kExitInterrupted);
}

void HandleSignals() {
  struct sigaction action = {};
  action.sa_handler = OnInterrupt;  // without SA_RESTART: a read of the keyboard ends too
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error of the write
}

}  // namespace

int main(int argc, char** argv) {
  using namespace lastro::services;
  HandleSignals();
  FdBuffer out_buffer(STDOUT_FILENO);
  FdBuffer err_buffer(STDERR_FILENO);
  std::ostream out(&out_buffer);
  std::ostream err(&err_buffer);
  Environment environment{out,
                          err,
                          std::cin,
                          DescribeTerminal(STDOUT_FILENO),
                          DescribeTerminal(STDERR_FILENO),
                          isatty(STDIN_FILENO) == 1,
                          MakeNodeFromOptions,
                          [] { return interrupts.load(std::memory_order_relaxed) != 0; }};
  int code = RunCli(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc), environment);
  out.flush();
  if (out_buffer.error() != 0 && out_buffer.error() != EPIPE) {
    err << "lastro: cannot write the output: " << std::strerror(out_buffer.error()) << "; the output is incomplete\n";
    code = kExitFailure;
  }
  err.flush();
  return code;
}
