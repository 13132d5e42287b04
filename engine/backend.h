// Backend: the operations of a transformer on one device. Public methods check shapes once (a mismatch is our own bug
// and aborts); private virtuals compute. One implementation per device: engine/cpu_backend.h.
//
// Threads: operations run inside a step of queue(), one step at a time; everything else (loading, allocating) may be
// called from any thread. A step begins with BeginStep; its operations are in order; results are visible to the host
// after Synchronize, which also says whether the device did them all: operations have no status of their own.
//
// Letters: R rows (packed tokens of one or several sequences), H heads, G KV heads, D head width.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/check.h"
#include "engine/compute_queue.h"
#include "engine/sampler.h"
#include "kernels/kernels.h"
#include "kernels/quant.h"

namespace lastro::engine {

using kernels::ActivationKind;
using kernels::DataType;
using kernels::MapKind;

// Device memory, owned. Uninitialised; freed at the end of its life.
class Buffer {
 public:
  virtual ~Buffer() = default;
  uint8_t* data() const { return data_; }
  int64_t bytes() const { return bytes_; }
  float* floats() const { return reinterpret_cast<float*>(data_); }  // device memory all the same

 protected:
  uint8_t* data_ = nullptr;
  int64_t bytes_ = 0;
};

// A row-major matrix of kF32, kBF16 or kF16 in device memory, not owned. `stride` >= cols, in elements.
struct MatrixView {
  void* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t stride = 0;
  DataType type = DataType::kF32;

  MatrixView Rows(int64_t begin, int64_t count) const { return {At(begin * stride), count, cols, stride, type}; }
  MatrixView Columns(int64_t begin, int64_t count) const { return {At(begin), rows, count, stride, type}; }
  int64_t element_bytes() const { return kernels::RowBytes(type, 1); }
  float* floats() const {  // REQUIRES: kF32
    LASTRO_CHECK(type == DataType::kF32);
    return static_cast<float*>(data);
  }

 private:
  void* At(int64_t element) const { return static_cast<uint8_t*>(data) + element * element_bytes(); }
};

// A row-major matrix in host memory as a file holds it, without padding; not owned. `data` has no alignment.
struct HostMatrix {
  DataType type = DataType::kF32;
  const uint8_t* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;

  int64_t row_bytes() const { return kernels::RowBytes(type, cols); }  // REQUIRES: whole blocks
  HostMatrix Rows(int64_t begin, int64_t count) const { return {type, data + begin * row_bytes(), count, cols}; }
};

// Weights of a linear map [N, K] in the layout its backend likes. Const, thread-safe.
class LinearWeight {
 public:
  virtual ~LinearWeight() = default;
  int64_t n() const { return n_; }
  int64_t k() const { return k_; }

 protected:
  int64_t n_ = 0;
  int64_t k_ = 0;
};

// A table of vectors [rows, cols], looked up by row. Const, thread-safe.
class TableWeight {
 public:
  virtual ~TableWeight() = default;
  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }

 protected:
  int64_t rows_ = 0;
  int64_t cols_ = 0;
};

// One expert of a mixture: the maps of its MLP, of the same shapes as those of the others.
struct ExpertWeights {
  std::unique_ptr<LinearWeight> in;
  std::unique_ptr<LinearWeight> out;
};

struct LinearHints {
  // Few rows at a time are common (decoding): keep the rows of W at hand for a matrix-vector product.
  bool few_rows = false;
  // Many rows at a time are common: keep a copy in the matrix product's own layout.
  bool many_rows = true;
  // A large map within a layer: may be kept in fewer bits where the backend was asked to.
  bool fewer_bits = false;
};

struct NormParams {
  const float* weight = nullptr;  // [C], device memory
  const float* bias = nullptr;    // [C] or null
  float eps = 0;
  bool rms = true;  // else layer norm
};

