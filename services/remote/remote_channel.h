// RemoteChannel: a gRPC connection to the server of a role, and the calls on it. Calls pass on the deadline, the
// priority, the scope and the cancellation of their CallContext; without a deadline they get the channel's default one.
// Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/call_context.h"
#include "base/status_macros.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "grpcpp/completion_queue.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/async_stream.h"
#include "grpcpp/support/async_unary_call.h"

namespace lastro::services {

struct RemoteOptions {
  std::string role;                                                 // in messages, such as "the embedding role"
  std::string address;                                              // HOST:PORT
  absl::Duration connect_timeout = absl::Seconds(5);                // so that processes may start in any order
  absl::Duration call_timeout = absl::Seconds(120);                 // of calls without a deadline
  std::shared_ptr<grpc::ChannelCredentials> credentials = nullptr;  // null: no TLS
  std::map<std::string, std::string> metadata = {};                 // sent with every call
  std::string advice = {};  // what to do when it cannot be reached; may be empty
};

// INVALID_ARGUMENT unless `address` is HOST:PORT (or [IPV6]:PORT) with a port in [min_port, 65535].
absl::Status CheckAddress(absl::string_view address, int min_port = 1);

class RemoteChannel {
 public:
  // Does not connect yet. INVALID_ARGUMENT as CheckAddress.
  static absl::StatusOr<std::shared_ptr<RemoteChannel>> Create(const RemoteOptions& options);

  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  const RemoteOptions& options() const { return options_; }

  // Waits for a connection: UNAVAILABLE, naming role and address, after connect_timeout; or what `context` ended with.
  absl::Status Connect(const CallContext& context);

 private:
  friend class RemoteCall;
  explicit RemoteChannel(const RemoteOptions& options);
  // UNAVAILABLE, with what to do.
  absl::Status Unavailable(absl::string_view what) const;

  const RemoteOptions options_;
  const std::shared_ptr<grpc::Channel> channel_;
};

// One call: a completion queue of its own, whose events are waited for while the CallContext is watched, so that a call
// ends within 50 ms of its cancellation. Not thread-safe.
class RemoteCall {
 public:
  // `timeout` zero: the channel's.
  RemoteCall(RemoteChannel* channel, const CallContext& context, absl::Duration timeout = absl::ZeroDuration());
  // Cancels and drains what is still open.
  ~RemoteCall();
  RemoteCall(const RemoteCall&) = delete;
  RemoteCall& operator=(const RemoteCall&) = delete;

  absl::Status Connect() { return channel_.Connect(context_); }
  grpc::ClientContext* client() { return &client_; }
  grpc::CompletionQueue* queue() { return &queue_; }
  // Of every operation; there is one at a time.
  void* tag() { return this; }

  // Waits for the operation under way; its success.
  bool Wait();
  void Cancel() { client_.TryCancel(); }
  // The status of a call that has finished.
  absl::Status ToStatus(const grpc::Status& status) const;

 private:
  RemoteChannel& channel_;
  const CallContext context_;
  const absl::Duration timeout_;
  grpc::ClientContext client_;
  grpc::CompletionQueue queue_;
  absl::Status ended_;  // what the context ended with
};

// `start` begins the call: start(ClientContext*, CompletionQueue*) -> unique_ptr<ClientAsyncResponseReader<Response>>.
template <typename Response, typename Start>
absl::StatusOr<Response> CallUnary(RemoteChannel* channel, const CallContext& context, const Start& start,
                                   absl::Duration timeout = absl::ZeroDuration()) {
  RemoteCall call(channel, context, timeout);
  LASTRO_RETURN_IF_ERROR(call.Connect());
  Response response;
  grpc::Status status;
  auto reader = start(call.client(), call.queue());
  reader->Finish(&response, &status, call.tag());
  call.Wait();
  LASTRO_RETURN_IF_ERROR(call.ToStatus(status));
  return response;
}

// Gives each message of a server's stream to `sink`; an error of the sink ends the call with it.
// start(ClientContext*, CompletionQueue*, tag) -> unique_ptr<ClientAsyncReader<Message>>.
template <typename Message, typename Start>
absl::Status CallServerStream(RemoteChannel* channel, const CallContext& context, const Start& start,
                              const std::function<absl::Status(const Message&)>& sink,
                              absl::Duration timeout = absl::ZeroDuration()) {
  RemoteCall call(channel, context, timeout);
  LASTRO_RETURN_IF_ERROR(call.Connect());
  auto reader = start(call.client(), call.queue(), call.tag());
  absl::Status refused;
  Message message;
  for (bool open = call.Wait(); open;) {
    reader->Read(&message, call.tag());
    open = call.Wait();
    if (!open || !refused.ok()) continue;
    refused = sink(message);
    if (!refused.ok()) call.Cancel();
  }
  grpc::Status status;
  reader->Finish(&status, call.tag());
  call.Wait();
  LASTRO_RETURN_IF_ERROR(refused);
  return call.ToStatus(status);
}

// Sends what `produce` writes and returns the response. `produce` gets a function that sends one message and returns
// false when the server does not want more.
// start(ClientContext*, Response*, CompletionQueue*, tag) -> unique_ptr<ClientAsyncWriter<Message>>.
template <typename Message, typename Response, typename Start>
absl::StatusOr<Response> CallClientStream(
    RemoteChannel* channel, const CallContext& context, const Start& start,
    const std::function<void(const std::function<bool(const Message&)>&)>& produce,
    absl::Duration timeout = absl::ZeroDuration()) {
  RemoteCall call(channel, context, timeout);
  LASTRO_RETURN_IF_ERROR(call.Connect());
  Response response;
  auto writer = start(call.client(), &response, call.queue(), call.tag());
  bool open = call.Wait();
  produce([&](const Message& message) {
    if (!open) return false;
    writer->Write(message, call.tag());
    return open = call.Wait();
  });
  if (open) {
    writer->WritesDone(call.tag());
    call.Wait();
  }
  grpc::Status status;
  writer->Finish(&status, call.tag());
  call.Wait();
  LASTRO_RETURN_IF_ERROR(call.ToStatus(status));
  return response;
}

}  // namespace lastro::services
