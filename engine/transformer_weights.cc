#include "engine/transformer_weights.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/status_macros.h"
#include "engine/tensor_source.h"

namespace lastro::engine {
namespace {

// One load: what is read, what it must look like, and where it goes.
class Loader {
 public:
  Loader(const TensorFile& file, std::string prefix, const Architecture& architecture, Backend& backend)
      : file_(file), source_(file, std::move(prefix)), a_(architecture), backend_(backend) {}

  absl::StatusOr<TransformerWeights> Load();

 private:
  struct Part {
    std::string name;
    int64_t rows;
  };

  absl::Status LoadEmbeddings(TransformerWeights* weights);
  absl::Status LoadLayer(int64_t layer, LayerWeights* weights);
  absl::Status LoadHead(TransformerWeights* weights);
  absl::StatusOr<std::unique_ptr<TableWeight>> Table(const std::string& name, int64_t rows);
  absl::StatusOr<NormWeights> Norm(const std::string& name);
  absl::StatusOr<std::unique_ptr<LinearWeight>> Linear(const std::vector<Part>& parts, int64_t cols, bool bias);
  absl::StatusOr<std::unique_ptr<Buffer>> DeviceVector(const std::string& name);

  const TensorFile& file_;
  TensorSource source_;
  const Architecture& a_;
  Backend& backend_;
};

absl::StatusOr<std::unique_ptr<TableWeight>> Loader::Table(const std::string& name, int64_t rows) {
  LASTRO_ASSIGN_OR_RETURN(HostMatrix table, source_.Matrix(absl::StrCat(name, ".weight"), rows, a_.hidden_size));
  return backend_.LoadTable(table);
}

absl::StatusOr<std::unique_ptr<Buffer>> Loader::DeviceVector(const std::string& name) {
  LASTRO_ASSIGN_OR_RETURN(std::vector<float> values, source_.Vector(name, a_.hidden_size));
  LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<Buffer> buffer, backend_.Allocate(a_.hidden_size));
  backend_.CopyToDevice(values.data(), a_.hidden_size, buffer->data());
  return buffer;
}

absl::StatusOr<NormWeights> Loader::Norm(const std::string& name) {
  NormWeights norm;
  LASTRO_ASSIGN_OR_RETURN(norm.weight, DeviceVector(absl::StrCat(name, ".weight")));
  if (a_.norm == NormKind::kLayer) {
    LASTRO_ASSIGN_OR_RETURN(norm.bias, DeviceVector(absl::StrCat(name, ".bias")));
  }
  return norm;
}

absl::StatusOr<std::unique_ptr<LinearWeight>> Loader::Linear(const std::vector<Part>& parts, int64_t cols, bool bias) {
  std::vector<HostMatrix> matrices;
  std::vector<float> biases;
  for (const Part& part : parts) {
    LASTRO_ASSIGN_OR_RETURN(HostMatrix matrix, source_.Matrix(absl::StrCat(part.name, ".weight"), part.rows, cols));
    matrices.push_back(matrix);
    if (!bias) continue;
    LASTRO_ASSIGN_OR_RETURN(std::vector<float> values, source_.Vector(absl::StrCat(part.name, ".bias"), part.rows));
    biases.insert(biases.end(), values.begin(), values.end());
  }
  LinearHints hints;
  hints.few_rows = a_.causal;
  return backend_.LoadLinear(matrices, biases, hints);
}

absl::Status Loader::LoadEmbeddings(TransformerWeights* weights) {
  LASTRO_ASSIGN_OR_RETURN(weights->token_embedding, Table(a_.tensors.token_embedding, a_.vocab_size));
  if (a_.positions == PositionKind::kLearned) {
    LASTRO_ASSIGN_OR_RETURN(weights->position_embedding, Table(a_.tensors.position_embedding, a_.max_tokens));
  }
  if (a_.token_types > 0) {
    LASTRO_ASSIGN_OR_RETURN(weights->type_embedding, Table(a_.tensors.type_embedding, a_.token_types));
  }
  if (a_.embedding_norm) {
    LASTRO_ASSIGN_OR_RETURN(weights->embedding_norm, Norm(a_.tensors.embedding_norm));
  }
  return absl::OkStatus();
}

absl::Status Loader::LoadLayer(int64_t layer, LayerWeights* weights) {
  const TensorNames& names = a_.tensors;
  auto of_layer = [layer](const std::string& name) { return absl::StrReplaceAll(name, {{"{}", absl::StrCat(layer)}}); };
  LASTRO_ASSIGN_OR_RETURN(weights->attention_norm, Norm(of_layer(names.attention_norm)));
  LASTRO_ASSIGN_OR_RETURN(weights->mlp_norm, Norm(of_layer(names.mlp_norm)));
  LASTRO_ASSIGN_OR_RETURN(
      weights->qkv,
      Linear({{of_layer(names.q), a_.q_dim()}, {of_layer(names.k), a_.kv_dim()}, {of_layer(names.v), a_.kv_dim()}},
             a_.hidden_size, a_.qkv_bias));
  LASTRO_ASSIGN_OR_RETURN(weights->attention_out,
                          Linear({{of_layer(names.attention_out), a_.hidden_size}}, a_.q_dim(), a_.attention_out_bias));
  std::vector<Part> in;
  if (a_.gated_mlp) in.push_back({of_layer(names.gate), a_.intermediate_size});
  in.push_back({of_layer(names.up), a_.intermediate_size});
  LASTRO_ASSIGN_OR_RETURN(weights->mlp_in, Linear(in, a_.hidden_size, a_.mlp_bias));
  LASTRO_ASSIGN_OR_RETURN(weights->mlp_out,
                          Linear({{of_layer(names.down), a_.hidden_size}}, a_.intermediate_size, a_.mlp_bias));
  return absl::OkStatus();
}

absl::Status Loader::LoadHead(TransformerWeights* weights) {
  if (!a_.has_head) return absl::OkStatus();
  absl::StatusOr<HostMatrix> head =
      a_.tied_head ? source_.Matrix(absl::StrCat(a_.tensors.token_embedding, ".weight"), a_.vocab_size, a_.hidden_size)
                   : source_.UnprefixedMatrix(absl::StrCat(a_.tensors.head, ".weight"), a_.vocab_size, a_.hidden_size);
  LASTRO_RETURN_IF_ERROR(head.status());
  LinearHints hints;  // one row per prompt and decoded token; all rows only for scoring, where speed matters less
  hints.few_rows = true;
  hints.many_rows = false;
  LASTRO_ASSIGN_OR_RETURN(weights->head, backend_.LoadLinear({*head}, {}, hints));
  return absl::OkStatus();
}

absl::StatusOr<TransformerWeights> Loader::Load() {
  TransformerWeights weights;
  LASTRO_RETURN_IF_ERROR(LoadEmbeddings(&weights));
  for (int64_t layer = 0; layer < a_.layers; ++layer) {
    LASTRO_RETURN_IF_ERROR(LoadLayer(layer, &weights.layers.emplace_back()));
  }
  if (a_.final_norm) {
    LASTRO_ASSIGN_OR_RETURN(weights.final_norm, Norm(a_.tensors.final_norm));
  }
  LASTRO_RETURN_IF_ERROR(LoadHead(&weights));
  std::vector<std::string> ignored = a_.tensors.ignored;
  if (a_.tied_head) ignored.push_back(absl::StrCat(a_.tensors.head, ".weight"));
  LASTRO_RETURN_IF_ERROR(source_.CheckAllUsed(ignored));
  weights.parameters = source_.parameters();
  weights.stored_bytes = source_.stored_bytes();
  return weights;
}

std::string FindPrefix(const TensorFile& file, const TensorNames& names) {
  for (const std::string& prefix : names.prefixes) {
    if (file.Contains(absl::StrCat(prefix, names.token_embedding, ".weight"))) return prefix;
  }
  return names.prefixes.front();  // the error then names the tensor as it usually is called
}

}  // namespace

absl::StatusOr<TransformerWeights> LoadTransformerWeights(const TensorFile& file, const Architecture& architecture,
                                                          Backend& backend) {
  return Loader(file, FindPrefix(file, architecture.tensors), architecture, backend).Load();
}

}  // namespace lastro::engine
