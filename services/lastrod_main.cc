// `lastrod`: the components of its roles behind gRPC, from the command line to the orderly end.
#include <malloc.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "kernels/cpu_features.h"
#include "kernels/kernels.h"
#include "services/composed_node.h"
#include "services/config.h"
#include "services/grpc/server.h"

namespace lastro::services {
namespace {

int stop_pipe[2];                               // written by the signal handler, read by Main
volatile std::sig_atomic_t stop_requested = 0;  // by the first signal

// The first signal asks for an orderly end, the second ends the process.
void OnSignal(int) {
  if (stop_requested) _exit(kDaemonFailure);
  stop_requested = 1;
  const int saved = errno;
  (void)!write(stop_pipe[1], "x", 1);
  errno = saved;
}

bool HandleSignals() {
  if (pipe(stop_pipe) != 0) return false;
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  action.sa_flags = SA_RESTART;
  std::signal(SIGPIPE, SIG_IGN);  // a closed connection is an error of the write
  return sigaction(SIGINT, &action, nullptr) == 0 && sigaction(SIGTERM, &action, nullptr) == 0;
}

// Large buffers that live shortly, such as logits, go back to the system: by default glibc learns from the first of
// them to keep such in every thread's arena. Nor are there more arenas than threads that run at once.
void LimitKeptMemory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 256 << 10);
  mallopt(M_TRIM_THRESHOLD, 1 << 20);
  mallopt(M_ARENA_MAX, static_cast<int>(std::max(2u, std::thread::hardware_concurrency())));
#endif
}

// Pages between what is in use, of which mixed requests leave more and more, go back to the system.
void GiveBackMemory() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

// Until the first signal. By poll, during which ThreadSanitizer lets handlers run; during read it does not. Threads
// that allocate wait while memory is given back, a fifth of a second for a heap of gigabytes: the more, the rarer.
void KeepServing() {
  constexpr absl::Duration kRest = absl::Seconds(30);
  constexpr int kRestsPerWork = 1'000;
  absl::Duration rest = kRest;
  pollfd readable = {stop_pipe[0], POLLIN, 0};
  int ready = 0;
  while ((ready = poll(&readable, 1, static_cast<int>(absl::ToInt64Milliseconds(rest)))) == 0 ||
         (ready < 0 && errno == EINTR)) {
    if (ready != 0) continue;
    const absl::Time begin = absl::Now();
    GiveBackMemory();
    rest = std::clamp(kRestsPerWork * (absl::Now() - begin), kRest, absl::Hours(1));
  }
}

ServerOptions MakeServerOptions(const DaemonConfig& config) {
  ServerOptions options;
  options.listen = config.listen;
  options.tls_cert = config.tls_cert;
  options.tls_key = config.tls_key;
  options.requires_scope = config.requires_scope;
  options.max_running_texts = config.node.max_running_texts;
  options.max_waiting_calls = config.node.max_waiting_calls;
  options.max_upload_bytes = config.node.max_file_bytes;
  return options;
}

ServedApis Served(ComposedNode* node) {
  return {.ask = &node->ask(),
          .embedding = &node->embedding(),
          .generation = &node->generation(),
          .ingest = &node->ingest(),
          .inspect = &node->inspect(),
          .models = &node->models(),
          .retrieval = &node->retrieval(),
          .store = node->store(),
          .healthy_services = node->HostedServices()};
}

std::string RoleList(const NodeConfig& config) {
  return absl::StrJoin(config.roles, ",", [](std::string* out, Role role) { absl::StrAppend(out, RoleName(role)); });
}

int Fail(const EventLog& log, const absl::Status& status) {
  log.Write(LogLevel::kError, "cannot start",
            {{"code", absl::StatusCodeToString(status.code())}, {"error", std::string(status.message())}});
  return absl::IsInvalidArgument(status) ? kDaemonUsage : kDaemonFailure;
}

// One line for people and scripts that wait for the server.
bool Announce(const std::string& address) {
  std::printf("ready on %s\n", address.c_str());
  return std::fflush(stdout) == 0;
}

void WarnOfInstructions(const EventLog& log) {
  kernels::ActiveKernels();  // reads what the environment allows
  const char* const problem = kernels::TilesProblem();
  if (problem != nullptr) log.Write(LogLevel::kWarning, "AMX is not used", {{"reason", std::string(problem)}});
}

int Serve(const DaemonConfig& config, const EventLog& log) {
  WarnOfInstructions(log);
  NodeConfig node_config = config.node;
  node_config.vector_gpu_report = [&log](const absl::Status& status) {
    log.Write(LogLevel::kWarning, "vectors are searched on the CPU", {{"error", std::string(status.message())}});
  };
  auto node = ComposedNode::Create(node_config);
  if (!node.ok()) return Fail(log, node.status());
  auto server = Server::Start(MakeServerOptions(config), Served(node->get()), &log);
  if (!server.ok()) return Fail(log, server.status());
  log.Write(LogLevel::kInfo, "serving",
            {{"address", (*server)->address()}, {"roles", RoleList(config.node)}, {"version", LASTRO_VERSION}});
  Announce((*server)->address());
  KeepServing();
  log.Write(LogLevel::kInfo, "draining", {{"seconds", absl::ToDoubleSeconds(config.drain)}});
  const bool finished = (*server)->Drain(config.drain);
  log.Write(finished ? LogLevel::kInfo : LogLevel::kWarning, "stopped",
            {{"all_calls_finished", finished ? "yes" : "no"}});
  return kDaemonOk;
}

int Main(const std::vector<std::string>& arguments) {
  LimitKeptMemory();
  if (!HandleSignals()) {
    std::perror("lastrod: cannot handle signals");
    return kDaemonFailure;
  }
  std::variant<DaemonConfig, DaemonExit> parsed = ParseDaemonConfig(arguments, std::cout, std::cerr);
  if (const DaemonExit* exit_code = std::get_if<DaemonExit>(&parsed)) return *exit_code;
  const DaemonConfig& config = std::get<DaemonConfig>(parsed);
  const EventLog log(config.log_level, config.log_json);
  return Serve(config, log);
}

}  // namespace
}  // namespace lastro::services

int main(int argc, char** argv) {
  return lastro::services::Main(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
}
