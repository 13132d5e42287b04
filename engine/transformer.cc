#include "engine/transformer.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/status_macros.h"

namespace lastro::engine {
namespace {

// Rows of the vocabulary head computed at once.
constexpr int64_t kHeadRows = 32;

// Llama 3.1's bands (transformers/modeling_rope_utils.py, _compute_llama3_parameters).
double Llama3Frequency(const RopeParams& rope, double frequency) {
  const double wavelength = 2 * M_PI / frequency;
  if (wavelength < rope.original_max_tokens / rope.high_freq_factor) return frequency;
  if (wavelength > rope.original_max_tokens / rope.low_freq_factor) return frequency / rope.factor;
  const double smooth =
      (rope.original_max_tokens / wavelength - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
  return (1 - smooth) * frequency / rope.factor + smooth * frequency;
}

}  // namespace

std::vector<float> RotaryFrequencies(const RopeParams& rope) {
  std::vector<float> frequencies;
  for (int64_t i = 0; i < rope.rotary_dim; i += 2) {
    double frequency = 1.0 / std::pow(rope.theta, static_cast<double>(i) / static_cast<double>(rope.rotary_dim));
    if (rope.scaling == RopeScaling::kLinear) frequency /= rope.factor;
    if (rope.scaling == RopeScaling::kLlama3) frequency = Llama3Frequency(rope, frequency);
    frequencies.push_back(static_cast<float>(frequency));
  }
  return frequencies;
}

absl::Status TransformerScratch::Reserve(Backend& backend, const Architecture& a, int64_t rows) {
  struct Slot {
    MatrixView* view;
    int64_t cols;
  };
  const int64_t half = a.positions == PositionKind::kRope ? a.rope.rotary_dim / 2 : 0;
  const Slot slots[] = {{&hidden, a.hidden_size},
                        {&normed, a.hidden_size},
                        {&qkv, a.q_dim() + 2 * a.kv_dim()},
                        {&attended, a.q_dim()},
                        {&mlp, (a.gated_mlp ? 2 : 1) * a.intermediate_size},
                        {&activated, a.intermediate_size},
                        {&cos, half},
                        {&sin, half}};
  auto padded = [rows](int64_t cols) { return (rows * cols + 15) / 16 * 16; };  // keeps 64-byte alignment
  int64_t floats = 0;
  for (const Slot& slot : slots) floats += padded(slot.cols);
  if (buffer_ == nullptr || buffer_->floats() < floats) {
    buffer_ = nullptr;  // first the old memory goes
    LASTRO_ASSIGN_OR_RETURN(buffer_, backend.Allocate(floats));
  }
  float* next = buffer_->data();
  for (const Slot& slot : slots) {
    *slot.view = {next, rows, slot.cols, slot.cols};
    next += padded(slot.cols);
  }
  return absl::OkStatus();
}

absl::Status TransformerScratch::ReserveLogits(Backend& backend, const Architecture& a, int64_t rows) {
  if (logits_buffer_ == nullptr || logits_buffer_->floats() < rows * a.vocab_size) {
    logits_buffer_ = nullptr;
    LASTRO_ASSIGN_OR_RETURN(logits_buffer_, backend.Allocate(rows * a.vocab_size));
  }
  logits = {logits_buffer_->data(), rows, a.vocab_size, a.vocab_size};
  return absl::OkStatus();
}

Transformer::Transformer(Architecture architecture, TransformerWeights weights, Backend& backend)
    : architecture_(std::move(architecture)),
      weights_(std::move(weights)),
      backend_(backend),
      inverse_frequencies_(RotaryFrequencies(architecture_.rope)) {}

void Transformer::Norm(const NormWeights& weights, MatrixView x, MatrixView out) const {
  const float* bias = weights.bias != nullptr ? weights.bias->data() : nullptr;
  backend_.Norm({weights.weight->data(), bias, architecture_.norm_eps, architecture_.norm == NormKind::kRms}, x, out);
}

void Transformer::FillRotary(absl::Span<const SequenceSpan> sequences, TransformerScratch* scratch) const {
  const size_t half = inverse_frequencies_.size();
  std::vector<float> cos, sin;
  cos.reserve(static_cast<size_t>(scratch->cos.rows) * half);
  sin.reserve(static_cast<size_t>(scratch->cos.rows) * half);
  for (const SequenceSpan& s : sequences) {
    for (int64_t row = 0; row < s.rows; ++row) {
      for (float frequency : inverse_frequencies_) {
        const float angle = static_cast<float>(s.position + row) * frequency;  // rounded to fp32 as the reference's
        cos.push_back(static_cast<float>(std::cos(static_cast<double>(angle))));
        sin.push_back(static_cast<float>(std::sin(static_cast<double>(angle))));
      }
    }
  }
  backend_.CopyToDevice(cos.data(), static_cast<int64_t>(cos.size()), scratch->cos.data);
  backend_.CopyToDevice(sin.data(), static_cast<int64_t>(sin.size()), scratch->sin.data);
}

void Transformer::EmbedRows(absl::Span<const int32_t> ids, absl::Span<const SequenceSpan> sequences,
                            TransformerScratch* scratch) const {
  backend_.Embed(*weights_.token_embedding, ids, false, scratch->hidden);
  if (weights_.type_embedding != nullptr) {
    backend_.Embed(*weights_.type_embedding, std::vector<int32_t>(ids.size(), 0), true, scratch->hidden);
  }
  if (architecture_.positions == PositionKind::kLearned) {
    std::vector<int32_t> positions;
    for (const SequenceSpan& s : sequences) {
      for (int64_t row = 0; row < s.rows; ++row) positions.push_back(static_cast<int32_t>(s.position + row));
    }
    backend_.Embed(*weights_.position_embedding, positions, true, scratch->hidden);
  } else {
    FillRotary(sequences, scratch);
  }
  if (architecture_.embedding_norm) Norm(weights_.embedding_norm, scratch->hidden, scratch->hidden);
}

void Transformer::AttentionBlock(const LayerWeights& layer, absl::Span<const SequenceSpan> sequences,
                                 kernels::KvView cache, MatrixView x, MatrixView out,
                                 TransformerScratch* scratch) const {
  const Architecture& a = architecture_;
  backend_.Linear(*layer.qkv, x, scratch->qkv);
  const MatrixView q = scratch->qkv.Columns(0, a.q_dim());
  const MatrixView k = scratch->qkv.Columns(a.q_dim(), a.kv_dim());
  const MatrixView v = scratch->qkv.Columns(a.q_dim() + a.kv_dim(), a.kv_dim());
  if (a.positions == PositionKind::kRope) {
    // q and k lie side by side with heads of one width: one pass rotates both.
    backend_.Rope(scratch->cos, scratch->sin, a.head_dim, scratch->qkv.Columns(0, a.q_dim() + a.kv_dim()));
  }
  backend_.StoreKv(sequences, k, v, cache);
  const AttentionOptions options = {a.causal, static_cast<float>(1.0 / std::sqrt(static_cast<double>(a.head_dim)))};
  backend_.Attention(options, sequences, q, cache, scratch->attended);
  backend_.Linear(*layer.attention_out, scratch->attended, out);
}

void Transformer::MlpBlock(const LayerWeights& layer, MatrixView x, MatrixView out, TransformerScratch* scratch) const {
  backend_.Linear(*layer.mlp_in, x, scratch->mlp);
  backend_.Activation(architecture_.activation, architecture_.gated_mlp, scratch->mlp, scratch->activated);
  backend_.Linear(*layer.mlp_out, scratch->activated, out);
}

absl::Status Transformer::Forward(absl::Span<const int32_t> ids, absl::Span<const SequenceSpan> sequences,
                                  const KvCache& cache, const CallContext& context, TransformerScratch* scratch) const {
  LASTRO_RETURN_IF_ERROR(scratch->Reserve(backend_, architecture_, static_cast<int64_t>(ids.size())));
  EmbedRows(ids, sequences, scratch);
  const MatrixView hidden = scratch->hidden, normed = scratch->normed;
  for (size_t i = 0; i < weights_.layers.size(); ++i) {
    LASTRO_RETURN_IF_ERROR(context.Check());
    const LayerWeights& layer = weights_.layers[i];
    const kernels::KvView view = cache.Layer(static_cast<int64_t>(i));
    if (architecture_.residual == ResidualOrder::kPre) {
      Norm(layer.attention_norm, hidden, normed);
      AttentionBlock(layer, sequences, view, normed, normed, scratch);
      backend_.Add(normed, hidden);
      Norm(layer.mlp_norm, hidden, normed);
      MlpBlock(layer, normed, normed, scratch);
      backend_.Add(normed, hidden);
    } else {
      AttentionBlock(layer, sequences, view, hidden, normed, scratch);
      backend_.Add(normed, hidden);
      Norm(layer.attention_norm, hidden, hidden);
      MlpBlock(layer, hidden, normed, scratch);
      backend_.Add(normed, hidden);
      Norm(layer.mlp_norm, hidden, hidden);
    }
  }
  return absl::OkStatus();
}

absl::Status Transformer::Head(int64_t first, int64_t count, TransformerScratch* scratch, float* logits) const {
  LASTRO_CHECK(weights_.head != nullptr && first >= 0 && first + count <= scratch->hidden.rows);
  const int64_t vocab = architecture_.vocab_size;
  LASTRO_RETURN_IF_ERROR(scratch->ReserveLogits(backend_, architecture_, std::min(count, kHeadRows)));
  for (int64_t row = 0; row < count; row += kHeadRows) {
    const int64_t rows = std::min(kHeadRows, count - row);
    MatrixView x = scratch->hidden.Rows(first + row, rows);
    if (architecture_.final_norm) {
      const MatrixView normed = scratch->normed.Rows(first + row, rows);
      Norm(weights_.final_norm, x, normed);
      x = normed;
    }
    const MatrixView out = scratch->logits.Rows(0, rows);
    backend_.Linear(*weights_.head, x, out);
    backend_.CopyToHost(out.data, rows * vocab, logits + row * vocab);
  }
  backend_.Synchronize();
  return absl::OkStatus();
}

}  // namespace lastro::engine
