#include "services/node.h"

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "retrieval/sqlite_store.h"
#include "services/answer/answerer.h"
#include "services/composed_node.h"
#include "services/late_retrieval.h"
#include "services/local/local_services.h"
#include "services/local/model_provider.h"
#include "services/local/scan_device.h"
#include "services/milvus/milvus_store.h"
#include "services/remote/remote_apis.h"
#include "services/remote/unavailable.h"
#include "services/routed_models.h"

namespace lastro::services {
namespace {

absl::StatusOr<std::string> ModelFolder(const std::string& configured, const char* built_in) {
  if (!configured.empty()) return configured;
  LASTRO_ASSIGN_OR_RETURN(std::string models, FindBuiltInModels());
  return absl::StrCat(models, "/", built_in);
}

absl::StatusOr<std::vector<std::string>> EmbedderFolders(const NodeConfig& config) {
  std::vector<std::string> folders = config.embedder_folders;
  if (!folders.empty() && !config.lazy_models) return folders;
  absl::StatusOr<std::string> built_in = ModelFolder("", "embedder");
  if (folders.empty()) LASTRO_RETURN_IF_ERROR(built_in.status());
  std::error_code error;
  if (built_in.ok() && (folders.empty() || std::filesystem::exists(*built_in, error))) folders.push_back(*built_in);
  return folders;
}

absl::StatusOr<std::map<std::string, std::string>> ParseAdapters(const std::vector<std::string>& list) {
  std::map<std::string, std::string> adapters;
  for (const std::string& entry : list) {
    const std::vector<std::string> parts = absl::StrSplit(entry, absl::MaxSplits('=', 1));
    if (parts.size() != 2 || parts[0].empty() || parts[1].empty()) {
      return absl::InvalidArgumentError(absl::StrCat("--lora ", entry, ": give NAME=DIR"));
    }
    if (!adapters.emplace(parts[0], parts[1]).second) {
      return absl::InvalidArgumentError(absl::StrCat("--lora: two adapters are named \"", parts[0], "\""));
    }
  }
  return adapters;
}

absl::Status MissingRole(Role role) {
  return absl::UnavailableError(absl::StrCat("the ", RoleName(role),
                                             " role is not hosted by this process and no address "
                                             "of it is configured; give --",
                                             RoleName(role), "-address HOST:PORT"));
}

// The folder or file of the cross-encoder that NodeConfig::reranker_folder asks for, as FindReader.
absl::StatusOr<std::string> FindReranker(const std::string& configured) {
  return configured == "built-in" ? FindReader(configured) : configured;
}

// The parts are in the order they are made in; they are destroyed in the opposite one.
class NodeImpl final : public ComposedNode {
 public:
  explicit NodeImpl(const NodeConfig& config) : config_(config) {}

  absl::Status Init() {
    LASTRO_RETURN_IF_ERROR(OpenModels());
    LASTRO_RETURN_IF_ERROR(OpenStore());
    LASTRO_RETURN_IF_ERROR(Connect());
    MakeEmbedding();
    MakeGeneration();
    MakeRetrieval();
    MakeModelViews();
    MakeIngest();
    MakeAsk();
    return absl::OkStatus();
  }

  EmbeddingApi& embedding() override { return *embedding_; }
  GenerationApi& generation() override { return *generation_; }
  RetrievalApi& retrieval() override { return *retrieval_; }
  IngestApi& ingest() override { return *ingest_; }
  AskApi& ask() override { return *ask_; }
  InspectApi& inspect() override { return *inspect_; }
  ModelApi& models() override { return *models_; }
  retrieval::ChunkStore* store() override { return local_store_.get(); }

  std::vector<std::string> HostedServices() const override {
    std::vector<std::string> names;
    if (Hosts(Role::kEmbedding)) names.push_back("lastro.v1.EmbeddingService");
    if (Hosts(Role::kGeneration)) names.push_back("lastro.v1.GenerationService");
    if (Hosts(Role::kIngest)) names.push_back("lastro.v1.IngestService");
    if (Hosts(Role::kAsk)) names.push_back("lastro.v1.AskService");
    if (HostsModels()) names.insert(names.end(), {"lastro.v1.InspectService", "lastro.v1.ModelService"});
    if (Hosts(Role::kRetrieval)) names.insert(names.end(), {"lastro.v1.RetrievalService", "lastro.v1.StoreService"});
    return names;
  }

 private:
  bool Hosts(Role role) const { return config_.roles.count(role) > 0; }
  bool HostsModels() const { return Hosts(Role::kEmbedding) || Hosts(Role::kGeneration); }

