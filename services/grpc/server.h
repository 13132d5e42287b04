// Server: the components of a process behind gRPC, with health checking (grpc.health.v1), reflection, admission and an
// orderly end. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "retrieval/chunk_store.h"
#include "services/api.h"
#include "services/grpc/event_log.h"

namespace lastro::services {

struct ServerOptions {
  std::string listen = "127.0.0.1:0";  // HOST:PORT; port 0: any free one
  std::string tls_cert;                // PEM files, both or none
  std::string tls_key;
  int max_running_calls = 0;   // of each expensive kind but the next; 0: two per core, at least 4
  int max_running_texts = 64;  // generation calls, which share steps of the model
  bool requires_scope = false;  // calls without lastro-tenant and lastro-labels are UNAUTHENTICATED
  int max_waiting_calls = 64;  // of each expensive kind
  uint64_t max_upload_bytes = 64u << 20;
  // Computation without a step for longer than this makes the server NOT_SERVING until it goes on.
  absl::Duration patience = absl::Seconds(60);
};

// The components behind the services. All but `store` are REQUIRED: where the process does not host one, it is one
// whose calls fail. They must outlive the server.
struct ServedApis {
  AskApi* ask = nullptr;
  EmbeddingApi* embedding = nullptr;
  GenerationApi* generation = nullptr;
  IngestApi* ingest = nullptr;
  InspectApi* inspect = nullptr;
  ModelApi* models = nullptr;
  RetrievalApi* retrieval = nullptr;
  retrieval::ChunkStore* store = nullptr;  // null: not of this process
  // Full names such as "lastro.v1.AskService": those whose health is SERVING; of others it is unknown.
  std::vector<std::string> healthy_services = {};
};

class Server {
 public:
  // Serves from when it returns. `log` must outlive the server. INVALID_ARGUMENT (addresses, certificates), UNAVAILABLE
  // (the address cannot be listened on).
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options, const ServedApis& apis,
                                                       const EventLog* log);
  // As Drain(absl::ZeroDuration()).
  virtual ~Server() = default;

  // HOST:PORT with the real port.
  virtual const std::string& address() const = 0;

  // Health becomes NOT_SERVING and new calls are refused with UNAVAILABLE at once; waits for the calls that run,
  // cancels those that are left after `grace`, and stops. True when none had to be cancelled. May be called again.
  virtual bool Drain(absl::Duration grace) = 0;
};

}  // namespace lastro::services