// Keys and values of a model's tokens in device memory, for every layer, in blocks of block_tokens tokens; how they lie
// is the backend's own affair (kernels::KvView on the CPU). Uninitialised. On the CPU memory is touched only where
// tokens are stored. Which sequence has which blocks is the caller's affair: engine/kv_pool.h.
struct KvShape {
  int64_t layers = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t block_tokens = 0;  // Backend::kv_block_tokens()
  int64_t blocks = 0;
  bool scratch = false;  // of an encoder: one layer, in which each overwrites what the one before stored

  int64_t BlocksFor(int64_t tokens) const { return (tokens + block_tokens - 1) / block_tokens; }
};
class KvStore {
 public:
  virtual ~KvStore() = default;
  const KvShape& shape() const { return shape_; }

 protected:
  explicit KvStore(const KvShape& shape) : shape_(shape) {}

 private:
  const KvShape shape_;
};

// Tokens whose keys and values go to another place: token i from place from_slot + i of the blocks `from` to place
// to_slot + i of the blocks `to`. Host memory.
struct KvMove {
  absl::Span<const int32_t> from;
  int64_t from_slot = 0;
  absl::Span<const int32_t> to;
  int64_t to_slot = 0;
  int64_t tokens = 0;
};

class LoraAdapter;

// The rows of one sequence in a packed batch and its tokens in a KV store. Spans are host memory.
struct SequenceSpan {
  int64_t first_row = 0;
  int64_t rows = 0;
  int64_t position = 0;                   // of the first row; the store holds this many earlier tokens
  absl::Span<const int32_t> blocks = {};  // tokens [i T, (i + 1) T) lie at block blocks[i] of the store, T block_tokens
  int64_t capacity = 0;                   // tokens the sequence may grow to; at least position + rows is assumed
  // The row of the sequence from which tokens are of type 1 (the second text of a pair); -1: none are.
  int64_t second_segment = -1;
  // Of a decoder that attends to an encoder's output: where that lies in the same store.
  absl::Span<const int32_t> memory_blocks = {};
  int64_t memory_tokens = 0;
  // Added beside the linear maps of the rows (engine/lora.h); null: none.
  const LoraAdapter* adapter = nullptr;
};

// As kernels::AttentionArgs says; pointers are device memory.
struct AttentionOptions {
  bool causal = true;
  float scale = 1.0f;
  float softcap = 0.0f;
  const float* bias = nullptr;
  int64_t bias_stride = 0;
  bool bias_absolute = false;
  int64_t window = 0;
  const float* sinks = nullptr;
  // Every row sees all memory tokens of its sequence, in place of the sequence's own. Neither causal nor with a window
  // or bias.
  bool memory = false;
};

// Gives each sequence blocks of its own in a scratch store, one behind the other; returns the memory they view.
std::vector<int32_t> AssignScratchBlocks(int64_t block_tokens, absl::Span<SequenceSpan> sequences);

enum class Pooling { kMean, kCls, kLast };

class Backend {
 public:
  virtual ~Backend() = default;

  virtual std::string Description() const = 0;
  // What results depend on: the description without the number of the device.
  virtual std::string DeviceClass() const { return Description(); }
  ComputeQueue& queue() { return queue_; }

  // Backends of one core each, for parts of a step that have nothing to do with each other: they take the weights and
  // memory of this one, which owns them, and run nothing but what OnLanes calls. Empty where a step is not divided so.
  virtual absl::Span<const std::unique_ptr<Backend>> lanes() const { return {}; }
  // body(i) for each lane, beside each other; returns when all are done. It must not throw.
  virtual void OnLanes(absl::FunctionRef<void(size_t lane)> body);

  // Of what matrix products read and write between the fp32 residual stream and the fp32 logits. Operations take views
  // of this type and of kF32, mixed as TransformerScratch says.
  virtual DataType activation_type() const { return DataType::kF32; }

