#include "engine/lora.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "engine/lora_config.h"
#include "engine/safetensors.h"
#include "engine/tensor_source.h"

namespace lastro::engine {
namespace {

constexpr char kPeftPrefix[] = "base_model.model.";
constexpr uint64_t kMaxConfigBytes = 1u << 20;

// A module of the model's file that an adapter may stand beside.
struct Module {
  std::string name;  // without prefix
  AdaptedMap map;
  int64_t first_column;
  int64_t rows, cols;
  std::vector<int64_t> order;  // row i of the map is the file's row order[i]; empty: as they are
};

// Where the rows of a fused map, for each KV head its group's q heads, its k, its v, go: all of q, all of k, all of v.
std::vector<int64_t> GroupedOrder(const Architecture& a) {
  const int64_t q_rows = a.q_dim() / a.kv_heads, group_rows = q_rows + 2 * a.head_dim;
  std::vector<int64_t> order;
  auto take = [&](int64_t first, int64_t count) {
    for (int64_t g = 0; g < a.kv_heads; ++g) {
      for (int64_t row = 0; row < count; ++row) order.push_back(g * group_rows + first + row);
    }
  };
  take(0, q_rows);
  take(q_rows, a.head_dim);
  take(q_rows + a.head_dim, a.head_dim);
  return order;
}

std::vector<Module> ModulesOf(const Architecture& a, int64_t layer) {
  const TensorNames& names = a.tensors;
  const int64_t hidden = a.hidden_size, inner = a.intermediate_size, qkv = a.q_dim() + 2 * a.kv_dim();
  std::vector<Module> modules;
  auto add = [&](const std::string& name, AdaptedMap map, int64_t first, int64_t rows, int64_t cols,
                 std::vector<int64_t> order = {}) {
    if (name.empty()) return;
    modules.push_back(
        {absl::StrReplaceAll(name, {{"{}", absl::StrCat(layer)}}), map, first, rows, cols, std::move(order)});
  };
  if (a.qkv_packing == QkvPacking::kSeparate) {
    add(names.q, AdaptedMap::kQkv, 0, a.q_dim(), hidden);
    add(names.k, AdaptedMap::kQkv, a.q_dim(), a.kv_dim(), hidden);
    add(names.v, AdaptedMap::kQkv, a.q_dim() + a.kv_dim(), a.kv_dim(), hidden);
  } else {
    add(names.qkv, AdaptedMap::kQkv, 0, qkv, hidden,
        a.qkv_packing == QkvPacking::kGrouped ? GroupedOrder(a) : std::vector<int64_t>());
  }
  add(names.attention_out, AdaptedMap::kAttentionOut, 0, hidden, a.q_dim());
  if (a.experts > 0) return modules;
  if (a.gated_mlp && a.gate_packing == GatePacking::kStacked) {
    add(names.gate_up, AdaptedMap::kMlpIn, 0, 2 * inner, hidden);
  } else {
    if (a.gated_mlp) add(names.gate, AdaptedMap::kMlpIn, 0, inner, hidden);
    add(names.up, AdaptedMap::kMlpIn, a.gated_mlp ? inner : 0, inner, hidden);
  }
  add(names.down, AdaptedMap::kMlpOut, 0, hidden, inner);
  return modules;
}

}  // namespace

// One load: the files, and the adapter that is made of them.
class LoraLoader {
 public:
  LoraLoader(const SafetensorsFile& file, const LoraConfig& config, const Architecture& architecture, Backend& backend)
      : file_(file), config_(config), a_(architecture), backend_(backend), source_(file, "") {}

  absl::StatusOr<std::unique_ptr<LoraAdapter>> Load();

 private:
  // The name of the module's tensors, up to ".lora_A.weight"; nullopt when the adapter leaves it alone.
  absl::StatusOr<std::optional<std::string>> Find(const Module& module) const;
  absl::Status Add(int64_t layer, const Module& module, const std::string& name);
  absl::Status CheckLeftOver() const;
  absl::StatusOr<std::unique_ptr<LinearWeight>> OnBackend(std::vector<float> values, int64_t rows, int64_t cols);

