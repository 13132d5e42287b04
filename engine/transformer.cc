#include "engine/transformer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "engine/expert_routing.h"
#include "engine/rope.h"

namespace lastro::engine {
namespace {

// Rows of the vocabulary head computed at once.
constexpr int64_t kHeadRows = 32;
// Of each matrix of the scratch: the widest vectors and memory transactions.
constexpr int64_t kSlotAlignment = 256;

constexpr int64_t FloatBytes(int64_t floats) { return floats * static_cast<int64_t>(sizeof(float)); }

// By how much RotaryAngles turns tokens further from position `to` on than from `from` on: cos and sin, [tokens,
// frequencies] each.
void FillTurns(absl::Span<const float> frequencies, int64_t from, int64_t to, int64_t tokens, std::vector<float>* cos,
               std::vector<float>* sin) {
  cos->clear();
  sin->clear();
  for (int64_t i = 0; i < tokens; ++i) {
    for (float frequency : frequencies) {
      const double before = static_cast<double>(static_cast<float>(from + i) * frequency);
      const double angle = static_cast<double>(static_cast<float>(to + i) * frequency) - before;
      cos->push_back(static_cast<float>(std::cos(angle)));
      sin->push_back(static_cast<float>(std::sin(angle)));
    }
  }
}

// Of every mixture of experts of the model.
int64_t MostMixedRows(const TransformerWeights& weights, const Backend& backend) {
  int64_t rows = std::numeric_limits<int64_t>::max();
  for (const LayerWeights& layer : weights.layers) {
    if (layer.router != nullptr) rows = std::min(rows, backend.most_mixed_rows(layer.experts));
  }
  return rows;
}

}  // namespace

absl::Status TransformerScratch::Reserve(Backend& backend, const Architecture& a, int64_t rows) {
  struct Slot {
    MatrixView* view;
    int64_t cols;
    DataType type;
  };
  const DataType type = backend.activation_type(), fp32 = DataType::kF32;
  const int64_t half = a.positions == PositionKind::kRope ? a.rope.rotary_dim / 2 : 0;
  const int64_t local_half = a.local_rope.has_value() ? a.local_rope->rotary_dim / 2 : 0;
  const Slot slots[] = {{&hidden, a.hidden_size, fp32},
                        {&normed, a.hidden_size, type},
                        {&qkv, a.q_dim() + 2 * a.kv_dim(), type},
                        {&attended, a.q_dim(), type},
                        {&mlp, (a.gated_mlp ? 2 : 1) * a.intermediate_size, type},
                        {&activated, a.intermediate_size, type},
                        {&branch, a.residual == ResidualOrder::kParallel ? a.hidden_size : 0, type},
                        {&router_logits, a.experts, fp32},
                        {&gathered, a.experts > 0 ? a.hidden_size : 0, type},
                        {&routed, a.experts > 0 ? a.hidden_size : 0, fp32},
                        {&cross_q, a.cross_attention ? a.q_dim() : 0, type},
                        {&cos, half, fp32},
                        {&sin, half, fp32},
                        {&local_cos, local_half, fp32},
                        {&local_sin, local_half, fp32}};
  auto bytes_of = [rows](const Slot& slot) {
    return (rows * kernels::RowBytes(slot.type, slot.cols) + kSlotAlignment - 1) / kSlotAlignment * kSlotAlignment;
  };
  int64_t bytes = 0;
  for (const Slot& slot : slots) bytes += bytes_of(slot);
  if (buffer_ == nullptr || buffer_->bytes() < bytes) {
    buffer_ = nullptr;  // first the old memory goes
    LASTRO_ASSIGN_OR_RETURN(buffer_, backend.Allocate(bytes));
  }
  uint8_t* next = buffer_->data();
  for (const Slot& slot : slots) {
    *slot.view = {next, rows, slot.cols, slot.cols, slot.type};
    next += bytes_of(slot);
  }
  return absl::OkStatus();
}

absl::Status TransformerScratch::ReserveLowRank(Backend& backend, int64_t rows, int64_t rank, int64_t columns) {
  const DataType type = backend.activation_type();
  const int64_t inner = (rows * kernels::RowBytes(type, rank) + kSlotAlignment - 1) / kSlotAlignment * kSlotAlignment;
  const int64_t bytes = inner + rows * kernels::RowBytes(type, columns);
  if (low_rank_buffer_ == nullptr || low_rank_buffer_->bytes() < bytes) {
    low_rank_buffer_ = nullptr;
    LASTRO_ASSIGN_OR_RETURN(low_rank_buffer_, backend.Allocate(bytes));
  }
  low_rank = {low_rank_buffer_->data(), rows, rank, rank, type};
  low_rank_out = {low_rank_buffer_->data() + inner, rows, columns, columns, type};
  return absl::OkStatus();
}

absl::Status TransformerScratch::ReserveLogits(Backend& backend, const Architecture& a, int64_t rows) {
  const int64_t bytes = FloatBytes(rows * (a.vocab_size + a.hidden_size));
  if (logits_buffer_ == nullptr || logits_buffer_->bytes() < bytes) {
    logits_buffer_ = nullptr;
    LASTRO_ASSIGN_OR_RETURN(logits_buffer_, backend.Allocate(bytes));
  }
  logits = {logits_buffer_->data(), rows, a.vocab_size, a.vocab_size};
  picked = {logits_buffer_->floats() + rows * a.vocab_size, rows, a.hidden_size, a.hidden_size};
  return absl::OkStatus();
}

Transformer::Transformer(Architecture architecture, TransformerWeights weights, Backend& backend)
    : Transformer(std::move(architecture), std::make_shared<const TransformerWeights>(std::move(weights)), backend) {}

Transformer::Transformer(Architecture architecture, std::shared_ptr<const TransformerWeights> weights, Backend& backend)
    : architecture_(std::move(architecture)),
      shared_weights_(std::move(weights)),
      weights_(*shared_weights_),
      backend_(backend),
      most_alike_rows_(MostMixedRows(weights_, backend)) {}

std::unique_ptr<Transformer> Transformer::OnLane(Backend& lane) const {
  return std::unique_ptr<Transformer>(new Transformer(architecture_, shared_weights_, lane));
}

NormParams Transformer::ParamsOf(const NormWeights& weights) const {
  const float* bias = weights.bias != nullptr ? weights.bias->floats() : nullptr;
  return {weights.weight->floats(), bias, architecture_.norm_eps, architecture_.norm == NormKind::kRms};
}

// `out` after the norm of x into it, or x where the norm is left out.
MatrixView Transformer::Norm(const NormWeights& weights, MatrixView x, MatrixView out) const {
  if (weights.weight == nullptr) return x;
  backend_.Norm(ParamsOf(weights), x, out);
  return out;
}

void Transformer::FillRotary(const RopeParams& rope, absl::Span<const SequenceSpan> sequences, MatrixView cos,
                             MatrixView sin) const {
  const bool own = DependsOnLength(rope);
  std::vector<int32_t> positions;
  for (const SequenceSpan& s : sequences) {
    for (int64_t row = 0; row < s.rows; ++row) positions.push_back(static_cast<int32_t>(s.position + row));
    if (!own) continue;
    const std::vector<float> frequencies = RotaryFrequencies(rope, std::max(s.capacity, s.position + s.rows));
    backend_.RotaryAngles(positions, frequencies, rope.attention_factor, cos.Rows(s.first_row, s.rows),
                          sin.Rows(s.first_row, s.rows));
    positions.clear();
  }
  if (!own) backend_.RotaryAngles(positions, RotaryFrequencies(rope, 0), rope.attention_factor, cos, sin);
}

void Transformer::EmbedRows(absl::Span<const int32_t> ids, absl::Span<const SequenceSpan> sequences,
                            TransformerScratch* scratch) const {
  const Architecture& a = architecture_;
  backend_.Embed(*weights_.token_embedding, ids, false, scratch->hidden);
  if (a.embedding_scale != 1.0f) backend_.Map(MapKind::kScale, a.embedding_scale, scratch->hidden);
  if (weights_.type_embedding != nullptr) {
    std::vector<int32_t> types(ids.size(), 0);
    for (const SequenceSpan& s : sequences) {
      if (s.second_segment < 0 || a.token_types < 2) continue;
      for (int64_t row = s.second_segment; row < s.rows; ++row) types[static_cast<size_t>(s.first_row + row)] = 1;
    }
    backend_.Embed(*weights_.type_embedding, types, true, scratch->hidden);
  }
  if (a.positions == PositionKind::kLearned) {
    std::vector<int32_t> positions;
    for (const SequenceSpan& s : sequences) {
      for (int64_t row = 0; row < s.rows; ++row) {
        positions.push_back(static_cast<int32_t>(a.position_offset + s.position + row));
      }
    }
    backend_.Embed(*weights_.position_embedding, positions, true, scratch->hidden);
  }
  if (a.positions == PositionKind::kRope) FillRotary(a.rope, sequences, scratch->cos, scratch->sin);
  if (a.local_rope.has_value()) FillRotary(*a.local_rope, sequences, scratch->local_cos, scratch->local_sin);
  Norm(weights_.embedding_norm, scratch->hidden, scratch->hidden);
}

// From the stacked product to q, k and v as attention takes them but for the rotation.
void Transformer::PrepareHeads(int64_t layer, TransformerScratch* scratch) const {
  const Architecture& a = architecture_;
  const LayerWeights& weights = weights_.layers[static_cast<size_t>(layer)];
  const MatrixView qkv = scratch->qkv;
  if (a.qkv_clip > 0) backend_.Map(MapKind::kClamp, a.qkv_clip, qkv);
  if (a.qk_norm == QkNorm::kNone) return;
  const bool whole = a.qk_norm == QkNorm::kWhole;
  backend_.NormHeads(ParamsOf(weights.q_norm), whole ? a.q_dim() : a.head_dim, qkv.Columns(0, a.q_dim()));
  backend_.NormHeads(ParamsOf(weights.k_norm), whole ? a.kv_dim() : a.head_dim, qkv.Columns(a.q_dim(), a.kv_dim()));
}

// Cosines and sines of a layer's rotation.
std::pair<MatrixView, MatrixView> Transformer::RotaryOf(int64_t layer, const TransformerScratch& scratch) const {
  const bool local = architecture_.local_rope.has_value() && architecture_.window(layer) > 0;
  return local ? std::pair(scratch.local_cos, scratch.local_sin) : std::pair(scratch.cos, scratch.sin);
}

// Attention over what the store holds, in which the rows' own keys and values come first.
void Transformer::StoreAndAttend(int64_t layer, const AttentionOptions& options,
                                 absl::Span<const SequenceSpan> sequences, KvStore& store,
                                 TransformerScratch* scratch) const {
  const Architecture& a = architecture_;
  const MatrixView qkv = scratch->qkv;
  // A store of one layer is scratch.
  const int64_t at = store.shape().layers == 1 ? 0 : layer;
  if (a.positions == PositionKind::kRope) {
    const auto [cos, sin] = RotaryOf(layer, *scratch);
    backend_.RotateAndStoreKv(cos, sin, sequences, qkv, at, store);
  } else {
    backend_.StoreKv(sequences, qkv.Columns(a.q_dim(), a.kv_dim()), qkv.Columns(a.q_dim() + a.kv_dim(), a.kv_dim()), at,
                     store);
  }
  backend_.Attention(options, sequences, qkv.Columns(0, a.q_dim()), at, store, scratch->attended);
}

// Attention of an encoder, nothing of which is remembered.
void Transformer::AttendRows(int64_t layer, const AttentionOptions& options, absl::Span<const SequenceSpan> sequences,
                             TransformerScratch* scratch) const {
  const Architecture& a = architecture_;
  if (a.positions == PositionKind::kRope) {
    const auto [cos, sin] = RotaryOf(layer, *scratch);
    backend_.Rope(cos, sin, a.head_dim, scratch->qkv.Columns(0, a.q_dim() + a.kv_dim()));
  }
  backend_.RowAttention(options, sequences, a.kv_heads, a.head_dim, scratch->qkv, scratch->attended);
}

AttentionOptions Transformer::OptionsOf(int64_t layer) const {
  const Architecture& a = architecture_;
  const LayerWeights& weights = weights_.layers[static_cast<size_t>(layer)];
  AttentionOptions options;
  options.causal = a.causal;
  options.scale =
      static_cast<float>(a.attention_scale > 0 ? a.attention_scale : 1.0 / std::sqrt(static_cast<double>(a.head_dim)));
  options.softcap = a.attention_softcap;
  options.window = a.window(layer);
  options.sinks = weights.sinks != nullptr ? weights.sinks->floats() : nullptr;
  const PositionBiasWeights& bias = weights_.position_bias;
  if (bias.table != nullptr) {
    options.bias = bias.table->floats() + bias.zero;
    options.bias_stride = bias.stride;
    options.bias_absolute = bias.absolute;
  }
  return options;
}

int64_t Transformer::most_row_attention() const {
  int64_t most = 0;
  for (int64_t layer = 0; layer < architecture_.layers; ++layer) {
    most = std::max(most, backend_.most_row_attention(OptionsOf(layer), architecture_.head_dim));
  }
  return most;
}

void Transformer::AttentionBlock(int64_t layer, absl::Span<const SequenceSpan> sequences, KvStore& store, MatrixView x,
                                 MatrixView out, TransformerScratch* scratch) const {
  const LayerWeights& weights = weights_.layers[static_cast<size_t>(layer)];
  AdaptedLinear(*weights.qkv, layer, AdaptedMap::kQkv, sequences, x, scratch->qkv, scratch);
  PrepareHeads(layer, scratch);
  const AttentionOptions options = OptionsOf(layer);
  int64_t longest = 0;
  for (const SequenceSpan& s : sequences) longest = std::max(longest, s.rows);
  if (store.shape().scratch && longest <= backend_.most_row_attention(options, architecture_.head_dim)) {
    AttendRows(layer, options, sequences, scratch);
  } else {
    StoreAndAttend(layer, options, sequences, store, scratch);
  }
  AdaptedLinear(*weights.attention_out, layer, AdaptedMap::kAttentionOut, sequences, scratch->attended, out, scratch);
}

// Returns where the result is: `out`, or scratch of a mixture.
MatrixView Transformer::MlpBlock(int64_t layer, absl::Span<const SequenceSpan> sequences, MatrixView x, MatrixView out,
                                 TransformerScratch* scratch) const {
  const LayerWeights& weights = weights_.layers[static_cast<size_t>(layer)];
  if (weights.router != nullptr) return ExpertsBlock(weights, x, scratch);
  const ActivationKind kind = architecture_.activation;
  if (std::all_of(sequences.begin(), sequences.end(), [](const SequenceSpan& s) { return s.adapter == nullptr; })) {
    backend_.Mlp(*weights.mlp_in, kind, architecture_.gated_mlp, *weights.mlp_out, x, scratch->mlp, scratch->activated,
                 out);
    return out;
  }
  AdaptedLinear(*weights.mlp_in, layer, AdaptedMap::kMlpIn, sequences, x, scratch->mlp, scratch);
  backend_.Activation(kind, architecture_.gated_mlp, scratch->mlp, scratch->activated);
  AdaptedLinear(*weights.mlp_out, layer, AdaptedMap::kMlpOut, sequences, scratch->activated, out, scratch);
  return out;
}

void Transformer::AdaptedLinear(const LinearWeight& weight, int64_t layer, AdaptedMap map,
                                absl::Span<const SequenceSpan> sequences, MatrixView x, MatrixView out,
                                TransformerScratch* scratch) const {
  backend_.Linear(weight, x, out);
  for (const SequenceSpan& s : sequences) {
    if (s.adapter == nullptr) continue;
    for (const LowRankMap& low : s.adapter->Maps(layer, map)) {
      const int64_t rank = low.a->n(), columns = low.b->n();
      const MatrixView inner = {scratch->low_rank.data, s.rows, rank, rank, scratch->low_rank.type};
      const MatrixView added = {scratch->low_rank_out.data, s.rows, columns, columns, scratch->low_rank_out.type};
      backend_.Linear(*low.a, x.Rows(s.first_row, s.rows), inner);
      backend_.Linear(*low.b, inner, added);
      backend_.Add(added, out.Rows(s.first_row, s.rows).Columns(low.first_column, columns));
    }
  }
}

MatrixView Transformer::ExpertsBlock(const LayerWeights& layer, MatrixView x, TransformerScratch* scratch) const {
  const Architecture& a = architecture_;
  backend_.Linear(*layer.router, x, scratch->router_logits);
  if (x.rows <= most_alike_rows_) {
    backend_.MixExperts(scratch->router_logits, a.experts_per_token, layer.experts, a.activation, a.gated_mlp, x,
                        scratch->routed);
    return scratch->routed;
  }
  std::vector<float> logits(static_cast<size_t>(x.rows * a.experts));
  backend_.CopyToHost(scratch->router_logits.data, FloatBytes(x.rows * a.experts), logits.data());
  backend_.Synchronize().IgnoreError();  // the step's end reports it
  const std::vector<ExpertRows> routed = RouteToExperts(logits, a.experts, a.experts_per_token);
  backend_.Clear(scratch->routed);
  for (size_t e = 0; e < routed.size(); ++e) {
    const int64_t rows = static_cast<int64_t>(routed[e].rows.size());
    if (rows == 0) continue;
    const MatrixView gathered = scratch->gathered.Rows(0, rows), activated = scratch->activated.Rows(0, rows);
    backend_.GatherRows(x, routed[e].rows, gathered);
    backend_.Linear(*layer.experts[e].in, gathered, scratch->mlp.Rows(0, rows));
    backend_.Activation(a.activation, a.gated_mlp, scratch->mlp.Rows(0, rows), activated);
    backend_.Linear(*layer.experts[e].out, activated, gathered);
    backend_.AddScaledRows(gathered, routed[e].rows, routed[e].factors, scratch->routed);
  }
  return scratch->routed;
}

absl::Status Transformer::Remember(MatrixView encoded, absl::Span<const int32_t> blocks, KvStore& store) const {
  const Architecture& a = architecture_;
  LASTRO_CHECK(a.cross_attention && encoded.cols == a.hidden_size);
  const DataType type = backend_.activation_type();
  const int64_t cols = 2 * a.kv_dim();
  LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<Buffer> buffer,
                          backend_.Allocate(encoded.rows * kernels::RowBytes(type, cols)));
  const MatrixView kv = {buffer->data(), encoded.rows, cols, cols, type};
  const SequenceSpan all = {0, encoded.rows, 0, blocks, encoded.rows};
  backend_.BeginStep(absl::MakeConstSpan(&all, 1));
  for (int64_t layer = 0; layer < a.layers; ++layer) {
    backend_.Linear(*weights_.layers[static_cast<size_t>(layer)].cross_kv, encoded, kv);
    backend_.StoreKv(absl::MakeConstSpan(&all, 1), kv.Columns(0, a.kv_dim()), kv.Columns(a.kv_dim(), a.kv_dim()), layer,
                     store);
  }
  return backend_.Synchronize();  // before `buffer` goes
}