  // RESOURCE_EXHAUSTED when there is not that much memory.
  virtual absl::StatusOr<std::unique_ptr<Buffer>> Allocate(int64_t bytes) = 0;
  // From host memory, which may change when the call returns. On any thread.
  virtual absl::Status CopyToDevice(const void* host, int64_t bytes, void* device) = 0;
  // Operations of a step, as all below but LoadLinear and LoadTable.
  virtual void CopyToHost(const void* device, int64_t bytes, void* host) = 0;

  // The sequences that the operations of this step are about; their spans must live until the next Synchronize. What an
  // earlier step left unfinished or failed is forgotten.
  //
  // Steps of one `repeats` (but 0) with as many sequences do the same operations on matrices of the same shapes, of one
  // row a sequence, whatever the tokens, positions and blocks, and wait for the device in the end only: a device may
  // record them once and then replay them.
  void BeginStep(absl::Span<const SequenceSpan> sequences, uint64_t repeats = 0);
  // Waits for all operations of the step. The first error of the device since BeginStep, named after its operation:
  // RESOURCE_EXHAUSTED or INTERNAL.
  virtual absl::Status Synchronize() = 0;

  // Tokens of one block of a KV store.
  virtual int64_t kv_block_tokens() const = 0;
  // Bytes that `shape` takes in the precision that the backend keeps tokens in; INT64_MAX where that does not fit.
  virtual int64_t KvBytes(const KvShape& shape) const = 0;
  // Bytes that one model's KV store may take unless the user says otherwise.
  virtual int64_t default_kv_bytes() const = 0;
  // RESOURCE_EXHAUSTED when there is not that much memory; UNIMPLEMENTED for heads that the device does not compute.
  virtual absl::StatusOr<std::unique_ptr<KvStore>> AllocateKv(const KvShape& shape) = 0;

  // `parts` are stacked along N and share K. `bias` is [N] or empty. `parts` may be kept by reference: their memory
  // must outlive the weight.
  absl::StatusOr<std::unique_ptr<LinearWeight>> LoadLinear(absl::Span<const HostMatrix> parts,
                                                           absl::Span<const float> bias, LinearHints hints);
  // `table` may be kept by reference.
  virtual absl::StatusOr<std::unique_ptr<TableWeight>> LoadTable(const HostMatrix& table) = 0;

