#include "engine/transformer_weights.h"

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/status_macros.h"
#include "engine/mxfp4.h"
#include "engine/position_bias.h"
#include "engine/tensor_source.h"

namespace lastro::engine {
namespace {

// One load: what is read, what it must look like, and where it goes.
class Loader {
 public:
  Loader(const TensorFile& file, std::string prefix, const Architecture& architecture, Backend& backend)
      : source_(file, std::move(prefix)), a_(architecture), backend_(backend) {}

  absl::StatusOr<TransformerWeights> Load();

 private:
  struct Part {
    std::string name;
    int64_t rows;
  };
  // Rows of a tensor.
  struct Slice {
    int64_t begin, rows;
  };

  enum class Use { kLayer, kRouter, kExpert };

  absl::Status LoadEmbeddings();
  absl::Status LoadPositionBias();
  absl::Status LoadLayer(int64_t layer, LayerWeights* weights);
  absl::Status LoadAttention(int64_t layer, LayerWeights* weights);
  absl::Status LoadCrossAttention(int64_t layer, LayerWeights* weights);
  absl::Status LoadMlp(int64_t layer, LayerWeights* weights);
  absl::Status LoadExperts(int64_t layer, LayerWeights* weights);
  absl::Status LoadSeparateExperts(int64_t layer, LayerWeights* weights);
  absl::StatusOr<std::vector<std::unique_ptr<LinearWeight>>> Experts(const std::string& name, int64_t rows,
                                                                     int64_t cols, bool interleaved);
  absl::StatusOr<std::vector<HostMatrix>> ExpertMatrices(const std::string& name, int64_t rows, int64_t cols,
                                                         bool interleaved);
  absl::StatusOr<std::vector<HostMatrix>> Mxfp4Matrices(const std::string& name, int64_t rows, int64_t cols,
                                                        bool interleaved);
  absl::Status LoadHead();
  absl::StatusOr<std::unique_ptr<TableWeight>> Table(const std::string& name, int64_t rows);
  absl::StatusOr<NormWeights> Norm(const std::string& name, int64_t width);
  absl::StatusOr<HostMatrix> Matrix(const std::string& name, int64_t rows, int64_t cols);
  absl::StatusOr<std::unique_ptr<LinearWeight>> Linear(const std::vector<Part>& parts, int64_t cols, bool bias,
                                                       Use use = Use::kLayer);
  absl::StatusOr<std::unique_ptr<LinearWeight>> Sliced(const std::string& name, absl::Span<const Slice> slices,
                                                       int64_t cols, bool bias);
  absl::StatusOr<std::unique_ptr<LinearWeight>> Qkv(int64_t layer);
  absl::StatusOr<std::unique_ptr<Buffer>> OnDevice(absl::Span<const float> values);
  absl::StatusOr<HostMatrix> Transposed(const std::string& name, const HostMatrix& matrix, bool interleaved);

