#include "services/grpc/call_runner.h"

#include <chrono>
#include <iterator>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "services/call_priority.h"
#include "services/grpc/status.h"
#include "services/scope_headers.h"

namespace lastro::services {
namespace {

constexpr int kMaxWatches = 64;

absl::Time DeadlineOf(const grpc::ServerContext& server) {
  const std::chrono::system_clock::time_point deadline = server.deadline();
  return deadline == std::chrono::system_clock::time_point::max() ? absl::InfiniteFuture() : absl::FromChrono(deadline);
}

Priority PriorityOf(const grpc::ServerContext& server) {
  const auto at = server.client_metadata().find(kPriorityHeader);
  const bool background = at != server.client_metadata().end() && at->second == kBackgroundPriority;
  return background ? Priority::kBackground : Priority::kInteractive;
}

// The one value of a header; INVALID_ARGUMENT when there are several.
absl::StatusOr<std::optional<std::string>> HeaderOf(const grpc::ServerContext& server, const char* name) {
  const auto [begin, end] = server.client_metadata().equal_range(name);
  if (begin == end) return std::optional<std::string>();
  if (std::next(begin) != end) return absl::InvalidArgumentError(absl::StrCat("the call has several values of ", name));
  return std::optional<std::string>(std::string(begin->second.data(), begin->second.size()));
}

absl::StatusOr<Scope> ScopeOf(const grpc::ServerContext& server, bool required) {
  ScopeHeaders headers;
  LASTRO_ASSIGN_OR_RETURN(headers.tenant, HeaderOf(server, kTenantHeader));
  LASTRO_ASSIGN_OR_RETURN(headers.labels, HeaderOf(server, kLabelsHeader));
  return ScopeOfHeaders(headers, required);
}

absl::Status Draining() { return absl::UnavailableError("the server is shutting down; retry, or ask another one"); }

// Errors whose message the operator must see; those that a request caused are the caller's business.
bool IsFaultOfTheServer(absl::StatusCode code) {
  return code == absl::StatusCode::kInternal || code == absl::StatusCode::kUnknown ||
         code == absl::StatusCode::kDataLoss || code == absl::StatusCode::kUnavailable;
}

}  // namespace

Gates::Gates(int max_running, int max_running_texts, int max_waiting)
    : ask("questions", max_running, max_waiting),
      generation("generation calls", max_running_texts, max_waiting),
      embedding("embedding calls", max_running, max_waiting),
      search("searches", max_running, max_waiting),
      inspection("inspections", max_running, max_waiting),
      upload("uploads", max_running, max_waiting),
      store("store calls", max_running, max_waiting),
      watch("watchers of jobs", kMaxWatches, 0) {}

int Gates::max_calls() const {
  int sum = 0;
  for (const AdmissionGate* gate : {&ask, &generation, &embedding, &search, &inspection, &upload, &store, &watch}) {
    sum += gate->max_calls();
  }
  return sum;
}

grpc::Status CallRunner::Run(grpc::ServerContext& server, const CallSpec& spec,
                             absl::FunctionRef<absl::Status(Call&)> body) {
  const absl::Time start = absl::Now();
  auto active = std::make_shared<ActiveCall>(&server, spec.computes);
  active_.Add(active);  // before draining_ is read, so that a drain either waits for this call or refuses it
  absl::Status status = Execute(active, server, spec, body);
  active_.Remove(active);
  Log(server, spec, status, absl::Now() - start);
  return ToGrpc(status);
}

absl::Status CallRunner::Execute(const std::shared_ptr<ActiveCall>& active, grpc::ServerContext& server,
                                 const CallSpec& spec, absl::FunctionRef<absl::Status(Call&)> body) {
  if (draining_) return Draining();
  auto is_cancelled = [this, active, ends_at_drain = spec.ends_at_drain] {
    return active->Poll() || (ends_at_drain && draining_);
  };
  LASTRO_ASSIGN_OR_RETURN(const Scope scope, ScopeOf(server, requires_scope_));
  const CallContext context = CallContext::Until(DeadlineOf(server), is_cancelled);
  Call call(context.WithPriority(PriorityOf(server)).WithScope(scope), active);
  AdmissionGate::Permit permit;
  if (spec.gate != nullptr) {
    LASTRO_ASSIGN_OR_RETURN(permit, spec.gate->Acquire(call.context()));
  }
  active->Enter(ActiveCall::State::kRunning);
  absl::Status status = body(call);
  if (absl::IsCancelled(status) && spec.ends_at_drain && draining_) return Draining();
  return status;
}

void CallRunner::Log(const grpc::ServerContext& server, const CallSpec& spec, const absl::Status& status,
                     absl::Duration duration) const {
  EventLog::Fields fields = {{"method", std::string(spec.method)},
                             {"code", absl::StatusCodeToString(status.code())},
                             {"duration_ms", absl::ToDoubleMilliseconds(duration)},
                             {"peer", server.peer()}};
  const bool fault = IsFaultOfTheServer(status.code());
  if (fault) fields.emplace_back("error", std::string(status.message()));
  log_->Write(fault ? LogLevel::kWarning : LogLevel::kInfo, "call", fields);
}

grpc::Status NotImplemented(const char* method) {
  return ToGrpc(absl::UnimplementedError(absl::StrCat(method, " is not implemented yet")));
}

}  // namespace lastro::services
