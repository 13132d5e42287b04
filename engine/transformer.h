// Transformer: the one forward pass of every architecture, over a packed batch of sequences. Encoders, prompts and
// decoded tokens differ by SequenceSpan, KvCache and Architecture only. Const after construction; request state (cache,
// scratch) is passed in. Forward and Head run inside a step of the backend's queue.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/call_context.h"
#include "engine/architecture.h"
#include "engine/backend.h"
#include "engine/kv_cache.h"
#include "engine/transformer_weights.h"

namespace lastro::engine {

// Activations of one step; grows to the largest step. One per model: steps run one at a time.
class TransformerScratch {
 public:
  // Room for a step of `rows` rows.
  absl::Status Reserve(Backend& backend, const Architecture& architecture, int64_t rows);

  MatrixView hidden, normed, qkv, attended, mlp, activated;  // [rows, ...] of the last Reserve
  MatrixView branch;                                         // [rows, hidden], of ResidualOrder::kParallel
  MatrixView router_logits;                                  // [rows, experts]
  MatrixView gathered, routed;                               // [rows, hidden], of a mixture of experts
  MatrixView cross_q;                                        // [rows, q_dim], of cross-attention
  MatrixView cos, sin;                                       // [rows, rotary_dim / 2]
  MatrixView local_cos, local_sin;                           // as cos and sin, of Architecture::local_rope
  MatrixView logits;                                         // [head rows, vocab_size] of ReserveLogits

  // Room for `rows` rows of logits.
  absl::Status ReserveLogits(Backend& backend, const Architecture& architecture, int64_t rows);

 private:
  std::unique_ptr<Buffer> buffer_;
  std::unique_ptr<Buffer> logits_buffer_;
};

// What a decoder attends to: keys and values of an encoder's output, for each layer.
struct CrossMemory {
  KvCache cache;
  int64_t tokens = 0;
};

class Transformer {
 public:
  // `backend` must outlive the object.
  Transformer(Architecture architecture, TransformerWeights weights, Backend& backend);

  const Architecture& architecture() const { return architecture_; }
  const TransformerWeights& weights() const { return weights_; }

  // Runs the packed rows `ids`, split into `sequences`, and leaves the last layer's output in scratch->hidden. Keys and
  // values go into `cache`. `context` is checked between layers; after an error the cache's tokens from each sequence's
  // position on are unspecified. REQUIRES: ids and positions in range, room in the cache.
  // `memory` is given to architectures with cross-attention, and to them only.
  absl::Status Forward(absl::Span<const int32_t> ids, absl::Span<const SequenceSpan> sequences, const KvCache& cache,
                       const CallContext& context, TransformerScratch* scratch,
                       const CrossMemory* memory = nullptr) const;

  // The memory of an encoder's output [rows, hidden_size], device memory. RESOURCE_EXHAUSTED.
  absl::StatusOr<CrossMemory> Remember(MatrixView encoded) const;

  // The final norm of all rows of scratch->hidden, in place: what encoders give. Nothing where there is none.
  void NormOutput(TransformerScratch* scratch) const;

  // logits [count, vocab_size], host memory, of the rows [first, first + count) of scratch->hidden.
  absl::Status Head(int64_t first, int64_t count, TransformerScratch* scratch, float* logits) const;

 private:
  void EmbedRows(absl::Span<const int32_t> ids, absl::Span<const SequenceSpan> sequences,
                 TransformerScratch* scratch) const;
  void FillRotary(const RopeParams& rope, absl::Span<const SequenceSpan> sequences, MatrixView cos,
                  MatrixView sin) const;
  void Layer(int64_t layer, absl::Span<const SequenceSpan> sequences, kernels::KvView cache, const CrossMemory* memory,
             TransformerScratch* scratch) const;
  void CrossAttention(int64_t layer, absl::Span<const SequenceSpan> sequences, const CrossMemory& memory,
                      TransformerScratch* scratch) const;
  void ParallelLayer(int64_t layer, absl::Span<const SequenceSpan> sequences, kernels::KvView cache,
                     TransformerScratch* scratch) const;
  void AttentionBlock(int64_t layer, absl::Span<const SequenceSpan> sequences, kernels::KvView cache, MatrixView x,
                      MatrixView out, TransformerScratch* scratch) const;
  void PrepareHeads(int64_t layer, TransformerScratch* scratch) const;
  AttentionOptions OptionsOf(int64_t layer) const;
  MatrixView MlpBlock(const LayerWeights& layer, MatrixView x, MatrixView out, TransformerScratch* scratch) const;
  MatrixView ExpertsBlock(const LayerWeights& layer, MatrixView x, TransformerScratch* scratch) const;
  NormParams ParamsOf(const NormWeights& weights) const;
  MatrixView Norm(const NormWeights& weights, MatrixView x, MatrixView out) const;

  const Architecture architecture_;
  const TransformerWeights weights_;
  Backend& backend_;
};

}  // namespace lastro::engine
