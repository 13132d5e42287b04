// Node: one process's components, put together from a configuration: what is hosted here (local implementations on
// loaded models and an opened store) and what is reached over gRPC. Used by lastrod, and by the CLI in process.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/call_context.h"
#include "services/api.h"
#include "services/compute_options.h"
#include "services/local/scan_device.h"
#include "services/milvus/milvus_options.h"

namespace lastro::services {

enum class Role { kEmbedding, kGeneration, kRetrieval, kIngest, kAsk };

struct NodeConfig {
  std::set<Role> roles;                   // hosted here
  std::map<Role, std::string> addresses;  // HOST:PORT of roles hosted elsewhere
  std::string data_folder;                // of the store; REQUIRED with kRetrieval, unless `milvus` has an address
  MilvusOptions milvus;                   // with an address the store is there, and not in a folder
  std::string vector_index = "auto";      // kind of the store's vector indexes, see retrieval/index_kind.h
  int64_t vector_gpu_bytes = 0;           // GPU memory for vectors that are searched there; 0: none are
  DeviceReport vector_gpu_report;         // why they are searched on the CPU nevertheless; may be null
  std::string decoder_folder;             // model folders; empty: the built-in models
  // The first is the one that new collections get; every collection is searched and ingested into by its own. With
  // lazy_models the built-in one comes after those given.
  std::vector<std::string> embedder_folders;
  std::string reranker_folder;        // of the generation role; empty: none; "built-in": the built-in reader
  std::string reader_folder;          // of the generation role; empty: the built-in one, where there is one; "none"
  std::vector<std::string> adapters;  // of the decoder, "NAME=DIR"
  ComputeConfig compute;
  bool lazy_models = false;         // load a model at its first use (the CLI) rather than at start (the daemon)
  bool allow_folders = true;        // IngestFolder may read folders of this machine
  std::string allowed_folder_root;  // and only below this one, unless empty
  int chunk_tokens = 200;
  uint64_t max_file_bytes = 64u << 20;
  int max_running_texts = 64;  // generation calls that share steps of the model; more wait
  int max_waiting_calls = 64;  // model calls that may wait for compute; more are RESOURCE_EXHAUSTED
};

class Node {
 public:
  // Opens the store and loads the models of the hosted roles. Errors name what could not be opened and what to do.
  static absl::StatusOr<std::unique_ptr<Node>> Create(const NodeConfig& config);
  virtual ~Node() = default;  // stops running jobs; they go on at the next start

  // Each is never null: local, remote, or, where neither is configured, one whose calls fail with UNAVAILABLE naming
  // the missing role.
  virtual EmbeddingApi& embedding() = 0;
  virtual GenerationApi& generation() = 0;
  virtual RetrievalApi& retrieval() = 0;
  virtual IngestApi& ingest() = 0;
  virtual AskApi& ask() = 0;
  virtual InspectApi& inspect() = 0;
  virtual ModelApi& models() = 0;
};

// Components that all speak to one server; for `lastro --server`.
absl::StatusOr<std::unique_ptr<Node>> ConnectToServer(const std::string& address);

// Where the built-in models are: $LASTRO_MODELS, or models/ beside the program's share folder, or deploy/models of the
// source tree this program was built in. NOT_FOUND lists the places tried.
absl::StatusOr<std::string> FindBuiltInModels();

}  // namespace lastro::services
