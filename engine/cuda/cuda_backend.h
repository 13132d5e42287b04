// CudaBackend: the operations on one NVIDIA GPU. Products of many rows go to cuBLASLt; all else is our own kernels
// (kernels/cuda). Operations are enqueued on one stream and not waited for; weights come on another (CudaLoader).
//
// Precision: the residual stream, logits, norms, softmax and all sums are fp32. With bf16 or fp16 compute the
// activations between them, weights that are not quantised, and the KV store are of that type (in fp16 what is beyond
// 65,504 becomes infinite); else all is fp32, without TF32. With fp8 on top of bf16, dense layers' weights that are not
// quantised are E4M3 on a scale for each row (kernels/cuda/fp8.h), and so are the rows that meet them where there are
// many; heads, routers, experts and adapters stay in bf16.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/backend.h"
#include "engine/cuda/cuda_graphs.h"
#include "engine/cuda/cuda_loader.h"
#include "engine/cuda/cuda_memory.h"
#include "engine/cuda/cuda_step.h"
#include "engine/cuda/cuda_weights.h"
#include "kernels/cuda/dense_product.h"

namespace lastro::engine {

struct CudaBackendOptions {
  int device = 0;
  DataType type = DataType::kBF16;  // of activations: kF32, kBF16 or kF16
  bool fp8 = false;                 // REQUIRES: kBF16
  int64_t memory_bytes = 0;         // of the GPU, for everything; 0: nine tenths of what is free but for spare_bytes
  int64_t spare_bytes = 0;
  // Every product takes few rows at a time, whose results do not depend on each other.
  bool deterministic = false;
  // Kernels of a step may start before the one ahead has ended (kernels/cuda/stream.h). No effect where KernelsAwait
  // says that they cannot.
  bool kernels_overlap = false;
};

class CudaBackend : public Backend {
 public:
  // FAILED_PRECONDITION where there is no such device, no driver, or a device older than Ampere; RESOURCE_EXHAUSTED.
  static absl::StatusOr<std::unique_ptr<CudaBackend>> Create(const CudaBackendOptions& options);
  ~CudaBackend() override;

  std::string Description() const override;
  std::string DeviceClass() const override;
  DataType activation_type() const override { return type_; }
  absl::StatusOr<std::unique_ptr<Buffer>> Allocate(int64_t bytes) override;
  absl::Status CopyToDevice(const void* host, int64_t bytes, void* device) override;
  void CopyToHost(const void* device, int64_t bytes, void* host) override;
  absl::Status Synchronize() override;
  bool samples() const override { return true; }
  int64_t kv_block_tokens() const override { return kBlockTokens; }
  int64_t KvBytes(const KvShape& shape) const override;
  int64_t default_kv_bytes() const override;  // half of what the budget has left
  absl::StatusOr<std::unique_ptr<KvStore>> AllocateKv(const KvShape& shape) override;
  absl::StatusOr<std::unique_ptr<TableWeight>> LoadTable(const HostMatrix& table) override;

  int64_t free_bytes() const { return budget_.free_bytes(); }
  int64_t replayed_steps() const { return graphs_->replays(); }

 private:
  static constexpr int64_t kBlockTokens = 16;

  CudaBackend(const CudaBackendOptions& options, std::string name, int64_t budget);

  void DoBeginStep(absl::Span<const SequenceSpan> sequences, uint64_t repeats) override;
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
  void DoRotateAndStoreKv(MatrixView cos, MatrixView sin, absl::Span<const SequenceSpan> sequences, MatrixView qkv,
                          int64_t layer, KvStore& store) override;
  void DoStoreKv(absl::Span<const SequenceSpan> sequences, MatrixView k, MatrixView v, int64_t layer,
                 KvStore& store) override;
  void DoCopyKvBlock(int32_t from, int32_t to, KvStore& store) override;
  void DoAttention(const AttentionOptions& options, absl::Span<const SequenceSpan> sequences, MatrixView q,
                   int64_t layer, const KvStore& store, MatrixView out) override;
  void DoActivation(ActivationKind kind, bool gated, MatrixView x, MatrixView out) override;
  int64_t most_mixed_rows(absl::Span<const ExpertWeights> experts) const override;
  void DoMixExperts(MatrixView logits, int64_t per_token, absl::Span<const ExpertWeights> experts, ActivationKind kind,
                    bool gated, MatrixView x, MatrixView out) override;
  void DoClear(MatrixView x) override;
  void DoAdd(MatrixView x, MatrixView inout) override;
  void DoMap(MapKind kind, float parameter, MatrixView x) override;
  void DoGatherRows(MatrixView x, absl::Span<const int32_t> rows, MatrixView out) override;
  void DoAddScaledRows(MatrixView x, absl::Span<const int32_t> rows, absl::Span<const float> factors,
                       MatrixView out) override;
  void DoSample(MatrixView logits, absl::Span<const int32_t> rows, absl::Span<const TokenChoice* const> choices,
                absl::Span<kernels::SampledToken> out) override;
  void DoPool(Pooling pooling, bool normalize, absl::Span<const SequenceSpan> sequences, MatrixView x,
              MatrixView out) override;

