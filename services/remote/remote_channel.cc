#include "services/remote/remote_channel.h"

#include <algorithm>
#include <chrono>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "grpcpp/create_channel.h"
#include "services/call_priority.h"
#include "services/grpc/limits.h"
#include "services/grpc/status.h"
#include "services/scope_headers.h"

namespace lastro::services {
namespace {

// How soon a call sees that its caller has gone.
constexpr std::chrono::milliseconds kPollPeriod(50);

grpc::ChannelArguments ChannelOptions() {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxResponseBytes);
  arguments.SetMaxSendMessageSize(kMaxRequestBytes);
  // A process that starts or comes back is found within a second.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  // A peer that has vanished is noticed during a call.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  // Roles speak to each other inside one network: a proxy of the environment is not asked.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return arguments;
}

}  // namespace

absl::Status CheckAddress(absl::string_view address, int min_port) {
  const size_t colon = address.rfind(':');
  const absl::string_view host = address.substr(0, colon == absl::string_view::npos ? 0 : colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  const bool plain = !host.empty() && host.find_first_of(":/[] \t") == absl::string_view::npos;
  int port = -1;
  if ((bracketed || plain) && absl::SimpleAtoi(address.substr(colon + 1), &port) && port >= min_port && port <= 65535) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("address '", address, "' is not HOST:PORT with a port in ", min_port, "..65535"));
}

absl::StatusOr<std::shared_ptr<RemoteChannel>> RemoteChannel::Create(const RemoteOptions& options) {
  LASTRO_RETURN_IF_ERROR(CheckAddress(options.address));
  return std::shared_ptr<RemoteChannel>(new RemoteChannel(options));
}

RemoteChannel::RemoteChannel(const RemoteOptions& options)
    : options_(options),
      channel_(grpc::CreateCustomChannel(
          options.address, options.credentials != nullptr ? options.credentials : grpc::InsecureChannelCredentials(),
          ChannelOptions())) {}

absl::Status RemoteChannel::Unavailable(absl::string_view what) const {
  return absl::UnavailableError(absl::StrCat(options_.role, " at ", options_.address, " ", what,
                                             options_.advice.empty() ? "" : "; ", options_.advice));
}

absl::Status RemoteChannel::Connect(const CallContext& context) {
  const absl::Time limit = std::min(context.deadline(), absl::Now() + options_.connect_timeout);
  while (channel_->GetState(/*try_to_connect=*/true) != GRPC_CHANNEL_READY) {
    LASTRO_RETURN_IF_ERROR(context.Check());
    if (absl::Now() >= limit) {
      return Unavailable(
          absl::StrCat("cannot be reached: no connection within ", absl::FormatDuration(options_.connect_timeout)));
    }
    channel_->WaitForConnected(std::chrono::system_clock::now() + kPollPeriod);
  }
  return absl::OkStatus();
}

RemoteCall::RemoteCall(RemoteChannel* channel, const CallContext& context, absl::Duration timeout)
    : channel_(*channel),
      context_(context),
      timeout_(timeout > absl::ZeroDuration() ? timeout : channel->options().call_timeout) {
  const bool unlimited = context.deadline() == absl::InfiniteFuture();
  for (const auto& [key, value] : channel->options().metadata) client_.AddMetadata(key, value);
  if (context.priority() == Priority::kBackground) client_.AddMetadata(kPriorityHeader, kBackgroundPriority);
  const ScopeHeaders headers = HeadersOfScope(context.scope());
  if (headers.tenant.has_value()) client_.AddMetadata(kTenantHeader, *headers.tenant);
  if (headers.labels.has_value()) client_.AddMetadata(kLabelsHeader, *headers.labels);
  client_.set_deadline(absl::ToChronoTime(unlimited ? absl::Now() + timeout_ : context.deadline()));
}

RemoteCall::~RemoteCall() {
  queue_.Shutdown();
  void* tag = nullptr;
  bool ok = false;
  while (queue_.Next(&tag, &ok)) {
  }
}

bool RemoteCall::Wait() {
  void* tag = nullptr;
  bool ok = false;
  while (queue_.AsyncNext(&tag, &ok, std::chrono::system_clock::now() + kPollPeriod) ==
         grpc::CompletionQueue::TIMEOUT) {
    if (!ended_.ok()) continue;
    ended_ = context_.Check();
    if (!ended_.ok()) Cancel();
  }
  return ok;
}

absl::Status RemoteCall::ToStatus(const grpc::Status& status) const {
  if (status.ok()) return absl::OkStatus();
  if (!ended_.ok()) return ended_;
  LASTRO_RETURN_IF_ERROR(context_.Check());
  const absl::Status translated = FromGrpc(status);
  const RemoteOptions& options = channel_.options();
  if (absl::IsUnavailable(translated)) {
    return channel_.Unavailable(absl::StrCat("is not available: ", status.error_message()));
  }
  if (absl::IsDeadlineExceeded(translated)) {
    return absl::DeadlineExceededError(
        absl::StrCat(options.role, " at ", options.address, " did not answer within ", absl::FormatDuration(timeout_)));
  }
  return translated;
}

}  // namespace lastro::services
