#include "engine/backend.h"

#include <algorithm>
#include <numeric>

namespace lastro::engine {
namespace {

void CheckMatrix(const MatrixView& m) {
  LASTRO_CHECK(m.rows >= 0 && m.cols > 0 && m.stride >= m.cols && m.element_bytes() > 0);
}

void CheckSequences(absl::Span<const SequenceSpan> sequences, int64_t rows) {
  int64_t next = 0;
  for (const SequenceSpan& s : sequences) {
    LASTRO_CHECK(s.first_row == next && s.rows > 0 && s.position >= 0);
    next += s.rows;
  }
  LASTRO_CHECK(next == rows);
}

void CheckBlocks(absl::Span<const int32_t> blocks, int64_t tokens, const KvShape& shape) {
  LASTRO_CHECK(static_cast<int64_t>(blocks.size()) >= shape.BlocksFor(tokens));
  for (int32_t block : blocks) LASTRO_CHECK(block >= 0 && block < shape.blocks);
}

}  // namespace

std::vector<int32_t> AssignScratchBlocks(int64_t block_tokens, absl::Span<SequenceSpan> sequences) {
  auto blocks_of = [&](const SequenceSpan& s) { return (s.position + s.rows + block_tokens - 1) / block_tokens; };
  int64_t count = 0;
  for (const SequenceSpan& s : sequences) count += blocks_of(s);
  std::vector<int32_t> blocks(static_cast<size_t>(count));
  std::iota(blocks.begin(), blocks.end(), 0);
  size_t next = 0;
  for (SequenceSpan& s : sequences) {
    s.blocks = absl::MakeConstSpan(blocks).subspan(next, static_cast<size_t>(blocks_of(s)));
    next += s.blocks.size();
  }
  return blocks;
}

void Backend::BeginStep(absl::Span<const SequenceSpan> sequences, uint64_t repeats) {
  for (const SequenceSpan& s : sequences) LASTRO_CHECK(repeats == 0 || s.rows == 1);
  DoBeginStep(sequences, repeats);
}

void Backend::OnLanes(absl::FunctionRef<void(size_t lane)> body) {
  for (size_t lane = 0; lane < lanes().size(); ++lane) body(lane);
}

absl::StatusOr<std::unique_ptr<LinearWeight>> Backend::LoadLinear(absl::Span<const HostMatrix> parts,
                                                                  absl::Span<const float> bias, LinearHints hints) {
  LASTRO_CHECK(!parts.empty());
  int64_t n = 0;
  for (const HostMatrix& part : parts) {
    LASTRO_CHECK(part.cols == parts[0].cols && part.rows > 0 && part.cols > 0);
    n += part.rows;
  }
  LASTRO_CHECK(bias.empty() || static_cast<int64_t>(bias.size()) == n);
  return DoLoadLinear(parts, bias, hints);
}

void Backend::Embed(const TableWeight& table, absl::Span<const int32_t> ids, bool accumulate, MatrixView out) {
  CheckMatrix(out);
  LASTRO_CHECK(out.rows == static_cast<int64_t>(ids.size()) && out.cols == table.cols());
  for (int32_t id : ids) LASTRO_CHECK(id >= 0 && id < table.rows());
  DoEmbed(table, ids, accumulate, out);
}

void Backend::Norm(const NormParams& params, MatrixView x, MatrixView out) {
  CheckMatrix(x);
  CheckMatrix(out);
  LASTRO_CHECK(x.rows == out.rows && x.cols == out.cols && params.weight != nullptr);
  DoNorm(params, x, out);
}

void Backend::AddNorm(MatrixView branch, const NormParams& params, MatrixView hidden, MatrixView out) {
  CheckMatrix(branch);
  CheckMatrix(hidden);
  CheckMatrix(out);
  LASTRO_CHECK(branch.rows == hidden.rows && branch.cols == hidden.cols && params.weight != nullptr);
  LASTRO_CHECK(out.rows == hidden.rows && out.cols == hidden.cols);
  DoAddNorm(branch, params, hidden, out);
}

void Backend::DoAddNorm(MatrixView branch, const NormParams& params, MatrixView hidden, MatrixView out) {
  DoAdd(branch, hidden);
  DoNorm(params, hidden, out);
}

void Backend::NormHeads(const NormParams& params, int64_t width, MatrixView x) {
  CheckMatrix(x);
  LASTRO_CHECK(width > 0 && x.cols % width == 0 && params.weight != nullptr);
  DoNormHeads(params, width, x);
}

void Backend::Linear(const LinearWeight& weight, MatrixView x, MatrixView out) {
  LASTRO_CHECK(x.rows == out.rows && x.cols == weight.k() && out.cols == weight.n());
  LASTRO_CHECK(x.stride == x.cols && out.stride == out.cols);
  DoLinear(weight, x, out);
}

void Backend::RotaryAngles(absl::Span<const int32_t> positions, absl::Span<const float> frequencies, double factor,
                           MatrixView cos, MatrixView sin) {
  for (const MatrixView& m : {cos, sin}) {
    LASTRO_CHECK(m.type == DataType::kF32 && m.stride == m.cols);
    LASTRO_CHECK(m.rows == static_cast<int64_t>(positions.size()));
    LASTRO_CHECK(m.cols == static_cast<int64_t>(frequencies.size()));
  }
  DoRotaryAngles(positions, frequencies, factor, cos, sin);
}

void Backend::Rope(MatrixView cos, MatrixView sin, int64_t head_dim, MatrixView x) {
  CheckMatrix(x);
  LASTRO_CHECK(head_dim > 0 && x.cols % head_dim == 0 && 2 * cos.cols <= head_dim);
  LASTRO_CHECK(cos.rows == x.rows && sin.rows == x.rows && cos.cols == sin.cols);
  LASTRO_CHECK(cos.stride == cos.cols && sin.stride == sin.cols);
  DoRope(cos, sin, head_dim, x);
}

void Backend::RotateAndStoreKv(MatrixView cos, MatrixView sin, absl::Span<const SequenceSpan> sequences, MatrixView qkv,
                               int64_t layer, KvStore& store) {
  const KvShape& shape = store.shape();
  CheckMatrix(qkv);
  CheckSequences(sequences, qkv.rows);
  for (const SequenceSpan& s : sequences) CheckBlocks(s.blocks, s.position + s.rows, shape);
  LASTRO_CHECK(2 * cos.cols <= shape.head_dim && qkv.cols % (shape.kv_heads * shape.head_dim) == 0);
  LASTRO_CHECK(qkv.cols > 2 * shape.kv_heads * shape.head_dim);
  LASTRO_CHECK(cos.rows == qkv.rows && sin.rows == qkv.rows && cos.cols == sin.cols);
  LASTRO_CHECK(cos.stride == cos.cols && sin.stride == sin.cols);
  LASTRO_CHECK(layer >= 0 && layer < shape.layers);
  DoRotateAndStoreKv(cos, sin, sequences, qkv, layer, store);
}

void Backend::DoRotateAndStoreKv(MatrixView cos, MatrixView sin, absl::Span<const SequenceSpan> sequences,
                                 MatrixView qkv, int64_t layer, KvStore& store) {
  const int64_t kv_dim = store.shape().kv_heads * store.shape().head_dim, q_dim = qkv.cols - 2 * kv_dim;
  // q and k lie side by side with heads of one width: one pass rotates both.
  DoRope(cos, sin, store.shape().head_dim, qkv.Columns(0, q_dim + kv_dim));
  DoStoreKv(sequences, qkv.Columns(q_dim, kv_dim), qkv.Columns(q_dim + kv_dim, kv_dim), layer, store);
}

void Backend::StoreKv(absl::Span<const SequenceSpan> sequences, MatrixView k, MatrixView v, int64_t layer,
                      KvStore& store) {
  const KvShape& shape = store.shape();
  CheckMatrix(k);
  CheckMatrix(v);
  CheckSequences(sequences, k.rows);
  for (const SequenceSpan& s : sequences) CheckBlocks(s.blocks, s.position + s.rows, shape);
  LASTRO_CHECK(k.cols == shape.kv_heads * shape.head_dim && v.cols == k.cols && v.rows == k.rows);
  LASTRO_CHECK(layer >= 0 && layer < shape.layers);
  DoStoreKv(sequences, k, v, layer, store);
}

void Backend::CopyKvBlock(int32_t from, int32_t to, KvStore& store) {
  LASTRO_CHECK(from >= 0 && from < store.shape().blocks && to >= 0 && to < store.shape().blocks && from != to);
  DoCopyKvBlock(from, to, store);
}

void Backend::MoveKv(const KvMove& move, MatrixView cos, MatrixView sin, int64_t layer, KvStore& store) {
  const KvShape& shape = store.shape();
  LASTRO_CHECK(moves_kv() && move.tokens > 0 && move.from_slot >= 0 && move.to_slot >= 0);
  CheckBlocks(move.from, move.from_slot + move.tokens, shape);
  CheckBlocks(move.to, move.to_slot + move.tokens, shape);
  LASTRO_CHECK(cos.rows == move.tokens && sin.rows == move.tokens && cos.cols == sin.cols);
  LASTRO_CHECK(cos.stride == cos.cols && sin.stride == sin.cols && 2 * cos.cols <= shape.head_dim);
  LASTRO_CHECK(layer >= 0 && layer < shape.layers);
  DoMoveKv(move, cos, sin, layer, store);
}

void Backend::DoMoveKv(const KvMove&, MatrixView, MatrixView, int64_t, KvStore&) { LASTRO_CHECK(moves_kv()); }

void Backend::Attention(const AttentionOptions& options, absl::Span<const SequenceSpan> sequences, MatrixView q,
                        int64_t layer, const KvStore& store, MatrixView out) {
  const KvShape& shape = store.shape();
  const int64_t kv_dim = shape.kv_heads * shape.head_dim;
  CheckMatrix(q);
  CheckMatrix(out);
  CheckSequences(sequences, q.rows);
  for (const SequenceSpan& s : sequences) {
    LASTRO_CHECK(!options.memory || s.memory_tokens > 0);
    CheckBlocks(options.memory ? s.memory_blocks : s.blocks, options.memory ? s.memory_tokens : s.position + s.rows,
                shape);
  }
  LASTRO_CHECK(q.rows == out.rows && q.cols == out.cols && q.cols % kv_dim == 0 && layer >= 0 && layer < shape.layers);
  LASTRO_CHECK(q.cols / kv_dim <= kernels::kMaxAttentionQueries);
  LASTRO_CHECK(!options.memory || (!options.causal && options.window == 0 && options.bias == nullptr));
  DoAttention(options, sequences, q, layer, store, out);
}

void Backend::RowAttention(const AttentionOptions& options, absl::Span<const SequenceSpan> sequences, int64_t kv_heads,
                           int64_t head_dim, MatrixView qkv, MatrixView out) {
  CheckMatrix(qkv);
  CheckMatrix(out);
  CheckSequences(sequences, qkv.rows);
  int64_t longest = 0;
  for (const SequenceSpan& s : sequences) {
    LASTRO_CHECK(s.position == 0);
    longest = std::max(longest, s.rows);
  }
  LASTRO_CHECK(longest <= most_row_attention(options, head_dim));
  LASTRO_CHECK(kv_heads > 0 && out.rows == qkv.rows && out.cols % (kv_heads * head_dim) == 0);
  LASTRO_CHECK(qkv.cols == out.cols + 2 * kv_heads * head_dim);
  DoRowAttention(options, sequences, kv_heads, head_dim, qkv, out);
}

void Backend::DoRowAttention(const AttentionOptions&, absl::Span<const SequenceSpan>, int64_t, int64_t, MatrixView,
                             MatrixView) {
  LASTRO_CHECK(false, "the device has no attention among rows");
}

void Backend::Activation(ActivationKind kind, bool gated, MatrixView x, MatrixView out) {
  CheckMatrix(x);
  CheckMatrix(out);
  LASTRO_CHECK(x.rows == out.rows && x.cols == (gated ? 2 : 1) * out.cols);
  DoActivation(kind, gated, x, out);
}

void Backend::Mlp(const LinearWeight& w1, ActivationKind kind, bool gated, const LinearWeight& w2, MatrixView x,
                  MatrixView mlp, MatrixView activated, MatrixView out) {
  for (const MatrixView& m : {x, mlp, activated, out}) {
    CheckMatrix(m);
    LASTRO_CHECK(m.rows == x.rows && m.stride == m.cols);
  }
  LASTRO_CHECK(x.cols == w1.k() && mlp.cols == w1.n() && activated.cols == w2.k() && out.cols == w2.n());
  LASTRO_CHECK(mlp.cols == (gated ? 2 : 1) * activated.cols);
  DoMlp(w1, kind, gated, w2, x, mlp, activated, out);
}

void Backend::DoMlp(const LinearWeight& w1, ActivationKind kind, bool gated, const LinearWeight& w2, MatrixView x,
                    MatrixView mlp, MatrixView activated, MatrixView out) {
  DoLinear(w1, x, mlp);
  DoActivation(kind, gated, mlp, activated);
  DoLinear(w2, activated, out);
}

void Backend::MixExperts(MatrixView logits, int64_t per_token, absl::Span<const ExpertWeights> experts,
                         ActivationKind kind, bool gated, MatrixView x, MatrixView out) {
  for (const MatrixView& m : {logits, x, out}) CheckMatrix(m);
  LASTRO_CHECK(logits.rows == x.rows && out.rows == x.rows);
  LASTRO_CHECK(logits.type == DataType::kF32 && out.type == DataType::kF32);
  LASTRO_CHECK(logits.cols == static_cast<int64_t>(experts.size()) && per_token > 0 && per_token <= logits.cols);
  for (const ExpertWeights& expert : experts) {
    LASTRO_CHECK(expert.in->k() == x.cols && expert.out->n() == out.cols);
    LASTRO_CHECK(expert.in->n() == (gated ? 2 : 1) * expert.out->k());
  }
  DoMixExperts(logits, per_token, experts, kind, gated, x, out);
}

void Backend::DoMixExperts(MatrixView, int64_t, absl::Span<const ExpertWeights>, ActivationKind, bool, MatrixView,
                           MatrixView) {
  LASTRO_CHECK(false, "this device mixes no experts");
}

void Backend::Clear(MatrixView x) {
  CheckMatrix(x);
  DoClear(x);
}

void Backend::Add(MatrixView x, MatrixView inout) {
  CheckMatrix(x);
  CheckMatrix(inout);
  LASTRO_CHECK(x.rows == inout.rows && x.cols == inout.cols);
  DoAdd(x, inout);
}

void Backend::Map(MapKind kind, float parameter, MatrixView x) {
  CheckMatrix(x);
  DoMap(kind, parameter, x);
}

void Backend::GatherRows(MatrixView x, absl::Span<const int32_t> rows, MatrixView out) {
  CheckMatrix(x);
  CheckMatrix(out);
  LASTRO_CHECK(out.rows == static_cast<int64_t>(rows.size()) && out.cols == x.cols);
  for (int32_t row : rows) LASTRO_CHECK(row >= 0 && row < x.rows);
  DoGatherRows(x, rows, out);
}

void Backend::AddScaledRows(MatrixView x, absl::Span<const int32_t> rows, absl::Span<const float> factors,
                            MatrixView out) {
  CheckMatrix(x);
  CheckMatrix(out);
  LASTRO_CHECK(x.rows == static_cast<int64_t>(rows.size()) && rows.size() == factors.size() && x.cols == out.cols);
  for (int32_t row : rows) LASTRO_CHECK(row >= 0 && row < out.rows);
  DoAddScaledRows(x, rows, factors, out);
}

void Backend::Sample(MatrixView logits, absl::Span<const int32_t> rows, absl::Span<const TokenChoice* const> choices,
                     absl::Span<kernels::SampledToken> out) {
  CheckMatrix(logits);
  LASTRO_CHECK(samples() && logits.type == DataType::kF32 && logits.cols <= kernels::kMaxSampledVocabulary);
  LASTRO_CHECK(rows.size() == choices.size() && rows.size() == out.size());
  for (int32_t row : rows) LASTRO_CHECK(row >= 0 && row < logits.rows);
  for (const TokenChoice* choice : choices) {
    for (const kernels::LogitEdit& edit : choice->edits) LASTRO_CHECK(edit.id >= 0 && edit.id < logits.cols);
  }
  DoSample(logits, rows, choices, out);
}

void Backend::DoSample(MatrixView, absl::Span<const int32_t>, absl::Span<const TokenChoice* const>,
                       absl::Span<kernels::SampledToken>) {
  LASTRO_CHECK(samples());
}

void Backend::Pool(Pooling pooling, bool normalize, absl::Span<const SequenceSpan> sequences, MatrixView x,
                   MatrixView out) {
  CheckMatrix(x);
  CheckMatrix(out);
  CheckSequences(sequences, x.rows);
  LASTRO_CHECK(out.rows == static_cast<int64_t>(sequences.size()) && out.cols == x.cols);
  DoPool(pooling, normalize, sequences, x, out);
}

}  // namespace lastro::engine