  const SafetensorsFile& file_;
  const LoraConfig& config_;
  const Architecture& a_;
  Backend& backend_;
  TensorSource source_;
  absl::flat_hash_set<std::string> used_;  // modules
  std::unique_ptr<LoraAdapter> adapter_{new LoraAdapter()};
};

absl::StatusOr<std::optional<std::string>> LoraLoader::Find(const Module& module) const {
  for (const std::string& prefix : a_.tensors.prefixes) {
    const std::string name = absl::StrCat(kPeftPrefix, prefix, module.name);
    const bool a = file_.Contains(absl::StrCat(name, ".lora_A.weight"));
    const bool b = file_.Contains(absl::StrCat(name, ".lora_B.weight"));
    if (a && b) return std::optional<std::string>(name);
    if (a || b) {
      return absl::InvalidArgumentError(
          absl::StrCat(file_.path(), ": ", name, " has ", a ? "lora_A but no lora_B" : "lora_B but no lora_A"));
    }
  }
  return std::optional<std::string>();
}

absl::StatusOr<std::unique_ptr<LinearWeight>> LoraLoader::OnBackend(std::vector<float> values, int64_t rows,
                                                                    int64_t cols) {
  const std::vector<float>& kept = adapter_->converted_.emplace_back(std::move(values));
  LinearHints hints;
  hints.few_rows = true;
  const HostMatrix matrix = {DataType::kF32, reinterpret_cast<const uint8_t*>(kept.data()), rows, cols};
  return backend_.LoadLinear({matrix}, {}, hints);
}

absl::Status LoraLoader::Add(int64_t layer, const Module& module, const std::string& name) {
  const std::string short_name(absl::StripPrefix(name, kPeftPrefix));
  const int64_t rank = config_.RankOf(short_name);
  const float scale = static_cast<float>(config_.ScaleOf(short_name));
  LASTRO_ASSIGN_OR_RETURN(std::vector<float> a,
                          source_.Flat(absl::StrCat(name, ".lora_A.weight"), {rank, module.cols}));
  LASTRO_ASSIGN_OR_RETURN(std::vector<float> stored,
                          source_.Flat(absl::StrCat(name, ".lora_B.weight"), {module.rows, rank}));
  std::vector<float> b(stored.size());
  for (int64_t row = 0; row < module.rows; ++row) {
    const int64_t from = module.order.empty() ? row : module.order[static_cast<size_t>(row)];
    std::transform(stored.begin() + from * rank, stored.begin() + (from + 1) * rank, b.begin() + row * rank,
                   [scale](float value) { return scale * value; });
  }
  LowRankMap map;
  map.first_column = module.first_column;
  LASTRO_ASSIGN_OR_RETURN(map.a, OnBackend(std::move(a), rank, module.cols));
  LASTRO_ASSIGN_OR_RETURN(map.b, OnBackend(std::move(b), module.rows, rank));
  adapter_->max_rank_ = std::max(adapter_->max_rank_, rank);
  adapter_->max_columns_ = std::max(adapter_->max_columns_, module.rows);
  adapter_->layers_[static_cast<size_t>(layer)][static_cast<size_t>(module.map)].push_back(std::move(map));
  used_.insert(name);
  return absl::OkStatus();
}

absl::Status LoraLoader::CheckLeftOver() const {
  std::vector<std::string> left;
  for (const std::string& name : file_.names()) {
    absl::string_view module = name;
    const bool half = absl::ConsumeSuffix(&module, ".lora_A.weight") || absl::ConsumeSuffix(&module, ".lora_B.weight");
    if (!half || !used_.contains(module)) left.push_back(name);
  }
  if (left.empty() && used_.empty()) return absl::InvalidArgumentError(absl::StrCat(file_.path(), " adapts nothing"));
  if (left.empty()) return absl::OkStatus();
  const size_t count = left.size();
  left.resize(std::min<size_t>(count, 5));
  return absl::InvalidArgumentError(absl::StrCat(
      file_.path(), ": ", count, " tensors that stand beside no map of this ", a_.name,
      " model which can be adapted: ", absl::StrJoin(left, ", "), count > left.size() ? ", ..." : "",
      "; supported are the attention and MLP maps of its layers, not embeddings, head, norms or experts. Is it an "
      "adapter of this model?"));
}

absl::StatusOr<std::unique_ptr<LoraAdapter>> LoraLoader::Load() {
  adapter_->layers_.resize(static_cast<size_t>(a_.layers));
  for (int64_t layer = 0; layer < a_.layers; ++layer) {
    for (const Module& module : ModulesOf(a_, layer)) {
      LASTRO_ASSIGN_OR_RETURN(std::optional<std::string> name, Find(module));
      if (name.has_value()) LASTRO_RETURN_IF_ERROR(Add(layer, module, *name));
    }
  }
  LASTRO_RETURN_IF_ERROR(CheckLeftOver());
  adapter_->parameters_ = source_.parameters();
  return std::move(adapter_);
}

absl::StatusOr<std::unique_ptr<const LoraAdapter>> LoraAdapter::Load(const std::string& folder,
                                                                     const Architecture& architecture,
                                                                     Backend& backend) {
  const std::string config_path = absl::StrCat(folder, "/adapter_config.json");
  LASTRO_ASSIGN_OR_RETURN(std::string text, ReadFile(config_path, kMaxConfigBytes));
  LASTRO_ASSIGN_OR_RETURN(JsonDocument document, JsonDocument::Parse(text, config_path, kMaxConfigBytes));
  LASTRO_ASSIGN_OR_RETURN(LoraConfig config, LoraConfig::Read(document.root()));
  LASTRO_ASSIGN_OR_RETURN(SafetensorsFile file,
                          SafetensorsFile::Open(absl::StrCat(folder, "/adapter_model.safetensors")));
  LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<LoraAdapter> adapter, LoraLoader(file, config, architecture, backend).Load());
  Sha256 hash;
  hash.Update(text);
  for (const MappedFile& weights : file.files()) {
    hash.Update(weights.view());
  }
  adapter->fingerprint_ = hash.FinishHex();
  return std::unique_ptr<const LoraAdapter>(std::move(adapter));
}

}  // namespace lastro::engine