// hidden += the branch that waits to be added, if there is one, then its norm into `out`; returns where that is.
MatrixView Transformer::AddNorm(std::optional<MatrixView>* branch, const NormWeights& weights, MatrixView hidden,
                                MatrixView out) const {
  const std::optional<MatrixView> added = std::exchange(*branch, std::nullopt);
  if (!added.has_value()) return Norm(weights, hidden, out);
  if (weights.weight == nullptr) {
    backend_.Add(*added, hidden);
    return hidden;
  }
  backend_.AddNorm(*added, ParamsOf(weights), hidden, out);
  return out;
}

// Attention over the memory, in the order of the other branches.
void Transformer::CrossAttention(int64_t layer, absl::Span<const SequenceSpan> sequences, const KvStore& store,
                                 std::optional<MatrixView>* branch, TransformerScratch* scratch) const {
  const LayerWeights& weights = weights_.layers[static_cast<size_t>(layer)];
  const MatrixView hidden = scratch->hidden, normed = scratch->normed;
  const bool pre = architecture_.residual == ResidualOrder::kPre;
  AttentionOptions options;
  options.causal = false;
  options.scale = OptionsOf(layer).scale;
  options.memory = true;
  const MatrixView x = pre ? AddNorm(branch, weights.cross_attention_norm, hidden, normed) : hidden;
  backend_.Linear(*weights.cross_q, x, scratch->cross_q);
  backend_.Attention(options, sequences, scratch->cross_q, layer, store, scratch->attended);
  backend_.Linear(*weights.cross_out, scratch->attended, normed);
  *branch = normed;
  if (!pre) AddNorm(branch, weights.cross_attention_norm, hidden, hidden);
}