  // out[r] = table[ids[r]], or += with `accumulate`. ids are host memory.
  void Embed(const TableWeight& table, absl::Span<const int32_t> ids, bool accumulate, MatrixView out);
  // Root-mean-square or layer norm; out may be x.
  void Norm(const NormParams& params, MatrixView x, MatrixView out);
  // hidden += branch, then out = its norm; out may be either.
  void AddNorm(MatrixView branch, const NormParams& params, MatrixView hidden, MatrixView out);
  // Norm of every group of `width` columns, in place; the weights are [width].
  void NormHeads(const NormParams& params, int64_t width, MatrixView x);
  // out = x W^T + bias; x and out without padding between rows.
  void Linear(const LinearWeight& weight, MatrixView x, MatrixView out);
  // cos(p f) and sin(p f), times `factor`, of each position p and frequency f: cos and sin are [positions,
  // frequencies], kF32. The angle is rounded to fp32, as the reference implementations do. Both lists are host memory.
  void RotaryAngles(absl::Span<const int32_t> positions, absl::Span<const float> frequencies, double factor,
                    MatrixView cos, MatrixView sin);
  // In place, half-split pairs; cos and sin are [R, rotary_dim / 2], x [R, heads * head_dim].
  void Rope(MatrixView cos, MatrixView sin, int64_t head_dim, MatrixView x);
  // What Rope does to q and k of qkv [R, (H + 2 G) * D], then what StoreKv does with k and v. Afterwards q is in qkv; k
  // is unspecified.
  void RotateAndStoreKv(MatrixView cos, MatrixView sin, absl::Span<const SequenceSpan> sequences, MatrixView qkv,
                        int64_t layer, KvStore& store);
  // Writes k and v ([R, G * D]) of the step's sequences into a layer of the store.
  void StoreKv(absl::Span<const SequenceSpan> sequences, MatrixView k, MatrixView v, int64_t layer, KvStore& store);
  // Block `to` becomes a copy of block `from`, in all layers.
  void CopyKvBlock(int32_t from, int32_t to, KvStore& store);
  // Copies keys and values of a layer, the keys rotated on as Rope does by cos and sin [tokens, rotary_dim / 2],
  // rounded to the store's type once more. REQUIRES: moves_kv(); no token is overwritten before it is read.
  void MoveKv(const KvMove& move, MatrixView cos, MatrixView sin, int64_t layer, KvStore& store);
  virtual bool moves_kv() const { return false; }
  // Softmax attention of q [R, H * D] over the stored tokens 0 .. position + rows of each of the step's sequences; out
  // as q.
  void Attention(const AttentionOptions& options, absl::Span<const SequenceSpan> sequences, MatrixView q, int64_t layer,
                 const KvStore& store, MatrixView out);
  // The most rows of a sequence that RowAttention takes, with these options and heads of this width; 0: it has none.
  virtual int64_t most_row_attention(const AttentionOptions&, int64_t head_dim) const { return 0; }
  // What StoreKv and Attention do together, without a store: softmax attention of all rows of each of the step's
  // sequences among themselves. qkv is [R, (H + 2 G) * D], out [R, H * D]. REQUIRES: most_row_attention(); positions 0.
  void RowAttention(const AttentionOptions& options, absl::Span<const SequenceSpan> sequences, int64_t kv_heads,
                    int64_t head_dim, MatrixView qkv, MatrixView out);
  // out = f(x); with `gated`, x is [R, 2 C] = [gate | up] and out [R, C] = f(gate) * up. Ungated, out may be x.
  void Activation(ActivationKind kind, bool gated, MatrixView x, MatrixView out);
  // Linear, Activation and Linear: out = W2 f(W1 x) as those say, by way of `mlp` and `activated`, which are
  // unspecified afterwards.
  void Mlp(const LinearWeight& w1, ActivationKind kind, bool gated, const LinearWeight& w2, MatrixView x,
           MatrixView mlp, MatrixView activated, MatrixView out);
  // The most rows whose experts the device finds itself, without the host: steps of as many rows are alike (BeginStep).
  // 0: it has no MixExperts for these. (Looks at each expert: to be asked once.)
  virtual int64_t most_mixed_rows(absl::Span<const ExpertWeights>) const { return 0; }
  // Each row goes to the `per_token` experts of its largest logits ([R, experts], kF32), weighted by the softmax over
  // those (engine/expert_routing.h): out[r] (kF32) = the weighted sum of their W2 f(W1 x[r]). REQUIRES: at
  // most most_mixed_rows().
  void MixExperts(MatrixView logits, int64_t per_token, absl::Span<const ExpertWeights> experts, ActivationKind kind,
                  bool gated, MatrixView x, MatrixView out);
  // x = 0.
  void Clear(MatrixView x);
  // inout += x.
  void Add(MatrixView x, MatrixView inout);
  // Every element through the map, in place.
  void Map(MapKind kind, float parameter, MatrixView x);
  // out[i] = x[rows[i]]. `rows` is host memory.
  void GatherRows(MatrixView x, absl::Span<const int32_t> rows, MatrixView out);
  // out[rows[i]] += factors[i] * x[i]; x is left scaled. `rows` and `factors` are host memory.
  void AddScaledRows(MatrixView x, absl::Span<const int32_t> rows, absl::Span<const float> factors, MatrixView out);
  // out[i] = what choices[i] chooses from row rows[i] of the logits (kF32), which are left edited; no row twice. What
  // is there after Synchronize is what ChooseToken of engine/sampler.h says. The last operation of a step on these
  // logits; of one that repeats, the operations before it are those that do. REQUIRES: samples(); `out` lives until
  // then.
  void Sample(MatrixView logits, absl::Span<const int32_t> rows, absl::Span<const TokenChoice* const> choices,
              absl::Span<kernels::SampledToken> out);
  virtual bool samples() const { return false; }
  // out[s] = the mean, the first or the last row of sequence s; with `normalize` divided by its length.
  void Pool(Pooling pooling, bool normalize, absl::Span<const SequenceSpan> sequences, MatrixView x, MatrixView out);

