#include "services/grpc/server.h"

#include <chrono>
#include <mutex>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/resource_quota.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "services/grpc/call_runner.h"
#include "services/grpc/grpc_services.h"
#include "services/grpc/health_watch.h"
#include "services/grpc/limits.h"

namespace lastro::services {
namespace {

constexpr int kThreadsBesidesGates = 64;      // for cheap calls
constexpr size_t kMaxBufferBytes = 2u << 30;  // of gRPC, for messages that come in
constexpr uint64_t kMaxPemBytes = 1 << 20;
constexpr absl::Duration kRefusalTime = absl::Milliseconds(100);

int MaxRunningCalls(const ServerOptions& options) {
  if (options.max_running_calls > 0) return options.max_running_calls;
  return std::max(4, 2 * static_cast<int>(std::thread::hardware_concurrency()));
}

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> Credentials(const ServerOptions& options) {
  if (options.tls_cert.empty() && options.tls_key.empty()) return grpc::InsecureServerCredentials();
  if (options.tls_cert.empty() || options.tls_key.empty()) {
    return absl::InvalidArgumentError("TLS needs both a certificate and a key: give --tls-cert and --tls-key");
  }
  grpc::SslServerCredentialsOptions ssl;
  grpc::SslServerCredentialsOptions::PemKeyCertPair pair;
  LASTRO_ASSIGN_OR_RETURN(pair.cert_chain, ReadFile(options.tls_cert, kMaxPemBytes));
  LASTRO_ASSIGN_OR_RETURN(pair.private_key, ReadFile(options.tls_key, kMaxPemBytes));
  ssl.pem_key_cert_pairs.push_back(std::move(pair));
  return grpc::SslServerCredentials(ssl);
}

std::vector<std::unique_ptr<grpc::Service>> MakeServices(const ServedApis& apis, const ServerOptions& options,
                                                         CallRunner* calls) {
  std::vector<std::unique_ptr<grpc::Service>> services;
  services.push_back(MakeAskService(apis.ask, calls));
  services.push_back(MakeEmbeddingService(apis.embedding, calls));
  services.push_back(MakeGenerationService(apis.generation, calls));
  services.push_back(MakeInspectService(apis.inspect, calls));
  services.push_back(MakeModelService(apis.models, calls));
  services.push_back(MakeRetrievalService(apis.retrieval, calls));
  services.push_back(MakeIngestService(apis.ingest, options.max_upload_bytes, calls));
  services.push_back(MakeStoreService(apis.store, calls));
  return services;
}

void Configure(grpc::ServerBuilder* builder, int max_threads) {
  grpc::ResourceQuota quota("lastrod");
  quota.SetMaxThreads(max_threads).Resize(kMaxBufferBytes);
  builder->SetResourceQuota(quota);
  builder->SetMaxReceiveMessageSize(kMaxRequestBytes);
  builder->SetMaxSendMessageSize(kMaxResponseBytes);
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);  // two servers on one port would share its calls unseen
  // Connections of peers that have vanished are found and closed.
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 60'000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
}

class GrpcServer final : public Server {
 public:
  GrpcServer(const ServerOptions& options, const ServedApis& apis, const EventLog* log)
      : calls_(MaxRunningCalls(options), options.max_running_texts, options.max_waiting_calls,
               options.requires_scope, log),
        services_(MakeServices(apis, options, &calls_)) {}

  ~GrpcServer() override {
    if (server_ != nullptr) Drain(absl::ZeroDuration());
  }

  absl::Status Start(const ServerOptions& options, const ServedApis& apis, const EventLog* log) {
    LASTRO_ASSIGN_OR_RETURN(auto credentials, Credentials(options));
    grpc::ServerBuilder builder;
    Configure(&builder, calls_.gates().max_calls() + kThreadsBesidesGates);
    int port = 0;
    builder.AddListeningPort(options.listen, credentials, &port);
    for (const auto& service : services_) builder.RegisterService(service.get());
    server_ = builder.BuildAndStart();
    if (server_ == nullptr || port == 0) {
      server_ = nullptr;
      return absl::UnavailableError(absl::StrCat("cannot listen on ", options.listen,
                                                 ": is the port in use, the host one of this machine, and any "
                                                 "certificate valid? Choose another with --listen HOST:PORT"));
    }
    address_ = absl::StrCat(options.listen.substr(0, options.listen.rfind(':')), ":", port);
    health_ = std::make_unique<HealthWatch>(server_->GetHealthCheckService(), apis.healthy_services, &calls_.active(),
                                            options.patience, log);
    return absl::OkStatus();
  }

  const std::string& address() const override { return address_; }

  bool Drain(absl::Duration grace) override {
    std::lock_guard<std::mutex> lock(drain_mutex_);
    if (health_ == nullptr) return drained_;
    const absl::Time deadline = absl::Now() + grace;
    health_->BeginDrain();
    calls_.BeginDrain();
    drained_ = calls_.active().WaitUntilNone(deadline);
    // What is left now is cancelled; Shutdown returns when all calls have.
    server_->Shutdown(std::chrono::system_clock::now() +
                      absl::ToChronoMilliseconds(drained_ ? kRefusalTime : absl::ZeroDuration()));
    server_->Wait();
    health_ = nullptr;
    return drained_;
  }

 private:
  CallRunner calls_;
  const std::vector<std::unique_ptr<grpc::Service>> services_;
  std::string address_;  // const after Start
  std::unique_ptr<grpc::Server> server_;
  std::mutex drain_mutex_;
  std::unique_ptr<HealthWatch> health_;  // null once drained
  bool drained_ = false;
};

// Plugins of every server that is built afterwards; gRPC keeps them per process.
void EnablePlugins() {
  static std::once_flag once;
  std::call_once(once, [] {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  });
}

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options, const ServedApis& apis,
                                                      const EventLog* log) {
  EnablePlugins();
  auto server = std::make_unique<GrpcServer>(options, apis, log);
  LASTRO_RETURN_IF_ERROR(server->Start(options, apis, log));
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace lastro::services