// With norms before the branches the sum of the last one is left to the next norm.
void Transformer::Layer(int64_t layer, absl::Span<const SequenceSpan> sequences, KvStore& store,
                        std::optional<MatrixView>* branch, TransformerScratch* scratch) const {
  const LayerWeights& weights = weights_.layers[static_cast<size_t>(layer)];
  const MatrixView hidden = scratch->hidden, normed = scratch->normed;
  const bool pre = architecture_.residual == ResidualOrder::kPre;
  MatrixView x = pre ? AddNorm(branch, weights.attention_norm, hidden, normed) : hidden;
  AttentionBlock(layer, sequences, store, x, normed, scratch);
  *branch = Norm(weights.post_attention_norm, normed, normed);
  if (!pre) AddNorm(branch, weights.attention_norm, hidden, hidden);
  if (architecture_.cross_attention) CrossAttention(layer, sequences, store, branch, scratch);

  x = pre ? AddNorm(branch, weights.mlp_norm, hidden, normed) : hidden;
  const MatrixView mlp = MlpBlock(layer, sequences, x, normed, scratch);
  *branch = Norm(weights.post_mlp_norm, mlp, mlp);
  if (!pre) AddNorm(branch, weights.mlp_norm, hidden, hidden);
}

// Both branches read the layer's input. Without a norm of its own the MLP shares attention's.
void Transformer::ParallelLayer(int64_t layer, absl::Span<const SequenceSpan> sequences, KvStore& store,
                                TransformerScratch* scratch) const {
  const LayerWeights& weights = weights_.layers[static_cast<size_t>(layer)];
  const MatrixView hidden = scratch->hidden, normed = scratch->normed;
  const MatrixView x = Norm(weights.attention_norm, hidden, normed);
  AttentionBlock(layer, sequences, store, x, scratch->branch, scratch);
  const bool own_norm = weights.mlp_norm.weight != nullptr;
  const MatrixView mlp =
      MlpBlock(layer, sequences, own_norm ? Norm(weights.mlp_norm, hidden, normed) : x, normed, scratch);
  backend_.Add(scratch->branch, hidden);
  backend_.Add(mlp, hidden);
}

