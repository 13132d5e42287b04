// Backend: the operations of a transformer on one device. Public methods check shapes once (a mismatch is our own bug
// and aborts); private virtuals compute. One implementation per device: engine/cpu_backend.h.
//
// Threads: operations run inside a step of queue(), one step at a time; everything else (loading, allocating) may be
// called from any thread. Operations of one step are in order; results are visible to the host after Synchronize.
//
// Letters: R rows (packed tokens of one or several sequences), H heads, G KV heads, D head width.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/compute_queue.h"
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
  float* data() const { return data_; }
  int64_t floats() const { return floats_; }

 protected:
  float* data_ = nullptr;
  int64_t floats_ = 0;
};

// A row-major fp32 matrix in device memory, not owned. `stride` >= cols, in elements.
struct MatrixView {
  float* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t stride = 0;

  MatrixView Rows(int64_t begin, int64_t count) const { return {data + begin * stride, count, cols, stride}; }
  MatrixView Columns(int64_t begin, int64_t count) const { return {data + begin, rows, count, stride}; }
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

struct LinearHints {
  // Few rows at a time are common (decoding): keep the rows of W at hand for a matrix-vector product.
  bool few_rows = false;
  // Many rows at a time are common: keep a copy in the matrix product's own layout.
  bool many_rows = true;
};

struct NormParams {
  const float* weight = nullptr;  // [C], device memory
  const float* bias = nullptr;    // [C] or null
  float eps = 0;
  bool rms = true;  // else layer norm
};

// The rows of one sequence in a packed batch and its tokens in a KV cache.
struct SequenceSpan {
  int64_t first_row = 0;
  int64_t rows = 0;
  int64_t position = 0;     // of the first row; the cache holds this many earlier tokens
  int64_t first_block = 0;  // where the sequence starts in the cache
  int64_t capacity = 0;     // tokens the sequence may grow to; at least position + rows is assumed
  // The row of the sequence from which tokens are of type 1 (the second text of a pair); -1: none are.
  int64_t second_segment = -1;
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
  // > 0: the cache holds this many tokens of something else (an encoder's output), and every row sees all of them.
  int64_t memory_tokens = 0;
};

enum class Pooling { kMean, kCls, kLast };

class Backend {
 public:
  virtual ~Backend() = default;

  virtual std::string Description() const = 0;
  ComputeQueue& queue() { return queue_; }

  // RESOURCE_EXHAUSTED when there is not that much memory.
  virtual absl::StatusOr<std::unique_ptr<Buffer>> Allocate(int64_t floats) = 0;
  // Between host memory and device memory. `count` in floats.
  virtual void CopyToDevice(const float* host, int64_t count, float* device) = 0;
  virtual void CopyToHost(const float* device, int64_t count, float* host) = 0;
  virtual void Synchronize() = 0;

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
  // Norm of every group of `width` columns, in place; the weights are [width].
  void NormHeads(const NormParams& params, int64_t width, MatrixView x);
  // out = x W^T + bias; x and out without padding between rows.
  void Linear(const LinearWeight& weight, MatrixView x, MatrixView out);
  // In place, half-split pairs; cos and sin are [R, rotary_dim / 2], x [R, heads * head_dim].
  void Rope(MatrixView cos, MatrixView sin, int64_t head_dim, MatrixView x);
  // Writes k and v ([R, G * D]) of all sequences into the cache.
  void StoreKv(absl::Span<const SequenceSpan> sequences, MatrixView k, MatrixView v, kernels::KvView cache);
  // Softmax attention of q [R, H * D] over the cached tokens 0 .. position + rows of each sequence; out as q. With
  // options.memory_tokens all sequences see the memory that starts at their first block.
  void Attention(const AttentionOptions& options, absl::Span<const SequenceSpan> sequences, MatrixView q,
                 kernels::KvView cache, MatrixView out);
  // out = f(x); with `gated`, x is [R, 2 C] = [gate | up] and out [R, C] = f(gate) * up. Ungated, out may be x.
  void Activation(ActivationKind kind, bool gated, MatrixView x, MatrixView out);
  // inout += x.
  void Add(MatrixView x, MatrixView inout);
  // Every element through the map, in place.
  void Map(MapKind kind, float parameter, MatrixView x);
  // out[i] = x[rows[i]]. `rows` is host memory.
  void GatherRows(MatrixView x, absl::Span<const int32_t> rows, MatrixView out);
  // out[rows[i]] += factors[i] * x[i]; x is left scaled. `rows` and `factors` are host memory.
  void AddScaledRows(MatrixView x, absl::Span<const int32_t> rows, absl::Span<const float> factors, MatrixView out);
  // out[s] = the mean, the first or the last row of sequence s; with `normalize` divided by its length.
  void Pool(Pooling pooling, bool normalize, absl::Span<const SequenceSpan> sequences, MatrixView x, MatrixView out);

 private:
  virtual absl::StatusOr<std::unique_ptr<LinearWeight>> DoLoadLinear(absl::Span<const HostMatrix> parts,
                                                                     absl::Span<const float> bias,
                                                                     LinearHints hints) = 0;
  virtual void DoEmbed(const TableWeight& table, absl::Span<const int32_t> ids, bool accumulate, MatrixView out) = 0;
  virtual void DoNorm(const NormParams& params, MatrixView x, MatrixView out) = 0;
  virtual void DoNormHeads(const NormParams& params, int64_t width, MatrixView x) = 0;
  virtual void DoLinear(const LinearWeight& weight, MatrixView x, MatrixView out) = 0;
  virtual void DoRope(MatrixView cos, MatrixView sin, int64_t head_dim, MatrixView x) = 0;
  virtual void DoStoreKv(absl::Span<const SequenceSpan> sequences, MatrixView k, MatrixView v,
                         kernels::KvView cache) = 0;
  virtual void DoAttention(const AttentionOptions& options, absl::Span<const SequenceSpan> sequences, MatrixView q,
                           kernels::KvView cache, MatrixView out) = 0;
  virtual void DoActivation(ActivationKind kind, bool gated, MatrixView x, MatrixView out) = 0;
  virtual void DoAdd(MatrixView x, MatrixView inout) = 0;
  virtual void DoMap(MapKind kind, float parameter, MatrixView x) = 0;
  virtual void DoGatherRows(MatrixView x, absl::Span<const int32_t> rows, MatrixView out) = 0;
  virtual void DoAddScaledRows(MatrixView x, absl::Span<const int32_t> rows, absl::Span<const float> factors,
                               MatrixView out) = 0;
  virtual void DoPool(Pooling pooling, bool normalize, absl::Span<const SequenceSpan> sequences, MatrixView x,
                      MatrixView out) = 0;

  ComputeQueue queue_;
};

}  // namespace lastro::engine