  // Null where the role is hosted here or has no address.
  std::shared_ptr<RemoteChannel> Remote(Role role) const {
    auto found = channels_.find(role);
    return found == channels_.end() ? nullptr : found->second;
  }

  absl::Status OpenModels() {
    LASTRO_ASSIGN_OR_RETURN(engine::RuntimeOptions options, MakeRuntimeOptions(config_.compute));
    ModelFolders folders;
    if (Hosts(Role::kGeneration)) {
      LASTRO_ASSIGN_OR_RETURN(folders.decoder, ModelFolder(config_.decoder_folder, "decoder"));
      LASTRO_ASSIGN_OR_RETURN(folders.adapters, ParseAdapters(config_.adapters));
      LASTRO_ASSIGN_OR_RETURN(folders.reranker, FindReranker(config_.reranker_folder));
      LASTRO_ASSIGN_OR_RETURN(folders.reader, FindReader(config_.reader_folder));
    }
    if (Hosts(Role::kEmbedding)) {
      LASTRO_ASSIGN_OR_RETURN(folders.embedders, EmbedderFolders(config_));
    }
    std::vector<engine::RuntimeOptions> devices;
    LASTRO_ASSIGN_OR_RETURN(const std::vector<std::string> names, engine::DevicesOf(options.device));
    for (const std::string& name : names) {
      options.device = name;
      devices.push_back(options);
    }
    devices.front().gpu_spare_bytes = config_.vector_gpu_bytes;
    provider_.emplace(folders, devices);
    return config_.lazy_models ? absl::OkStatus() : provider_->LoadAll();
  }

  absl::Status OpenStore() {
    if (!Hosts(Role::kRetrieval)) return absl::OkStatus();
    if (!config_.milvus.address.empty()) {
      if (config_.vector_gpu_bytes > 0) {
        return absl::InvalidArgumentError("--vector-gpu-memory is for a store in a data folder; a Milvus has its own");
      }
      LASTRO_ASSIGN_OR_RETURN(local_store_, OpenMilvusStore(config_.milvus));
      return absl::OkStatus();
    }
    if (config_.data_folder.empty()) {
      return absl::InvalidArgumentError("the retrieval role needs a data folder; give --data DIR");
    }
    retrieval::SqliteStoreOptions options;
    options.folder = config_.data_folder;
    LASTRO_ASSIGN_OR_RETURN(options.vector_index.always, retrieval::ParseIndexKind(config_.vector_index));
    LASTRO_RETURN_IF_ERROR(OpenRowDevice());
    options.row_device = row_device_.get();
    LASTRO_ASSIGN_OR_RETURN(local_store_, retrieval::SqliteStore::Open(options));
    return absl::OkStatus();
  }

  absl::Status OpenRowDevice() {
    if (config_.vector_gpu_bytes == 0) return absl::OkStatus();
    LASTRO_ASSIGN_OR_RETURN(const std::vector<std::string> devices, engine::DevicesOf(config_.compute.device));
    absl::StatusOr<std::unique_ptr<engine::VectorScan>> scan =
        engine::VectorScan::Create(devices.front(), config_.vector_gpu_bytes);
    if (!scan.ok()) {
      return absl::Status(scan.status().code(), absl::StrCat("--vector-gpu-memory: ", scan.status().message()));
    }
    row_device_ = MakeScanDevice(*std::move(scan), config_.vector_gpu_report);
    return absl::OkStatus();
  }

  absl::Status Connect() {
    for (const auto& [role, address] : config_.addresses) {
      if (Hosts(role)) continue;
      LASTRO_ASSIGN_OR_RETURN(
          channels_[role],
          RemoteChannel::Create({.role = absl::StrCat("the ", RoleName(role), " role"), .address = address}));
    }
    return absl::OkStatus();
  }

  void MakeEmbedding() {
    if (Hosts(Role::kEmbedding)) {
      embedding_ = MakeLocalEmbedding(&*provider_, &late_retrieval_);
    } else if (auto channel = Remote(Role::kEmbedding)) {
      embedding_ = MakeRemoteEmbedding(channel);
    } else {
      embedding_ = MakeUnavailableEmbedding(MissingRole(Role::kEmbedding));
    }
  }

  void MakeGeneration() {
    if (Hosts(Role::kGeneration)) {
      generation_ = MakeLocalGeneration(&*provider_);
    } else if (auto channel = Remote(Role::kGeneration)) {
      generation_ = MakeRemoteGeneration(channel);
    } else {
      generation_ = MakeUnavailableGeneration(MissingRole(Role::kGeneration));
    }
  }