absl::Status Transformer::ReserveForAdapters(absl::Span<const SequenceSpan> sequences,
                                             TransformerScratch* scratch) const {
  int64_t rows = 0, rank = 0, columns = 0;
  for (const SequenceSpan& s : sequences) {
    if (s.adapter == nullptr) continue;
    rows = std::max(rows, s.rows);
    rank = std::max(rank, s.adapter->max_rank());
    columns = std::max(columns, s.adapter->max_columns());
  }
  return rows == 0 ? absl::OkStatus() : scratch->ReserveLowRank(backend_, rows, rank, columns);
}

absl::Status Transformer::Forward(absl::Span<const int32_t> ids, absl::Span<const SequenceSpan> sequences,
                                  KvStore& store, absl::FunctionRef<absl::Status()> check, TransformerScratch* scratch,
                                  uint64_t repeats) const {
  LASTRO_RETURN_IF_ERROR(scratch->Reserve(backend_, architecture_, static_cast<int64_t>(ids.size())));
  LASTRO_RETURN_IF_ERROR(ReserveForAdapters(sequences, scratch));
  backend_.BeginStep(sequences, repeats);
  EmbedRows(ids, sequences, scratch);
  std::optional<MatrixView> branch;
  for (int64_t layer = 0; layer < architecture_.layers; ++layer) {
    LASTRO_RETURN_IF_ERROR(check());
    if (architecture_.residual == ResidualOrder::kParallel) {
      ParallelLayer(layer, sequences, store, scratch);
    } else {
      Layer(layer, sequences, store, &branch, scratch);
    }
  }
  if (branch.has_value()) backend_.Add(*branch, scratch->hidden);
  return absl::OkStatus();
}