 private:
  virtual void DoBeginStep(absl::Span<const SequenceSpan>, uint64_t) {}
  virtual absl::StatusOr<std::unique_ptr<LinearWeight>> DoLoadLinear(absl::Span<const HostMatrix> parts,
                                                                     absl::Span<const float> bias,
                                                                     LinearHints hints) = 0;
  virtual void DoEmbed(const TableWeight& table, absl::Span<const int32_t> ids, bool accumulate, MatrixView out) = 0;
  virtual void DoNorm(const NormParams& params, MatrixView x, MatrixView out) = 0;
  virtual void DoAddNorm(MatrixView branch, const NormParams& params, MatrixView hidden, MatrixView out);
  virtual void DoNormHeads(const NormParams& params, int64_t width, MatrixView x) = 0;
  virtual void DoLinear(const LinearWeight& weight, MatrixView x, MatrixView out) = 0;
  virtual void DoRotaryAngles(absl::Span<const int32_t> positions, absl::Span<const float> frequencies, double factor,
                              MatrixView cos, MatrixView sin) = 0;
  virtual void DoRope(MatrixView cos, MatrixView sin, int64_t head_dim, MatrixView x) = 0;
  virtual void DoRotateAndStoreKv(MatrixView cos, MatrixView sin, absl::Span<const SequenceSpan> sequences,
                                  MatrixView qkv, int64_t layer, KvStore& store);
  virtual void DoStoreKv(absl::Span<const SequenceSpan> sequences, MatrixView k, MatrixView v, int64_t layer,
                         KvStore& store) = 0;
  virtual void DoCopyKvBlock(int32_t from, int32_t to, KvStore& store) = 0;
  virtual void DoMoveKv(const KvMove& move, MatrixView cos, MatrixView sin, int64_t layer, KvStore& store);
  virtual void DoAttention(const AttentionOptions& options, absl::Span<const SequenceSpan> sequences, MatrixView q,
                           int64_t layer, const KvStore& store, MatrixView out) = 0;
  virtual void DoRowAttention(const AttentionOptions& options, absl::Span<const SequenceSpan> sequences,
                              int64_t kv_heads, int64_t head_dim, MatrixView qkv, MatrixView out);
  virtual void DoActivation(ActivationKind kind, bool gated, MatrixView x, MatrixView out) = 0;
  virtual void DoMlp(const LinearWeight& w1, ActivationKind kind, bool gated, const LinearWeight& w2, MatrixView x,
                     MatrixView mlp, MatrixView activated, MatrixView out);
  virtual void DoMixExperts(MatrixView logits, int64_t per_token, absl::Span<const ExpertWeights> experts,
                            ActivationKind kind, bool gated, MatrixView x, MatrixView out);
  virtual void DoClear(MatrixView x) = 0;
  virtual void DoAdd(MatrixView x, MatrixView inout) = 0;
  virtual void DoMap(MapKind kind, float parameter, MatrixView x) = 0;
  virtual void DoGatherRows(MatrixView x, absl::Span<const int32_t> rows, MatrixView out) = 0;
  virtual void DoAddScaledRows(MatrixView x, absl::Span<const int32_t> rows, absl::Span<const float> factors,
                               MatrixView out) = 0;
  virtual void DoSample(MatrixView logits, absl::Span<const int32_t> rows, absl::Span<const TokenChoice* const> choices,
                        absl::Span<kernels::SampledToken> out);
  virtual void DoPool(Pooling pooling, bool normalize, absl::Span<const SequenceSpan> sequences, MatrixView x,
                      MatrixView out) = 0;

  ComputeQueue queue_;
};

}  // namespace lastro::engine