  void MakeRetrieval() {
    if (Hosts(Role::kRetrieval)) {
      const bool rerank = Hosts(Role::kGeneration) && !config_.reranker_folder.empty();
      retrieval_ = MakeLocalRetrieval(local_store_.get(), embedding_.get(), generation_.get(), rerank);
    } else if (auto channel = Remote(Role::kRetrieval)) {
      retrieval_ = MakeRemoteRetrieval(channel);
      remote_store_ = MakeRemoteStore(channel);
    } else {
      retrieval_ = MakeUnavailableRetrieval(MissingRole(Role::kRetrieval));
    }
    late_retrieval_.SetTarget(retrieval_.get());
  }

  void MakeIngest() {
    retrieval::ChunkStore* store = local_store_ != nullptr ? local_store_.get() : remote_store_.get();
    if (Hosts(Role::kIngest) && store == nullptr) {
      ingest_ = MakeUnavailableIngest(MissingRole(Role::kRetrieval));
    } else if (Hosts(Role::kIngest)) {
      ingest_ = MakeLocalIngest(store, embedding_.get(),
                                {.allow_folders = config_.allow_folders,
                                 .allowed_folder_root = config_.allowed_folder_root,
                                 .chunk_tokens = config_.chunk_tokens,
                                 .max_file_bytes = config_.max_file_bytes,
                                 .resume_jobs = !config_.lazy_models});
    } else if (auto channel = Remote(Role::kIngest)) {
      ingest_ = MakeRemoteIngest(channel);
    } else {
      ingest_ = MakeUnavailableIngest(MissingRole(Role::kIngest));
    }
  }

  void MakeAsk() {
    auto channel = Remote(Role::kAsk);
    if (Hosts(Role::kAsk)) {
      ask_ = MakeAnswerer(retrieval_.get(), embedding_.get(), generation_.get());
    } else if (channel != nullptr) {
      ask_ = MakeRemoteAsk(channel);
    } else {
      ask_ = MakeUnavailableAsk(MissingRole(Role::kAsk));
    }
  }

  // Each model is looked at where it is.
  void MakeModelViews() {
    if (HostsModels()) {
      model_parts_.local_inspect = MakeLocalInspect(&*provider_);
      model_parts_.local_models = MakeLocalModels(&*provider_);
    }
    ViewsOf(Role::kGeneration, &model_parts_.decoder_inspect, &model_parts_.decoder_models);
    ViewsOf(Role::kEmbedding, &model_parts_.embedder_inspect, &model_parts_.embedder_models);
    inspect_ = MakeRoutedInspect(Or(model_parts_.decoder_inspect, model_parts_.local_inspect),
                                 Or(model_parts_.embedder_inspect, model_parts_.local_inspect));
    ModelApi* local = model_parts_.local_models.get();
    ModelApi* decoder = Or(model_parts_.decoder_models, model_parts_.local_models);
    ModelApi* embedder = Or(model_parts_.embedder_models, model_parts_.local_models);
    // What this process hosts can be listed whether the other role is known here or not.
    if (local != nullptr && !Known(Role::kGeneration)) decoder = local;
    if (local != nullptr && !Known(Role::kEmbedding)) embedder = local;
    models_ = MakeMergedModels(decoder, embedder);
  }

  bool Known(Role role) const { return Hosts(role) || channels_.count(role) > 0; }

  // Left empty where this process hosts the role.
  void ViewsOf(Role role, std::unique_ptr<InspectApi>* inspect, std::unique_ptr<ModelApi>* models) const {
    if (Hosts(role)) return;
    auto channel = Remote(role);
    *inspect = channel ? MakeRemoteInspect(channel) : MakeUnavailableInspect(MissingRole(role));
    *models = channel ? MakeRemoteModels(channel) : MakeUnavailableModel(MissingRole(role));
  }

  template <typename Api>
  static Api* Or(const std::unique_ptr<Api>& first, const std::unique_ptr<Api>& second) {
    return first != nullptr ? first.get() : second.get();
  }

  struct ModelParts {
    std::unique_ptr<InspectApi> local_inspect, decoder_inspect, embedder_inspect;
    std::unique_ptr<ModelApi> local_models, decoder_models, embedder_models;
  };