absl::Status Transformer::CanMoveKv() const {
  const Architecture& a = architecture_;
  std::string against;
  if (a.positions != PositionKind::kRope) against = "has no rotary positions";
  if (weights_.position_bias.table != nullptr) against = "adds a bias by position to attention";
  if (DependsOnLength(a.rope) || (a.local_rope.has_value() && DependsOnLength(*a.local_rope))) {
    against = "rotates by frequencies that depend on a text's length";
  }
  if (!backend_.moves_kv()) against = "runs on a device that does not move them";
  if (against.empty()) return absl::OkStatus();
  return absl::UnimplementedError(
      absl::StrCat("keys and values cannot be reused at other positions: the model, of type ", a.name, ", ", against,
                   "; leave out --reuse-chunks"));
}

void Transformer::MoveKv(const KvMove& move, int64_t from, int64_t to, KvStore& store) const {
  const Architecture& a = architecture_;
  std::vector<float> cos, sin, local_cos, local_sin;
  FillTurns(RotaryFrequencies(a.rope, 0), from, to, move.tokens, &cos, &sin);
  if (a.local_rope.has_value()) {
    FillTurns(RotaryFrequencies(*a.local_rope, 0), from, to, move.tokens, &local_cos, &local_sin);
  }
  for (int64_t layer = 0; layer < a.layers; ++layer) {
    const bool local = a.local_rope.has_value() && a.window(layer) > 0;
    const int64_t half = (local ? *a.local_rope : a.rope).rotary_dim / 2;
    backend_.MoveKv(move, {(local ? local_cos : cos).data(), move.tokens, half, half},
                    {(local ? local_sin : sin).data(), move.tokens, half, half}, layer, store);
  }
}