  TensorSource source_;
  const Architecture& a_;
  Backend& backend_;
  TransformerWeights weights_;
};

// `name` with the layer's number.
std::string OfLayer(const std::string& name, int64_t layer) {
  return absl::StrReplaceAll(name, {{"{}", absl::StrCat(layer)}});
}

absl::StatusOr<std::unique_ptr<TableWeight>> Loader::Table(const std::string& name, int64_t rows) {
  LASTRO_ASSIGN_OR_RETURN(HostMatrix table, source_.Matrix(absl::StrCat(name, ".weight"), rows, a_.hidden_size));
  return backend_.LoadTable(table);
}

absl::StatusOr<std::unique_ptr<Buffer>> Loader::OnDevice(absl::Span<const float> values) {
  const int64_t count = static_cast<int64_t>(values.size());
  LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<Buffer> buffer,
                          backend_.Allocate(count * static_cast<int64_t>(sizeof(float))));
  LASTRO_RETURN_IF_ERROR(
      backend_.CopyToDevice(values.data(), count * static_cast<int64_t>(sizeof(float)), buffer->data()));
  return buffer;
}

absl::StatusOr<NormWeights> Loader::Norm(const std::string& name, int64_t width) {
  NormWeights norm;
  if (name.empty()) return norm;
  LASTRO_ASSIGN_OR_RETURN(std::vector<float> weight, source_.Vector(absl::StrCat(name, ".weight"), width));
  for (float& value : weight) value += a_.norm_weight_offset;
  LASTRO_ASSIGN_OR_RETURN(norm.weight, OnDevice(weight));
  if (a_.norm == NormKind::kLayer && a_.norm_bias) {
    LASTRO_ASSIGN_OR_RETURN(std::vector<float> bias, source_.Vector(absl::StrCat(name, ".bias"), width));
    LASTRO_ASSIGN_OR_RETURN(norm.bias, OnDevice(bias));
  }
  return norm;
}

// Where row `row` of `rows` goes: with `interleaved`, rows 0, 2, 4 ... come first, then 1, 3, 5 ...
int64_t StackedRow(int64_t row, int64_t rows, bool interleaved) {
  return !interleaved ? row : row % 2 == 0 ? row / 2 : (rows + 1) / 2 + row / 2;
}

// `matrix`, of the tensor `name`, with columns as rows, in the order of StackedRow.
absl::StatusOr<HostMatrix> Loader::Transposed(const std::string& name, const HostMatrix& matrix, bool interleaved) {
  if (kernels::IsQuantized(matrix.type)) {
    return absl::UnimplementedError(
        absl::StrCat("tensor ", name, " is quantised along its outputs; quantised weights must be stored [out, in]"));
  }
  const size_t element = static_cast<size_t>(matrix.row_bytes() / matrix.cols);
  std::vector<uint8_t>& to = weights_.converted.emplace_back(static_cast<size_t>(matrix.rows * matrix.row_bytes()));
  for (int64_t r = 0; r < matrix.rows; ++r) {
    const uint8_t* from = matrix.data + r * matrix.row_bytes();
    for (int64_t c = 0; c < matrix.cols; ++c, from += element) {
      const int64_t row = StackedRow(c, matrix.cols, interleaved);
      std::memcpy(to.data() + static_cast<size_t>(row * matrix.rows + r) * element, from, element);
    }
  }
  return HostMatrix{matrix.type, to.data(), matrix.cols, matrix.rows};
}

// A linear map's weights as [rows, cols], however they are stored.
absl::StatusOr<HostMatrix> Loader::Matrix(const std::string& name, int64_t rows, int64_t cols) {
  const std::string whole = absl::StrCat(name, ".weight");
  if (!a_.transposed_linear) return source_.Matrix(whole, rows, cols);
  LASTRO_ASSIGN_OR_RETURN(HostMatrix matrix, source_.Matrix(whole, cols, rows));
  return Transposed(whole, matrix, false);
}

absl::StatusOr<std::unique_ptr<LinearWeight>> Loader::Linear(const std::vector<Part>& parts, int64_t cols, bool bias,
                                                             Use use) {
  std::vector<HostMatrix> matrices;
  std::vector<float> biases;
  for (const Part& part : parts) {
    LASTRO_ASSIGN_OR_RETURN(HostMatrix matrix, Matrix(part.name, part.rows, cols));
    matrices.push_back(matrix);
    if (!bias) continue;
    LASTRO_ASSIGN_OR_RETURN(std::vector<float> values, source_.Vector(absl::StrCat(part.name, ".bias"), part.rows));
    biases.insert(biases.end(), values.begin(), values.end());
  }
  LinearHints hints;
  hints.few_rows = a_.causal && a_.has_head;
  hints.many_rows = use != Use::kExpert || !hints.few_rows;
  hints.fewer_bits = use == Use::kLayer;
  return backend_.LoadLinear(matrices, biases, hints);
}

// One tensor whose rows are stacked in the order of `slices`, which cover it.
absl::StatusOr<std::unique_ptr<LinearWeight>> Loader::Sliced(const std::string& name, absl::Span<const Slice> slices,
                                                             int64_t cols, bool bias) {
  int64_t rows = 0;
  for (const Slice& slice : slices) rows += slice.rows;
  LASTRO_ASSIGN_OR_RETURN(HostMatrix matrix, Matrix(name, rows, cols));
  std::vector<float> stored, biases;
  if (bias) {
    LASTRO_ASSIGN_OR_RETURN(stored, source_.Vector(absl::StrCat(name, ".bias"), rows));
  }
  std::vector<HostMatrix> parts;
  for (const Slice& slice : slices) {
    parts.push_back(matrix.Rows(slice.begin, slice.rows));
    if (bias) biases.insert(biases.end(), stored.begin() + slice.begin, stored.begin() + slice.begin + slice.rows);
  }
  LinearHints hints;
  hints.few_rows = a_.causal && a_.has_head;
  hints.fewer_bits = true;
  return backend_.LoadLinear(parts, biases, hints);
}

absl::StatusOr<std::unique_ptr<LinearWeight>> Loader::Qkv(int64_t layer) {
  const TensorNames& names = a_.tensors;
  if (a_.qkv_packing == QkvPacking::kSeparate) {
    return Linear({{OfLayer(names.q, layer), a_.q_dim()},
                   {OfLayer(names.k, layer), a_.kv_dim()},
                   {OfLayer(names.v, layer), a_.kv_dim()}},
                  a_.hidden_size, a_.qkv_bias);
  }
  if (a_.qkv_packing == QkvPacking::kStacked) {
    return Linear({{OfLayer(names.qkv, layer), a_.q_dim() + 2 * a_.kv_dim()}}, a_.hidden_size, a_.qkv_bias);
  }
  const int64_t q_rows = a_.q_dim() / a_.kv_heads, group_rows = q_rows + 2 * a_.head_dim;
  std::vector<Slice> slices;
  for (int64_t g = 0; g < a_.kv_heads; ++g) slices.push_back({g * group_rows, q_rows});
  for (int64_t g = 0; g < a_.kv_heads; ++g) slices.push_back({g * group_rows + q_rows, a_.head_dim});
  for (int64_t g = 0; g < a_.kv_heads; ++g) slices.push_back({g * group_rows + q_rows + a_.head_dim, a_.head_dim});
  return Sliced(OfLayer(names.qkv, layer), slices, a_.hidden_size, a_.qkv_bias);
}

absl::Status Loader::LoadEmbeddings() {
  LASTRO_ASSIGN_OR_RETURN(weights_.token_embedding, Table(a_.tensors.token_embedding, a_.vocab_size));
  if (a_.positions == PositionKind::kLearned) {
    LASTRO_ASSIGN_OR_RETURN(weights_.position_embedding,
                            Table(a_.tensors.position_embedding, a_.position_offset + a_.max_tokens));
  }
  if (a_.token_types > 0) {
    LASTRO_ASSIGN_OR_RETURN(weights_.type_embedding, Table(a_.tensors.type_embedding, a_.token_types));
  }
  if (a_.embedding_norm) {
    LASTRO_ASSIGN_OR_RETURN(weights_.embedding_norm, Norm(a_.tensors.embedding_norm, a_.hidden_size));
  }
  return LoadPositionBias();
}

absl::Status Loader::LoadPositionBias() {
  // The table has an entry for each head and distance: a configuration must not make it as large as it likes.
  constexpr int64_t kMaxEntries = int64_t{1} << 27;
  const bool has_table = !a_.alibi_slopes.empty() || a_.relative_bias.has_value();
  if (has_table && a_.max_tokens > kMaxEntries / (2 * a_.heads)) {
    return absl::ResourceExhaustedError(absl::StrCat("position biases of ", a_.heads, " heads and ", a_.max_tokens,
                                                     " tokens are more than ", kMaxEntries,
                                                     " numbers; lower the context length in config.json"));
  }
  PositionBias bias;
  if (!a_.alibi_slopes.empty()) {
    bias = AlibiTable(a_);
  } else if (a_.relative_bias.has_value()) {
    LASTRO_ASSIGN_OR_RETURN(std::vector<float> buckets, source_.Flat(absl::StrCat(a_.tensors.relative_bias, ".weight"),
                                                                     {a_.relative_bias->buckets, a_.heads}));
    bias = RelativeBiasTable(a_, buckets);
  } else {
    return absl::OkStatus();
  }
  LASTRO_ASSIGN_OR_RETURN(weights_.position_bias.table, OnDevice(bias.values));
  weights_.position_bias.stride = bias.stride;
  weights_.position_bias.zero = bias.zero;
  weights_.position_bias.absolute = bias.absolute;
  return absl::OkStatus();
}

absl::Status Loader::LoadAttention(int64_t layer, LayerWeights* weights) {
  const TensorNames& names = a_.tensors;
  LASTRO_ASSIGN_OR_RETURN(weights->qkv, Qkv(layer));
  LASTRO_ASSIGN_OR_RETURN(weights->attention_out, Linear({{OfLayer(names.attention_out, layer), a_.hidden_size}},
                                                         a_.q_dim(), a_.attention_out_bias));
  if (a_.qk_norm != QkNorm::kNone) {
    const bool whole = a_.qk_norm == QkNorm::kWhole;
    LASTRO_ASSIGN_OR_RETURN(weights->q_norm, Norm(OfLayer(names.q_norm, layer), whole ? a_.q_dim() : a_.head_dim));
    LASTRO_ASSIGN_OR_RETURN(weights->k_norm, Norm(OfLayer(names.k_norm, layer), whole ? a_.kv_dim() : a_.head_dim));
  }
  if (a_.attention_sinks) {
    LASTRO_ASSIGN_OR_RETURN(std::vector<float> sinks, source_.Vector(OfLayer(names.sinks, layer), a_.heads));
    LASTRO_ASSIGN_OR_RETURN(weights->sinks, OnDevice(sinks));
  }
  return absl::OkStatus();
}

absl::Status Loader::LoadCrossAttention(int64_t layer, LayerWeights* weights) {
  const TensorNames& names = a_.tensors;
  LASTRO_ASSIGN_OR_RETURN(weights->cross_attention_norm,
                          Norm(OfLayer(names.cross_attention_norm, layer), a_.hidden_size));
  LASTRO_ASSIGN_OR_RETURN(weights->cross_q,
                          Linear({{OfLayer(names.cross_q, layer), a_.q_dim()}}, a_.hidden_size, a_.qkv_bias));
  LASTRO_ASSIGN_OR_RETURN(weights->cross_kv, Linear({{OfLayer(names.cross_k, layer), a_.kv_dim()},
                                                     {OfLayer(names.cross_v, layer), a_.kv_dim()}},
                                                    a_.hidden_size, a_.qkv_bias));
  LASTRO_ASSIGN_OR_RETURN(weights->cross_out, Linear({{OfLayer(names.cross_out, layer), a_.hidden_size}}, a_.q_dim(),
                                                     a_.attention_out_bias));
  return absl::OkStatus();
}

absl::Status Loader::LoadMlp(int64_t layer, LayerWeights* weights) {
  if (a_.experts > 0) return LoadExperts(layer, weights);
  const TensorNames& names = a_.tensors;
  std::vector<Part> in;
  if (a_.gated_mlp && a_.gate_packing == GatePacking::kStacked) {
    in = {{OfLayer(names.gate_up, layer), 2 * a_.intermediate_size}};
  } else if (a_.gated_mlp) {
    in = {{OfLayer(names.gate, layer), a_.intermediate_size}, {OfLayer(names.up, layer), a_.intermediate_size}};
  } else {
    in = {{OfLayer(names.up, layer), a_.intermediate_size}};
  }
  LASTRO_ASSIGN_OR_RETURN(weights->mlp_in, Linear(in, a_.hidden_size, a_.mlp_bias));
  LASTRO_ASSIGN_OR_RETURN(weights->mlp_out,
                          Linear({{OfLayer(names.down, layer), a_.hidden_size}}, a_.intermediate_size, a_.mlp_bias));
  return absl::OkStatus();
}

// The experts' matrices as [rows, cols] each, rows in the order of StackedRow.
absl::StatusOr<std::vector<HostMatrix>> Loader::ExpertMatrices(const std::string& name, int64_t rows, int64_t cols,
                                                               bool interleaved) {
  if (source_.Contains(absl::StrCat(name, "_blocks"))) return Mxfp4Matrices(name, rows, cols, interleaved);
  LASTRO_ASSIGN_OR_RETURN(HostMatrix all, source_.Matrices(name, a_.experts, cols, rows));
  std::vector<HostMatrix> matrices;
  for (int64_t e = 0; e < a_.experts; ++e) {
    LASTRO_ASSIGN_OR_RETURN(HostMatrix matrix, Transposed(name, all.Rows(e * cols, cols), interleaved));
    matrices.push_back(matrix);
  }
  return matrices;
}

absl::StatusOr<std::vector<HostMatrix>> Loader::Mxfp4Matrices(const std::string& name, int64_t rows, int64_t cols,
                                                              bool interleaved) {
  const int64_t runs = cols / kMxfp4Run;
  if (cols % kMxfp4Run != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " is stored as MXFP4; its rows of ", cols, " must be whole runs of ", kMxfp4Run));
  }
  LASTRO_ASSIGN_OR_RETURN(absl::Span<const uint8_t> blocks,
                          source_.Bytes(absl::StrCat(name, "_blocks"), {a_.experts, rows, runs, kMxfp4RunBytes}));
  LASTRO_ASSIGN_OR_RETURN(absl::Span<const uint8_t> scales,
                          source_.Bytes(absl::StrCat(name, "_scales"), {a_.experts, rows, runs}));
  std::vector<HostMatrix> matrices;
  for (int64_t e = 0; e < a_.experts; ++e) {
    std::vector<uint8_t>& packed = weights_.converted.emplace_back(static_cast<size_t>(rows * runs * kMxfp4BlockBytes));
    for (int64_t row = 0; row < rows; ++row) {
      uint8_t* to = packed.data() + StackedRow(row, rows, interleaved) * runs * kMxfp4BlockBytes;
      for (int64_t run = (e * rows + row) * runs; run < (e * rows + row + 1) * runs; ++run, to += kMxfp4BlockBytes) {
        RepackMxfp4Run(blocks.data() + run * kMxfp4RunBytes, scales[static_cast<size_t>(run)], to);
      }
    }
    matrices.push_back({DataType::kMXFP4, packed.data(), rows, cols});
  }
  return matrices;
}