  const NodeConfig config_;
  std::optional<ModelProvider> provider_;
  std::unique_ptr<retrieval::RowDevice> row_device_;
  std::unique_ptr<retrieval::ChunkStore> local_store_;
  std::map<Role, std::shared_ptr<RemoteChannel>> channels_;
  LateRetrieval late_retrieval_;
  std::unique_ptr<EmbeddingApi> embedding_;
  std::unique_ptr<GenerationApi> generation_;
  std::unique_ptr<RetrievalApi> retrieval_;
  std::unique_ptr<retrieval::ChunkStore> remote_store_;
  ModelParts model_parts_;
  std::unique_ptr<InspectApi> inspect_;
  std::unique_ptr<ModelApi> models_;
  std::unique_ptr<IngestApi> ingest_;  // runs jobs: stops first, but for ask
  std::unique_ptr<AskApi> ask_;
};

class ServerNode final : public Node {
 public:
  explicit ServerNode(std::shared_ptr<RemoteChannel> channel)
      : embedding_(MakeRemoteEmbedding(channel)),
        generation_(MakeRemoteGeneration(channel)),
        retrieval_(MakeRemoteRetrieval(channel)),
        ingest_(MakeRemoteIngest(channel)),
        ask_(MakeRemoteAsk(channel)),
        inspect_(MakeRemoteInspect(channel)),
        models_(MakeRemoteModels(channel)) {}

  EmbeddingApi& embedding() override { return *embedding_; }
  GenerationApi& generation() override { return *generation_; }
  RetrievalApi& retrieval() override { return *retrieval_; }
  IngestApi& ingest() override { return *ingest_; }
  AskApi& ask() override { return *ask_; }
  InspectApi& inspect() override { return *inspect_; }
  ModelApi& models() override { return *models_; }

 private:
  const std::unique_ptr<EmbeddingApi> embedding_;
  const std::unique_ptr<GenerationApi> generation_;
  const std::unique_ptr<RetrievalApi> retrieval_;
  const std::unique_ptr<IngestApi> ingest_;
  const std::unique_ptr<AskApi> ask_;
  const std::unique_ptr<InspectApi> inspect_;
  const std::unique_ptr<ModelApi> models_;
};

std::optional<std::string> FolderBesideProgram() {
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return std::nullopt;
  return (program.parent_path().parent_path() / "share/lastro/models").string();
}

}  // namespace

const char* RoleName(Role role) {
  switch (role) {
    case Role::kEmbedding:
      return "embedding";
    case Role::kGeneration:
      return "generation";
    case Role::kRetrieval:
      return "retrieval";
    case Role::kIngest:
      return "ingest";
    case Role::kAsk:
      return "ask";
  }
  return "unknown";
}

absl::StatusOr<std::string> FindReader(const std::string& configured) {
  if (configured == "none") return std::string();
  if (!configured.empty() && configured != "built-in") return configured;
  absl::StatusOr<std::string> models = FindBuiltInModels();
  if (configured.empty() && !models.ok()) return std::string();
  LASTRO_RETURN_IF_ERROR(models.status());
  const std::string folder = *models + "/reader", file = folder + "/reader.gguf";
  std::error_code ignored;
  if (std::filesystem::exists(file, ignored)) return file;
  return configured.empty() && !std::filesystem::exists(folder, ignored) ? std::string() : folder;
}

absl::StatusOr<std::unique_ptr<ComposedNode>> ComposedNode::Create(const NodeConfig& config) {
  auto node = std::make_unique<NodeImpl>(config);
  LASTRO_RETURN_IF_ERROR(node->Init());
  return std::unique_ptr<ComposedNode>(std::move(node));
}

absl::StatusOr<std::unique_ptr<Node>> Node::Create(const NodeConfig& config) {
  LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<ComposedNode> node, ComposedNode::Create(config));
  return std::unique_ptr<Node>(std::move(node));
}

absl::StatusOr<std::unique_ptr<Node>> ConnectToServer(const std::string& address) {
  // A person waits: what does not answer within two seconds is most likely not there.
  LASTRO_ASSIGN_OR_RETURN(
      auto channel,
      RemoteChannel::Create({.role = "the server", .address = address, .connect_timeout = absl::Seconds(2)}));
  return std::unique_ptr<Node>(std::make_unique<ServerNode>(std::move(channel)));
}

absl::StatusOr<std::string> FindBuiltInModels() {
  std::vector<std::string> places;
  if (const char* models = std::getenv("LASTRO_MODELS"); models != nullptr && *models != '\0') {
    places.push_back(models);  // and nowhere else: what was asked for must be there
  } else {
    if (std::optional<std::string> beside = FolderBesideProgram()) places.push_back(*std::move(beside));
    places.push_back(LASTRO_SOURCE_MODELS);
  }
  for (const std::string& place : places) {
    std::error_code ignored;
    if (std::filesystem::is_directory(place, ignored)) return place;
  }
  return absl::NotFoundError(absl::StrCat("the built-in models are in none of: ", absl::StrJoin(places, ", "),
                                          "; set $LASTRO_MODELS, or give --decoder DIR and --embedder DIR"));
}

}  // namespace lastro::services