void Transformer::NormOutput(TransformerScratch* scratch) const {
  Norm(weights_.final_norm, scratch->hidden, scratch->hidden);
}

// The last layer's output of `rows`, one behind the other.
MatrixView Transformer::Pick(absl::Span<const HeadRow> rows, TransformerScratch* scratch) const {
  const int64_t count = static_cast<int64_t>(rows.size());
  if (rows.back().row - rows.front().row == count - 1) return scratch->hidden.Rows(rows.front().row, count);
  std::vector<int32_t> from;
  for (const HeadRow& row : rows) from.push_back(row.row);
  const MatrixView picked = scratch->picked.Rows(0, count);
  backend_.GatherRows(scratch->hidden, from, picked);
  return picked;
}

// Copies the logits of `rows` to where they go, and samples those that have a choice, into `tokens` behind what is
// there: these must not move.
void Transformer::GiveLogits(absl::Span<const HeadRow> rows, MatrixView logits,
                             std::vector<kernels::SampledToken>* tokens) const {
  std::vector<int32_t> sampled;
  std::vector<const TokenChoice*> choices;
  for (size_t i = 0; i < rows.size(); ++i) {
    const int32_t row = static_cast<int32_t>(i);
    if (rows[i].choice == nullptr) {
      backend_.CopyToHost(logits.Rows(row, 1).data, FloatBytes(logits.cols), rows[i].logits);
    } else {
      sampled.push_back(row);
      choices.push_back(rows[i].choice);
    }
  }
  if (sampled.empty()) return;
  const size_t before = tokens->size();
  LASTRO_CHECK(tokens->capacity() - before >= sampled.size());
  tokens->resize(before + sampled.size());
  backend_.Sample(logits, sampled, choices, absl::MakeSpan(*tokens).subspan(before));
}