// The same map of every expert.
absl::StatusOr<std::vector<std::unique_ptr<LinearWeight>>> Loader::Experts(const std::string& name, int64_t rows,
                                                                           int64_t cols, bool interleaved) {
  LASTRO_ASSIGN_OR_RETURN(std::vector<HostMatrix> matrices, ExpertMatrices(name, rows, cols, interleaved));
  LASTRO_ASSIGN_OR_RETURN(std::vector<float> biases, source_.Flat(absl::StrCat(name, "_bias"), {a_.experts, rows}));
  LinearHints hints;  // an expert gets few rows at a time
  hints.few_rows = true;
  hints.many_rows = false;
  std::vector<std::unique_ptr<LinearWeight>> maps;
  for (int64_t e = 0; e < a_.experts; ++e) {
    std::vector<float> bias(static_cast<size_t>(rows));
    for (int64_t row = 0; row < rows; ++row) {
      bias[static_cast<size_t>(StackedRow(row, rows, interleaved))] = biases[static_cast<size_t>(e * rows + row)];
    }
    LASTRO_ASSIGN_OR_RETURN(maps.emplace_back(), backend_.LoadLinear({matrices[static_cast<size_t>(e)]}, bias, hints));
  }
  return maps;
}

absl::Status Loader::LoadSeparateExperts(int64_t layer, LayerWeights* weights) {
  for (int64_t e = 0; e < a_.experts; ++e) {
    auto name = [&](const std::string& pattern) {
      return absl::StrReplaceAll(OfLayer(pattern, layer), {{"{e}", absl::StrCat(e)}});
    };
    ExpertWeights& expert = weights->experts.emplace_back();
    LASTRO_ASSIGN_OR_RETURN(
        expert.in, Linear({{name(a_.tensors.gate), a_.intermediate_size}, {name(a_.tensors.up), a_.intermediate_size}},
                          a_.hidden_size, a_.mlp_bias, Use::kExpert));
    LASTRO_ASSIGN_OR_RETURN(
        expert.out, Linear({{name(a_.tensors.down), a_.hidden_size}}, a_.intermediate_size, a_.mlp_bias, Use::kExpert));
  }
  return absl::OkStatus();
}

