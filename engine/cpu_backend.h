// CpuBackend: the operations on the CPU. Elementwise work, attention and matrix-vector products are our own SIMD
// kernels (kernels/kernels.h); products with more rows are panels of integers (kernels/gemm.h, of encoders
// kernels/packed_gemm.h) or oneDNN's. All run on one pool of threads.
//
// Precision: activations, norms and softmax are fp32, and so are all sums but those of integers, which are exact. Keys
// and values are kept as CpuBackendOptions::kv_type says, and attention unpacks them to fp32; of more than kMaxGemvRows
// rows it keeps some 16 bits of its factors with bf16 compute on a CPU with AMX (AttentionArgs::split_bf16). With bf16
// compute, weights are bf16, and the left side of products of more than kMaxGemvRows rows is rounded: to bf16 on a CPU
// with AMX, otherwise to 14 bits on a scale per 32; of encoders without AMX both sides are 13 bits on a scale per 128,
// which is finer than bf16, and so are both sides of their attention where that is plain (kernels/packed_gemm.h). The
// left side of quantised weights is rounded to 8 bits where the CPU has products of bytes that fit them, otherwise to
// 16 (kernels/gemm.h, kernels/quant.h).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "engine/backend.h"
#include "engine/cpu_buffer.h"
#include "engine/cpu_kv_store.h"
#include "engine/cpu_weights.h"
#include "kernels/gemm.h"
#include "kernels/packed_gemm.h"
#include "kernels/quant.h"

namespace lastro::engine {

struct CpuBackendOptions {
  int threads = 0;  // 0: one per core
  bool bf16 = false;
  // Products of quantised weights keep the left side to fp32's precision rather than to 16 bits.
  bool exact = false;
  // Every product takes few rows at a time, whose results do not depend on each other.
  bool deterministic = false;
  // Of what models remember of their tokens.
  kernels::KvType kv_type = kernels::KvType::kF32;
};

class CpuBackend : public Backend {
 public:
  // `kernels` must outlive the backend. With the reference kernels oneDNN is not used either.
  CpuBackend(const CpuBackendOptions& options, const kernels::Kernels& kernels);

  std::string Description() const override;
  absl::StatusOr<std::unique_ptr<Buffer>> Allocate(int64_t bytes) override;
  absl::Status CopyToDevice(const void* host, int64_t bytes, void* device) override;
  void CopyToHost(const void* device, int64_t bytes, void* host) override;
  absl::Status Synchronize() override { return absl::OkStatus(); }
  // One a thread, where there are several.
  absl::Span<const std::unique_ptr<Backend>> lanes() const override { return lanes_; }
  void OnLanes(absl::FunctionRef<void(size_t lane)> body) override;
  bool moves_kv() const override { return true; }
  int64_t most_row_attention(const AttentionOptions& options, int64_t head_dim) const override;
  int64_t kv_block_tokens() const override { return kernels::kKvBlock; }
  int64_t KvBytes(const KvShape& shape) const override { return CpuKvStore::Bytes(shape, KvTypeOf(shape)); }
  int64_t default_kv_bytes() const override;  // a quarter of the machine's memory
  absl::StatusOr<std::unique_ptr<KvStore>> AllocateKv(const KvShape& shape) override;
  absl::StatusOr<std::unique_ptr<TableWeight>> LoadTable(const HostMatrix& table) override;

 private:
  absl::StatusOr<std::unique_ptr<LinearWeight>> DoLoadLinear(absl::Span<const HostMatrix> parts,
                                                             absl::Span<const float> bias, LinearHints hints) override;
  void DoEmbed(const TableWeight& table, absl::Span<const int32_t> ids, bool accumulate, MatrixView out) override;
  void DoNorm(const NormParams& params, MatrixView x, MatrixView out) override;
  void DoAddNorm(MatrixView branch, const NormParams& params, MatrixView hidden, MatrixView out) override;
  void DoNormHeads(const NormParams& params, int64_t width, MatrixView x) override;
  void DoLinear(const LinearWeight& weight, MatrixView x, MatrixView out) override;
  void DoRotaryAngles(absl::Span<const int32_t> positions, absl::Span<const float> frequencies, double factor,
                      MatrixView cos, MatrixView sin) override;
  void DoRope(MatrixView cos, MatrixView sin, int64_t head_dim, MatrixView x) override;
  void DoStoreKv(absl::Span<const SequenceSpan> sequences, MatrixView k, MatrixView v, int64_t layer,
                 KvStore& store) override;
  void DoCopyKvBlock(int32_t from, int32_t to, KvStore& store) override;
  void DoMoveKv(const KvMove& move, MatrixView cos, MatrixView sin, int64_t layer, KvStore& store) override;
  void DoAttention(const AttentionOptions& options, absl::Span<const SequenceSpan> sequences, MatrixView q,
                   int64_t layer, const KvStore& store, MatrixView out) override;
  void DoRowAttention(const AttentionOptions& options, absl::Span<const SequenceSpan> sequences, int64_t kv_heads,
                      int64_t head_dim, MatrixView qkv, MatrixView out) override;
  void DoActivation(ActivationKind kind, bool gated, MatrixView x, MatrixView out) override;
  void DoMlp(const LinearWeight& w1, ActivationKind kind, bool gated, const LinearWeight& w2, MatrixView x,
             MatrixView mlp, MatrixView activated, MatrixView out) override;
  void DoClear(MatrixView x) override;
  void DoAdd(MatrixView x, MatrixView inout) override;
  void DoMap(MapKind kind, float parameter, MatrixView x) override;
  void DoGatherRows(MatrixView x, absl::Span<const int32_t> rows, MatrixView out) override;
  void DoAddScaledRows(MatrixView x, absl::Span<const int32_t> rows, absl::Span<const float> factors,
                       MatrixView out) override;
  void DoPool(Pooling pooling, bool normalize, absl::Span<const SequenceSpan> sequences, MatrixView x,
              MatrixView out) override;