absl::Status Transformer::Head(absl::Span<const HeadRow> rows, TransformerScratch* scratch) const {
  LASTRO_CHECK(weights_.head != nullptr);
  const int64_t total = static_cast<int64_t>(rows.size());
  LASTRO_RETURN_IF_ERROR(scratch->ReserveLogits(backend_, architecture_, std::min(total, kHeadRows)));
  std::vector<kernels::SampledToken> tokens;
  tokens.reserve(rows.size());
  for (int64_t begin = 0; begin < total; begin += kHeadRows) {
    const int64_t count = std::min(kHeadRows, total - begin);
    const absl::Span<const HeadRow> some = rows.subspan(static_cast<size_t>(begin), static_cast<size_t>(count));
    const MatrixView out = scratch->logits.Rows(0, count);
    backend_.Linear(*weights_.head, Norm(weights_.final_norm, Pick(some, scratch), scratch->normed.Rows(0, count)),
                    out);
    if (architecture_.logit_scale != 1.0f) backend_.Map(MapKind::kScale, architecture_.logit_scale, out);
    if (architecture_.logit_softcap > 0) backend_.Map(MapKind::kSoftcap, architecture_.logit_softcap, out);
    GiveLogits(some, out, &tokens);
  }
  LASTRO_RETURN_IF_ERROR(backend_.Synchronize());
  auto token = tokens.begin();
  for (const HeadRow& row : rows) {
    if (row.choice != nullptr) *row.token = *token++;
  }
  return absl::OkStatus();
}

}  // namespace lastro::engine