absl::Status Loader::LoadExperts(int64_t layer, LayerWeights* weights) {
  const TensorNames& names = a_.tensors;
  LASTRO_ASSIGN_OR_RETURN(weights->router, Linear({{OfLayer(names.router, layer), a_.experts}}, a_.hidden_size,
                                                  a_.router_bias, Use::kRouter));
  if (a_.gate_packing == GatePacking::kSeparate) return LoadSeparateExperts(layer, weights);
  LASTRO_ASSIGN_OR_RETURN(auto in, Experts(OfLayer(names.gate_up, layer), 2 * a_.intermediate_size, a_.hidden_size,
                                           a_.gate_packing == GatePacking::kInterleaved));
  LASTRO_ASSIGN_OR_RETURN(auto out, Experts(OfLayer(names.down, layer), a_.hidden_size, a_.intermediate_size, false));
  for (size_t e = 0; e < in.size(); ++e) weights->experts.push_back({std::move(in[e]), std::move(out[e])});
  return absl::OkStatus();
}

absl::Status Loader::LoadLayer(int64_t layer, LayerWeights* weights) {
  const TensorNames& names = a_.tensors;
  if (layer > 0 || a_.first_attention_norm) {
    LASTRO_ASSIGN_OR_RETURN(weights->attention_norm, Norm(OfLayer(names.attention_norm, layer), a_.hidden_size));
  }
  LASTRO_ASSIGN_OR_RETURN(weights->post_attention_norm,
                          Norm(OfLayer(names.post_attention_norm, layer), a_.hidden_size));
  LASTRO_ASSIGN_OR_RETURN(weights->mlp_norm, Norm(OfLayer(names.mlp_norm, layer), a_.hidden_size));
  LASTRO_ASSIGN_OR_RETURN(weights->post_mlp_norm, Norm(OfLayer(names.post_mlp_norm, layer), a_.hidden_size));
  LASTRO_RETURN_IF_ERROR(LoadAttention(layer, weights));
  if (a_.cross_attention) LASTRO_RETURN_IF_ERROR(LoadCrossAttention(layer, weights));
  return LoadMlp(layer, weights);
}

