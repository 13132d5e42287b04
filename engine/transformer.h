// Transformer: the one forward pass of every architecture, over a packed batch of sequences. Encoders, prompts and
// decoded tokens differ by SequenceSpan, KvStore and Architecture only. Const after construction; request state (KV
// store, scratch) is passed in. Forward and Head run inside a step of the backend's queue.
#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/architecture.h"
#include "engine/backend.h"
#include "engine/lora.h"
#include "engine/transformer_weights.h"

namespace lastro::engine {

// A row of TransformerScratch::hidden, and where its logits [vocab_size] go in host memory; or the token that `choice`
// takes from them, where that is set (Backend::samples()).
struct HeadRow {
  int32_t row = 0;
  float* logits = nullptr;
  const TokenChoice* choice = nullptr;
  kernels::SampledToken* token = nullptr;
};

// Activations of one step; grows to the largest step. One per model: steps run one at a time. What is said to be fp32
// is kF32, the rest of Backend::activation_type().
class TransformerScratch {
 public:
  // Room for a step of `rows` rows.
  absl::Status Reserve(Backend& backend, const Architecture& architecture, int64_t rows);

  MatrixView hidden;                                 // [rows, hidden] of the last Reserve, fp32: the residual stream
  MatrixView normed, qkv, attended, mlp, activated;  // [rows, ...]
  MatrixView branch;                                 // [rows, hidden], of ResidualOrder::kParallel
  MatrixView router_logits;                          // [rows, experts], fp32
  MatrixView gathered;                               // [rows, hidden], of a mixture of experts
  MatrixView routed;                                 // [rows, hidden], fp32: the sum over the experts
  MatrixView cross_q;                                // [rows, q_dim], of cross-attention
  MatrixView cos, sin;                               // [rows, rotary_dim / 2], fp32
  MatrixView local_cos, local_sin;                   // as cos and sin, of Architecture::local_rope
  MatrixView logits;                                 // [head rows, vocab_size] of ReserveLogits, fp32
  MatrixView picked;                                 // [head rows, hidden] of ReserveLogits, fp32

  // What adapters compute beside a step's maps: [rows, rank] and [rows, columns]; kept apart, as few steps need it.
  absl::Status ReserveLowRank(Backend& backend, int64_t rows, int64_t rank, int64_t columns);
  MatrixView low_rank, low_rank_out;

  // Room for `rows` rows of logits.
  absl::Status ReserveLogits(Backend& backend, const Architecture& architecture, int64_t rows);

 private:
  std::unique_ptr<Buffer> buffer_;
  std::unique_ptr<Buffer> low_rank_buffer_;
  std::unique_ptr<Buffer> logits_buffer_;
};

class Transformer {
 public:
  // `backend` must outlive the object.
  Transformer(Architecture architecture, TransformerWeights weights, Backend& backend);

  // The same model on a lane of its backend; both share the weights.
  std::unique_ptr<Transformer> OnLane(Backend& lane) const;

  const Architecture& architecture() const { return architecture_; }
  const TransformerWeights& weights() const { return weights_; }

  // Runs the packed rows `ids`, split into `sequences`, and leaves the last layer's output in scratch->hidden. Keys and
  // values go into `store`. `check` is called between layers and ends the pass where it errors; the store's tokens from
  // each sequence's position on are then unspecified. REQUIRES: ids and positions in range, blocks for all tokens; for
  // an architecture with cross-attention a memory of each sequence. `repeats`: as Backend::BeginStep, the Head after it
  // included.
  absl::Status Forward(absl::Span<const int32_t> ids, absl::Span<const SequenceSpan> sequences, KvStore& store,
                       absl::FunctionRef<absl::Status()> check, TransformerScratch* scratch,
                       uint64_t repeats = 0) const;

  // Keys and values of an encoder's output [rows, hidden_size] (device memory) for cross-attention, into `blocks` of
  // `store`; a step of its own, done when it returns. RESOURCE_EXHAUSTED.
  absl::Status Remember(MatrixView encoded, absl::Span<const int32_t> blocks, KvStore& store) const;

