// CallRunner: what every call of the server has around it: a CallContext with the peer's deadline, scope and cancellation, a
// permit where the call is expensive, a refusal while the server drains, one line in the log. Thread-safe.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "base/call_context.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/status.h"
#include "grpcpp/support/sync_stream.h"
#include "services/grpc/active_calls.h"
#include "services/grpc/admission.h"
#include "services/grpc/event_log.h"

namespace lastro::services {

// One gate for each kind of expensive call.
struct Gates {
  Gates(int max_running, int max_running_texts, int max_waiting);
  // Calls that all gates let in or make wait, together.
  int max_calls() const;

  AdmissionGate ask;
  AdmissionGate generation;
  AdmissionGate embedding;
  AdmissionGate search;
  AdmissionGate inspection;
  AdmissionGate upload;
  AdmissionGate store;
  AdmissionGate watch;  // streams that last as long as a job
};

// A call that runs.
class Call {
 public:
  Call(CallContext context, std::shared_ptr<ActiveCall> active)
      : context_(std::move(context)), active_(std::move(active)) {}

  const CallContext& context() const { return context_; }

  // CANCELLED when the peer has gone.
  template <typename Message>
  absl::Status Write(grpc::ServerWriter<Message>* writer, const Message& message) {
    active_->Enter(ActiveCall::State::kStreaming);
    const bool written = writer->Write(message);
    active_->Enter(ActiveCall::State::kRunning);
    return written ? absl::OkStatus() : absl::CancelledError("the caller has gone");
  }

  // False at the end of the stream.
  template <typename Message>
  bool Read(grpc::ServerReader<Message>* reader, Message* message) {
    active_->Enter(ActiveCall::State::kStreaming);
    const bool read = reader->Read(message);
    active_->Enter(ActiveCall::State::kRunning);
    return read;
  }

 private:
  const CallContext context_;
  const std::shared_ptr<ActiveCall> active_;
};

struct CallSpec {
  const char* method;             // such as "EmbeddingService/Embed"
  AdmissionGate* gate = nullptr;  // none: the call is cheap
  bool computes = false;          // it uses a model: the server is not alive when it is stuck
  bool ends_at_drain = false;     // a stream that may last for ever is ended rather than waited for
};

class CallRunner {
 public:
  // `log` must outlive the runner. With `requires_scope` calls without a scope are UNAUTHENTICATED.
  CallRunner(int max_running, int max_running_texts, int max_waiting, bool requires_scope, const EventLog* log)
      : gates_(max_running, max_running_texts, max_waiting), requires_scope_(requires_scope), log_(log) {}

  Gates& gates() { return gates_; }
  ActiveCalls& active() { return active_; }

  // From now on new calls are refused with UNAVAILABLE, and streams with ends_at_drain end with it.
  void BeginDrain() { draining_ = true; }

  grpc::Status Run(grpc::ServerContext& server, const CallSpec& spec, absl::FunctionRef<absl::Status(Call&)> body);

  // For calls with one response. `body` is called with the CallContext and returns a StatusOr<Response>.
  template <typename Response, typename Body>
  grpc::Status Unary(grpc::ServerContext* server, const CallSpec& spec, Response* response, const Body& body) {
    return Run(*server, spec, [&](Call& call) -> absl::Status {
      absl::StatusOr<Response> result = body(call.context());
      if (result.ok()) *response = *std::move(result);
      return result.status();
    });
  }

 private:
  absl::Status Execute(const std::shared_ptr<ActiveCall>& active, grpc::ServerContext& server, const CallSpec& spec,
                       absl::FunctionRef<absl::Status(Call&)> body);
  void Log(const grpc::ServerContext& server, const CallSpec& spec, const absl::Status& status,
           absl::Duration duration) const;

  Gates gates_;
  ActiveCalls active_;
  std::atomic<bool> draining_{false};
  const bool requires_scope_;
  const EventLog* const log_;
};

// UNIMPLEMENTED: "X is not implemented yet".
grpc::Status NotImplemented(const char* method);

}  // namespace lastro::services