  bool IsOfStep(absl::Span<const SequenceSpan> sequences) const {
    return sequences.data() == sequences_.data() && sequences.size() == sequences_.size();
  }
  // An operation runs while nothing failed before it in the step; its own failure is remembered under its name.
  bool ok() const { return error_.ok(); }
  bool launches() const { return ok() && graphs_->mode() != CudaGraphs::Mode::kReplay; }
  uint64_t epoch() const { return budget_.epoch() + downloads_->epoch(); }
  void Done(absl::string_view operation, absl::Status status);
  void Done(absl::string_view operation, cudaError_t error);
  // Device memory until the step's end; null after a failure.
  template <typename T>
  const T* Upload(const char* operation, absl::Span<const T> values) {
    auto copy = uploads_->Upload(values, launches());
    Done(operation, copy.status());
    return copy.ok() ? *copy : nullptr;
  }
  // At least `bytes`, until the next use of the same scratch; null after a failure.
  void* Reserve(const char* operation, int64_t bytes, CudaMemory* scratch);

  std::string TypeName() const;

  // x in the activations' type.
  absl::StatusOr<MatrixView> Converted(const char* operation, MatrixView x);
  absl::Status PartProduct(const CudaLinear& linear, const CudaLinear::Part& part, MatrixView x, MatrixView out);
  absl::Status Fp8Product(const CudaLinear& linear, MatrixView x, MatrixView out);
  // By kMaxFewRows rows, with product(some of x, of out) -> cudaError_t.
  template <typename Product>
  absl::Status FewRows(MatrixView x, MatrixView out, const Product& product);
  // By pieces of weights in the activations' type, which read(first row, to) -> cudaError_t writes.
  template <typename Read>
  absl::Status ManyRows(const void* bias, MatrixView x, MatrixView out, const Read& read);
  absl::Status Dense(const void* weights, const void* bias, MatrixView x, MatrixView out);

  struct ExpertMaps;  // of a mixture, on the device
  // Whether the pairs of many rows may be gathered by expert.
  bool MayGroup(absl::Span<const ExpertWeights> experts) const;
  void MixSome(MatrixView logits, int64_t per_token, const ExpertMaps& maps, ActivationKind kind, bool gated,
               bool group, MatrixView x, MatrixView out);

  // The step's sequences on the device: uploaded once, with or without their memories.
  struct Tables {
    const kernels::cuda::AttentionSequence* sequences = nullptr;
    const int32_t* blocks = nullptr;
  };
  const Tables& TablesOnDevice(bool memory);
  void AttendTiles(const AttentionOptions& options, absl::Span<const SequenceSpan> sequences, bool wide,
                   kernels::cuda::AttentionArgs args);
  struct TilesKey {
    bool memory, wide;
    int64_t group, queries;
    bool operator==(const TilesKey& other) const {
      return memory == other.memory && wide == other.wide && group == other.group && queries == other.queries;
    }
  };
  struct TilesOnDevice {
    TilesKey key;
    const kernels::cuda::QueryTile* tiles = nullptr;
    int64_t count = 0;
    int64_t max_length = 0;
  };
  const TilesOnDevice& GetTiles(absl::Span<const SequenceSpan> sequences, const TilesKey& key);

  const int device_;
  const std::string name_;
  const DataType type_;
  const bool fp8_;
  const bool deterministic_;
  CudaBudget budget_;
  kernels::cuda::Stream stream_;
  std::unique_ptr<CudaLoader> loader_;
  CudaMemory workspace_;
  std::unique_ptr<kernels::cuda::DenseProducts> products_;

  // Of the current step.
  absl::Status error_;
  absl::Span<const SequenceSpan> sequences_;
  int64_t prepared_length_ = 0;  // of a step that repeats: tokens that attention and tables have room for; else 0
  std::unique_ptr<StepUploads> uploads_;
  std::unique_ptr<StepDownloads> downloads_;
  std::unique_ptr<CudaGraphs> graphs_;
  const int32_t* slots_ = nullptr;
  Tables tables_[2];
  std::vector<TilesOnDevice> tiles_;
  // Scratch, grown as needed.
  CudaMemory converted_;  // left side of the current product
  CudaMemory codes_;      // the same in FP8
  CudaMemory weights_;    // rows of quantised weights of the current product
  CudaMemory partial_;    // of attention
  CudaMemory mixed_;      // routes, and what a mixture's experts compute
  CudaMemory sampled_;    // tokens, and logits before their edits
};

}  // namespace lastro::engine