  // Moves keys and values of tokens that were computed from position `from` on to where they are from position `to` on,
  // in all layers. REQUIRES: CanMoveKv().
  void MoveKv(const KvMove& move, int64_t from, int64_t to, KvStore& store) const;
  // OK where what attention sees of a token depends on its position by rotation alone, the same in texts of any length,
  // and the backend moves keys and values; UNIMPLEMENTED says what is against it.
  absl::Status CanMoveKv() const;

  // Sequences of a step whose store is scratch are computed alike as long as none has more rows, or all have; 0:
  // always.
  int64_t most_row_attention() const;

  // Steps of one row a sequence do the same operations whatever the rows hold, up to so many rows: experts that the
  // host chooses for its rows make each step another.
  int64_t most_alike_rows() const { return most_alike_rows_; }

  // The final norm of all rows of scratch->hidden, in place: what encoders give. Nothing where there is none.
  void NormOutput(TransformerScratch* scratch) const;

  // The logits of some rows, in ascending order, or the tokens chosen from them.
  absl::Status Head(absl::Span<const HeadRow> rows, TransformerScratch* scratch) const;

 private:
  Transformer(Architecture architecture, std::shared_ptr<const TransformerWeights> weights, Backend& backend);

  absl::Status ReserveForAdapters(absl::Span<const SequenceSpan> sequences, TransformerScratch* scratch) const;
  void EmbedRows(absl::Span<const int32_t> ids, absl::Span<const SequenceSpan> sequences,
                 TransformerScratch* scratch) const;
  void FillRotary(const RopeParams& rope, absl::Span<const SequenceSpan> sequences, MatrixView cos,
                  MatrixView sin) const;
  MatrixView AddNorm(std::optional<MatrixView>* branch, const NormWeights& weights, MatrixView hidden,
                     MatrixView out) const;
  void Layer(int64_t layer, absl::Span<const SequenceSpan> sequences, KvStore& store, std::optional<MatrixView>* branch,
             TransformerScratch* scratch) const;
  void CrossAttention(int64_t layer, absl::Span<const SequenceSpan> sequences, const KvStore& store,
                      std::optional<MatrixView>* branch, TransformerScratch* scratch) const;
  void ParallelLayer(int64_t layer, absl::Span<const SequenceSpan> sequences, KvStore& store,
                     TransformerScratch* scratch) const;
  void AttentionBlock(int64_t layer, absl::Span<const SequenceSpan> sequences, KvStore& store, MatrixView x,
                      MatrixView out, TransformerScratch* scratch) const;
  void PrepareHeads(int64_t layer, TransformerScratch* scratch) const;
  std::pair<MatrixView, MatrixView> RotaryOf(int64_t layer, const TransformerScratch& scratch) const;
  void StoreAndAttend(int64_t layer, const AttentionOptions& options, absl::Span<const SequenceSpan> sequences,
                      KvStore& store, TransformerScratch* scratch) const;
  void AttendRows(int64_t layer, const AttentionOptions& options, absl::Span<const SequenceSpan> sequences,
                  TransformerScratch* scratch) const;
  AttentionOptions OptionsOf(int64_t layer) const;
  MatrixView MlpBlock(int64_t layer, absl::Span<const SequenceSpan> sequences, MatrixView x, MatrixView out,
                      TransformerScratch* scratch) const;
  // The map `weight` of all rows, and what the sequences' adapters add to it.
  void AdaptedLinear(const LinearWeight& weight, int64_t layer, AdaptedMap map,
                     absl::Span<const SequenceSpan> sequences, MatrixView x, MatrixView out,
                     TransformerScratch* scratch) const;
  MatrixView ExpertsBlock(const LayerWeights& layer, MatrixView x, TransformerScratch* scratch) const;
  NormParams ParamsOf(const NormWeights& weights) const;
  MatrixView Norm(const NormWeights& weights, MatrixView x, MatrixView out) const;
  MatrixView Pick(absl::Span<const HeadRow> rows, TransformerScratch* scratch) const;
  void GiveLogits(absl::Span<const HeadRow> rows, MatrixView logits, std::vector<kernels::SampledToken>* tokens) const;

  const Architecture architecture_;
  const std::shared_ptr<const TransformerWeights> shared_weights_;
  const TransformerWeights& weights_;
  Backend& backend_;
  const int64_t most_alike_rows_;
};

}  // namespace lastro::engine