  // An encoder's scratch is what compute keeps; nothing of it is remembered.
  kernels::KvType KvTypeOf(const KvShape& shape) const {
    const kernels::KvType scratch = bf16_ ? kernels::KvType::kF16 : kernels::KvType::kF32;
    return shape.scratch ? scratch : kv_type_;
  }

  void NormRows(const NormParams& params, MatrixView x, MatrixView out) const;

  // Calls body(begin, end) over disjoint ranges of [0, rows) that are worth a thread: about `work` element operations
  // per row.
  template <class Body>
  void ForRows(int64_t rows, int64_t work, const Body& body);

  // cpu_linear.cc
  void LinearByRows(const CpuLinear& linear, MatrixView x, MatrixView out);
  void LinearOfFewRows(const CpuLinear& linear, MatrixView x, MatrixView out);
  void ExactLinearOfFewRows(const CpuLinear& linear, MatrixView x, MatrixView out);
  kernels::QuantizedRows QuantizeRows(MatrixView x);  // into the scratch of the current product
  void LinearByPanels(const CpuLinear& linear, MatrixView x, MatrixView out);
  void RoundRows(MatrixView x, kernels::RowCode code);
  void LinearByPackedPanels(const CpuLinear& linear, MatrixView x, MatrixView out);
  void MultiplyPacked(const CpuLinear& linear, const kernels::PackedRows& x, MatrixView out);
  kernels::PackedRows RoundPackedRows(MatrixView x);
  kernels::PackedRows ActivateFeatures(const CpuLinear& linear, ActivationKind kind, bool gated,
                                       const kernels::PackedRows& x, MatrixView mlp);
  bool LinearByTiles(const CpuLinear& linear, MatrixView x, MatrixView out);
  void ReadRows(const CpuLinear::Part& part, int64_t first, int64_t count, int64_t k, float* out) const;
  bool LinearByOneDnn(const CpuLinear& linear, MatrixView x, MatrixView out);
  bool ReserveRounded(int64_t count);  // room for `count` bf16 values in rounded_

  // Room for x [rows, k] rounded, in `codes` and `scales`.
  static kernels::PackedRows ReservePacked(int64_t rows, int64_t k, std::vector<int16_t>* codes,
                                           std::vector<float>* scales);

  struct AttentionTask {
    int64_t sequence, kv_head, row, rows;
    bool split;  // AttentionArgs::split_bf16
  };

  const kernels::Kernels& kernels_;
  const kernels::QuantKernels& quant_kernels_;
  const kernels::GemmKernels& gemm_kernels_;
  const kernels::PackedGemmKernels& packed_kernels_;
  const bool bf16_;
  const bool exact_;
  const bool deterministic_;
  const kernels::KvType kv_type_;
  ThreadPool pool_;
  std::vector<std::unique_ptr<Backend>> lanes_;  // const after construction
  // Scratch of the current step, grown as needed.
  CpuMemory rounded_;  // bf16 left side of the current product
  // Rounded left side of the current product: codes of 16 bits, or of 8 in the same room.
  std::vector<int16_t> row_codes_;
  std::vector<int32_t> row_starts_;
  std::vector<float> row_scales_, row_sums_;
  kernels::GemmRows gemm_rows_ = {};      // the same for panels
  std::vector<int16_t> activated_codes_;  // of Mlp's second product
  std::vector<float> activated_scales_;
  std::vector<float> split_rows_, split_products_;  // of ExactLinearOfFewRows
  std::vector<float> tiles_;                        // of weights, one a thread
  std::vector<AttentionTask> attention_tasks_;
};

}  // namespace lastro::engine