absl::Status Loader::LoadHead() {
  if (!a_.has_head) return absl::OkStatus();
  absl::StatusOr<HostMatrix> head =
      a_.tied_head ? source_.Matrix(absl::StrCat(a_.tensors.token_embedding, ".weight"), a_.vocab_size, a_.hidden_size)
                   : source_.UnprefixedMatrix(absl::StrCat(a_.tensors.head, ".weight"), a_.vocab_size, a_.hidden_size);
  LASTRO_RETURN_IF_ERROR(head.status());
  std::vector<float> bias;
  if (!a_.tensors.head_bias.empty()) {
    LASTRO_ASSIGN_OR_RETURN(bias, source_.UnprefixedRow(a_.tensors.head_bias, a_.vocab_size));
  }
  LinearHints hints;  // one row per prompt and decoded token; all rows only for scoring, where speed matters less
  hints.few_rows = true;
  hints.many_rows = false;
  LASTRO_ASSIGN_OR_RETURN(weights_.head, backend_.LoadLinear({*head}, bias, hints));
  return absl::OkStatus();
}

absl::StatusOr<TransformerWeights> Loader::Load() {
  LASTRO_RETURN_IF_ERROR(LoadEmbeddings());
  for (int64_t layer = 0; layer < a_.layers; ++layer) {
    LASTRO_RETURN_IF_ERROR(LoadLayer(layer, &weights_.layers.emplace_back()));
  }
  if (a_.final_norm) {
    LASTRO_ASSIGN_OR_RETURN(weights_.final_norm, Norm(a_.tensors.final_norm, a_.hidden_size));
  }
  LASTRO_RETURN_IF_ERROR(LoadHead());
  std::vector<std::string> ignored = a_.tensors.ignored;
  if ((a_.tied_head || !a_.has_head) && !a_.tensors.head.empty())
    ignored.push_back(absl::StrCat(a_.tensors.head, ".weight"));
  LASTRO_RETURN_IF_ERROR(source_.CheckAllUsed(ignored));
  weights_.parameters = source_.parameters();
  weights_.stored_bytes = source_.stored_bytes();
  return std::move(weights_);
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
