#include "engine/cuda/cuda_backend.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "engine/cuda/cuda_device.h"
#include "engine/cuda/cuda_matrix.h"
#include "engine/cuda/cuda_status.h"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/row_kernels.h"
#include "kernels/cuda/sampling.h"

namespace lastro::engine {
namespace {

namespace cuda = kernels::cuda;

class CudaBuffer : public Buffer {
 public:
  explicit CudaBuffer(CudaMemory memory) : memory_(std::move(memory)) {
    data_ = memory_.as<uint8_t>();
    bytes_ = memory_.bytes();
  }

 private:
  CudaMemory memory_;
};

// [layers, 2 (K, V), slots, kv_heads * head_dim].
class CudaKvStore : public KvStore {
 public:
  CudaKvStore(const KvShape& shape, DataType type, CudaMemory memory)
      : KvStore(shape), type_(type), memory_(std::move(memory)) {}

  cuda::KvLayer Layer(int64_t layer) const {
    return {At(2 * layer), At(2 * layer + 1), type_, shape().kv_heads, shape().head_dim};
  }
  int64_t slot_bytes() const { return kernels::RowBytes(type_, shape().kv_heads * shape().head_dim); }
  int64_t plane_bytes() const { return shape().blocks * shape().block_tokens * slot_bytes(); }  // of one K or V
  uint8_t* At(int64_t plane) const { return memory_.as<uint8_t>() + plane * plane_bytes(); }

 private:
  const DataType type_;
  const CudaMemory memory_;
};

cuda::NormArgs ArgsOf(const NormParams& p) { return {p.weight, p.bias, p.eps, p.rms}; }

bool Overflows(int64_t a, int64_t b, int64_t* product) { return __builtin_mul_overflow(a, b, product); }

}  // namespace

absl::StatusOr<std::unique_ptr<CudaBackend>> CudaBackend::Create(const CudaBackendOptions& options) {
  LASTRO_ASSIGN_OR_RETURN(std::string name, SelectCudaDevice(options.device));
  size_t free = 0, total = 0;
  LASTRO_RETURN_IF_ERROR(CudaStatus(cudaMemGetInfo(&free, &total), "cudaMemGetInfo"));
  const int64_t left = static_cast<int64_t>(free) - options.spare_bytes;
  if (left <= 0) {
    return absl::ResourceExhaustedError(absl::StrCat("GPU ", options.device, " has ", free, " of ", total,
                                                     " bytes free, and ", options.spare_bytes,
                                                     " of them are to be left for vectors (--vector-gpu-memory)"));
  }
  const int64_t budget = options.memory_bytes > 0 ? options.memory_bytes : left / 10 * 9;
  std::unique_ptr<CudaBackend> backend(new CudaBackend(options, std::move(name), budget));
  LASTRO_RETURN_IF_ERROR(
      CudaStatus(cudaStreamCreateWithFlags(&backend->stream_.handle, cudaStreamNonBlocking), "cudaStreamCreate"));
  backend->uploads_ = std::make_unique<StepUploads>(backend->budget_, backend->stream_.handle);
  backend->downloads_ = std::make_unique<StepDownloads>(backend->stream_.handle);
  backend->graphs_ = std::make_unique<CudaGraphs>(backend->stream_.handle);
  LASTRO_ASSIGN_OR_RETURN(backend->loader_, CudaLoader::Create(backend->budget_));
  LASTRO_ASSIGN_OR_RETURN(backend->workspace_, backend->budget_.Allocate(cuda::DenseProducts::kWorkspaceBytes));
  std::string error;
  backend->products_ = cuda::DenseProducts::Create(backend->workspace_.data(), &error);
  if (backend->products_ == nullptr) return absl::InternalError(error);
  return backend;
}

CudaBackend::CudaBackend(const CudaBackendOptions& options, std::string name, int64_t budget)
    : device_(options.device),
      name_(std::move(name)),
      type_(options.type),
      fp8_(options.fp8),
      deterministic_(options.deterministic),
      budget_(options.device, budget),
      stream_(nullptr, options.kernels_overlap && cuda::KernelsAwait()) {}

CudaBackend::~CudaBackend() {
  cudaSetDevice(device_);
  if (graphs_ != nullptr) graphs_->Abandon();
  if (stream_.handle != nullptr) cudaStreamSynchronize(stream_.handle);
  graphs_ = nullptr;
  uploads_ = nullptr;
  downloads_ = nullptr;
  products_ = nullptr;
  if (stream_.handle != nullptr) cudaStreamDestroy(stream_.handle);
}

std::string CudaBackend::Description() const { return absl::StrCat("cuda:", device_, " (", name_, "), ", TypeName()); }

std::string CudaBackend::TypeName() const {
  if (fp8_) return "fp8";
  return type_ == DataType::kF32 ? "fp32" : type_ == DataType::kBF16 ? "bf16" : "fp16";
}

std::string CudaBackend::DeviceClass() const { return absl::StrCat("cuda (", name_, "), ", TypeName()); }

absl::StatusOr<std::unique_ptr<Buffer>> CudaBackend::Allocate(int64_t bytes) {
  LASTRO_ASSIGN_OR_RETURN(CudaMemory memory, budget_.Allocate(bytes));
  return std::make_unique<CudaBuffer>(std::move(memory));
}

// Not on the step's stream, which may be recording.
absl::Status CudaBackend::CopyToDevice(const void* host, int64_t bytes, void* device) {
  LASTRO_RETURN_IF_ERROR(loader_->Copy(host, bytes, device));
  return loader_->Finish();
}

void CudaBackend::CopyToHost(const void* device, int64_t bytes, void* host) {
  if (ok()) Done("copy to the host", downloads_->Add(device, bytes, host, launches()));
}

absl::Status CudaBackend::Synchronize() {
  if (ok()) Done("the step", graphs_->End(epoch()));
  graphs_->Abandon();  // of a step that failed
  Done("the step", cudaStreamSynchronize(stream_.handle));
  if (ok()) downloads_->Finish();
  downloads_->Forget();
  return error_;
}

void CudaBackend::Done(absl::string_view operation, absl::Status status) {
  if (status.ok() || !error_.ok()) return;
  error_ = absl::Status(status.code(), absl::StrCat(operation, " on ", Description(), ": ", status.message()));
}
void CudaBackend::Done(absl::string_view operation, cudaError_t error) { Done(operation, CudaStatus(error, "CUDA")); }

void* CudaBackend::Reserve(const char* operation, int64_t bytes, CudaMemory* scratch) {
  if (scratch->bytes() >= bytes) return scratch->data();
  // Kernels under way may still read the old memory: freeing it waits for them.
  *scratch = CudaMemory();
  auto memory = budget_.Allocate(bytes);
  Done(operation, memory.status());
  if (!memory.ok()) return nullptr;
  *scratch = *std::move(memory);
  return scratch->data();
}

int64_t CudaBackend::KvBytes(const KvShape& shape) const {
  int64_t bytes = kernels::RowBytes(type_, 1);
  for (int64_t factor : {int64_t{2}, shape.layers, shape.blocks, shape.block_tokens, shape.kv_heads, shape.head_dim}) {
    if (Overflows(bytes, factor, &bytes)) return std::numeric_limits<int64_t>::max();
  }
  return bytes;
}

int64_t CudaBackend::default_kv_bytes() const { return budget_.free_bytes() / 2; }

absl::StatusOr<std::unique_ptr<KvStore>> CudaBackend::AllocateKv(const KvShape& shape) {
  LASTRO_CHECK(shape.block_tokens == kBlockTokens);
  if (shape.head_dim > cuda::kMaxHeadDim) {
    return absl::UnimplementedError(absl::StrCat("heads of ", shape.head_dim, " are wider than the ", cuda::kMaxHeadDim,
                                                 " that the GPU computes; use --device cpu"));
  }
  LASTRO_ASSIGN_OR_RETURN(CudaMemory memory, budget_.Allocate(KvBytes(shape)));
  return std::make_unique<CudaKvStore>(shape, type_, std::move(memory));
}

absl::StatusOr<std::unique_ptr<TableWeight>> CudaBackend::LoadTable(const HostMatrix& table) {
  return CudaTable::Create(table, *loader_);
}

absl::StatusOr<std::unique_ptr<LinearWeight>> CudaBackend::DoLoadLinear(absl::Span<const HostMatrix> parts,
                                                                        absl::Span<const float> bias,
                                                                        LinearHints hints) {
  if (fp8_ && hints.fewer_bits && CudaLinear::MayBeFp8(parts)) return CudaLinear::CreateFp8(parts, bias, *loader_);
  return CudaLinear::Create(parts, bias, type_, *loader_);
}

void CudaBackend::DoBeginStep(absl::Span<const SequenceSpan> sequences, uint64_t repeats) {
  cudaSetDevice(device_);
  graphs_->Abandon();
  cudaStreamSynchronize(stream_.handle);  // what an earlier step left
  cudaGetLastError();
  uploads_->Reset();
  downloads_->Forget();
  error_ = absl::OkStatus();
  sequences_ = sequences;
  tables_[0] = tables_[1] = Tables();
  tiles_.clear();
  prepared_length_ = repeats != 0 ? PreparedLength(sequences) : 0;
  if (repeats != 0) graphs_->Begin({repeats, static_cast<int64_t>(sequences.size()), prepared_length_}, epoch());
  slots_ = Upload("upload of token slots", absl::MakeConstSpan(SlotsOf(sequences, kBlockTokens)));
}

void CudaBackend::DoEmbed(const TableWeight& table, absl::Span<const int32_t> ids, bool accumulate, MatrixView out) {
  if (!ok()) return;
  const int32_t* on_device = Upload("Embed", ids);
  if (!launches()) return;
  Done("Embed",
       cuda::LookUp(static_cast<const CudaTable&>(table).stored(), on_device, accumulate, DeviceMatrix(out), stream_));
}

void CudaBackend::DoNorm(const NormParams& params, MatrixView x, MatrixView out) {
  if (launches())
    Done("Norm", cuda::Norm(ArgsOf(params), nullptr, DeviceMatrix(x), x.cols, DeviceMatrix(out), stream_));
}

void CudaBackend::DoAddNorm(MatrixView branch, const NormParams& params, MatrixView hidden, MatrixView out) {
  if (!launches()) return;
  const cuda::Matrix added = DeviceMatrix(branch);
  Done("AddNorm", cuda::Norm(ArgsOf(params), &added, DeviceMatrix(hidden), hidden.cols, DeviceMatrix(out), stream_));
}

void CudaBackend::DoNormHeads(const NormParams& params, int64_t width, MatrixView x) {
  if (launches())
    Done("NormHeads", cuda::Norm(ArgsOf(params), nullptr, DeviceMatrix(x), width, DeviceMatrix(x), stream_));
}

void CudaBackend::DoRotaryAngles(absl::Span<const int32_t> positions, absl::Span<const float> frequencies,
                                 double factor, MatrixView cos, MatrixView sin) {
  if (!ok()) return;
  const int32_t* on_device = Upload("RotaryAngles", positions);
  const float* frequencies_on_device = Upload("RotaryAngles", frequencies);
  if (!launches()) return;
  Done("RotaryAngles", cuda::RotaryAngles(on_device, cos.rows, frequencies_on_device, cos.cols, factor, cos.floats(),
                                          sin.floats(), stream_));
}

void CudaBackend::DoRope(MatrixView cos, MatrixView sin, int64_t head_dim, MatrixView x) {
  if (launches())
    Done("Rope", cuda::Rope(cos.floats(), sin.floats(), 2 * cos.cols, head_dim, DeviceMatrix(x), stream_));
}

void CudaBackend::DoRotateAndStoreKv(MatrixView cos, MatrixView sin, absl::Span<const SequenceSpan> sequences,
                                     MatrixView qkv, int64_t layer, KvStore& store) {
  LASTRO_CHECK(IsOfStep(sequences));
  if (!launches()) return;
  Done("RotateAndStoreKv", cuda::RotateAndStoreKv(cos.floats(), sin.floats(), 2 * cos.cols, DeviceMatrix(qkv), slots_,
                                                  static_cast<const CudaKvStore&>(store).Layer(layer), stream_));
}

void CudaBackend::DoStoreKv(absl::Span<const SequenceSpan> sequences, MatrixView k, MatrixView v, int64_t layer,
                            KvStore& store) {
  LASTRO_CHECK(IsOfStep(sequences));
  if (!launches()) return;
  Done("StoreKv", cuda::StoreKv(DeviceMatrix(k), DeviceMatrix(v), slots_,
                                static_cast<const CudaKvStore&>(store).Layer(layer), stream_));
}

void CudaBackend::DoCopyKvBlock(int32_t from, int32_t to, KvStore& store) {
  const CudaKvStore& kv = static_cast<const CudaKvStore&>(store);
  const int64_t block = store.shape().block_tokens * kv.slot_bytes();
  cudaSetDevice(device_);
  graphs_->Abandon();  // of a step that ended early
  Done("CopyKvBlock",
       cudaMemcpy2DAsync(kv.At(0) + to * block, static_cast<size_t>(kv.plane_bytes()), kv.At(0) + from * block,
                         static_cast<size_t>(kv.plane_bytes()), static_cast<size_t>(block),
                         static_cast<size_t>(2 * store.shape().layers), cudaMemcpyDeviceToDevice, stream_.handle));
}

const CudaBackend::Tables& CudaBackend::TablesOnDevice(bool memory) {
  Tables& tables = tables_[memory ? 1 : 0];
  if (tables.sequences != nullptr || !ok()) return tables;
  const AttentionTables host = TablesOf(sequences_, memory, prepared_length_ / kBlockTokens);
  tables.sequences = Upload("upload of sequences", absl::MakeConstSpan(host.sequences));
  tables.blocks = Upload("upload of block tables", absl::MakeConstSpan(host.blocks));
  return tables;
}

const CudaBackend::TilesOnDevice& CudaBackend::GetTiles(absl::Span<const SequenceSpan> sequences, const TilesKey& key) {
  for (const TilesOnDevice& tiles : tiles_) {
    if (tiles.key == key) return tiles;
  }
  const AttentionTiles host = TilesOf(sequences, key.memory, key.group, key.wide, key.queries);
  TilesOnDevice tiles = {key, nullptr, static_cast<int64_t>(host.tiles.size()),
                         std::max(host.max_length, prepared_length_)};
  if (tiles.count > 0) tiles.tiles = Upload("upload of tiles", absl::MakeConstSpan(host.tiles));
  tiles_.push_back(tiles);
  return tiles_.back();
}

void CudaBackend::AttendTiles(const AttentionOptions& options, absl::Span<const SequenceSpan> sequences, bool wide,
                              cuda::AttentionArgs args) {
  const int64_t head_dim = args.kv.head_dim;
  const TilesOnDevice& tiles = GetTiles(sequences, {options.memory, wide, args.heads / args.kv.kv_heads,
                                                    cuda::MaxTileQueries(args.q.type, head_dim, wide)});
  if (!launches() || tiles.count == 0) return;
  args.tiles = tiles.tiles;
  args.tile_count = tiles.count;
  args.wide = wide;
  args.max_length = tiles.max_length;
  const int64_t partial = cuda::PartialFloats(args.q.rows, args.heads, head_dim, wide, tiles.max_length);
  if (partial > 0) {
    args.partial = static_cast<float*>(Reserve("Attention", partial * static_cast<int64_t>(sizeof(float)), &partial_));
    if (args.partial == nullptr) return;
  }
  Done("Attention", cuda::Attention(args, stream_));
}

void CudaBackend::DoAttention(const AttentionOptions& options, absl::Span<const SequenceSpan> sequences, MatrixView q,
                              int64_t layer, const KvStore& store, MatrixView out) {
  LASTRO_CHECK(IsOfStep(sequences));
  LASTRO_CHECK(q.type == type_ && out.type == type_);
  const Tables& tables = TablesOnDevice(options.memory);
  if (!ok()) return;
  cuda::AttentionArgs args;
  args.q = DeviceMatrix(q);
  args.out = DeviceMatrix(out);
  args.kv = static_cast<const CudaKvStore&>(store).Layer(layer);
  args.heads = q.cols / store.shape().head_dim;
  args.sequences = tables.sequences;
  args.tables = tables.blocks;
  args.block_tokens = store.shape().block_tokens;
  args.causal = options.causal;
  args.scale = options.scale;
  args.softcap = options.softcap;
  args.bias = options.bias;
  args.bias_stride = options.bias_stride;
  args.bias_absolute = options.bias_absolute;
  args.window = options.window;
  args.sinks = options.sinks;
  for (bool wide : {true, false}) AttendTiles(options, sequences, wide, args);
}

void CudaBackend::DoActivation(ActivationKind kind, bool gated, MatrixView x, MatrixView out) {
  if (launches()) Done("Activation", cuda::Activate(kind, gated, DeviceMatrix(x), DeviceMatrix(out), stream_));
}

void CudaBackend::DoClear(MatrixView x) {
  if (!launches()) return;
  const size_t width = static_cast<size_t>(kernels::RowBytes(x.type, x.cols));
  Done("Clear", cudaMemset2DAsync(x.data, static_cast<size_t>(kernels::RowBytes(x.type, x.stride)), 0, width,
                                  static_cast<size_t>(x.rows), stream_.handle));
}

void CudaBackend::DoAdd(MatrixView x, MatrixView inout) {
  if (launches()) Done("Add", cuda::Add(DeviceMatrix(x), DeviceMatrix(inout), stream_));
}

void CudaBackend::DoMap(MapKind kind, float parameter, MatrixView x) {
  if (launches()) Done("Map", cuda::Map(kind, parameter, DeviceMatrix(x), stream_));
}

void CudaBackend::DoGatherRows(MatrixView x, absl::Span<const int32_t> rows, MatrixView out) {
  if (!ok()) return;
  const int32_t* on_device = Upload("GatherRows", rows);
  if (launches()) Done("GatherRows", cuda::GatherRows(DeviceMatrix(x), on_device, DeviceMatrix(out), stream_));
}

void CudaBackend::DoAddScaledRows(MatrixView x, absl::Span<const int32_t> rows, absl::Span<const float> factors,
                                  MatrixView out) {
  if (!ok()) return;
  const int32_t* on_device = Upload("AddScaledRows", rows);
  const float* factors_on_device = Upload("AddScaledRows", factors);
  if (!launches()) return;
  Done("AddScaledRows", cuda::AddScaledRows(DeviceMatrix(x), on_device, factors_on_device, DeviceMatrix(out), stream_));
}

// How many logits are edited differs from step to step: whatever is recorded ends here.
void CudaBackend::DoSample(MatrixView logits, absl::Span<const int32_t> rows,
                           absl::Span<const TokenChoice* const> choices, absl::Span<kernels::SampledToken> out) {
  if (ok()) Done("the step", graphs_->End(epoch()));
  if (!ok() || rows.empty()) return;
  std::vector<cuda::SampledRow> sampled;
  std::vector<kernels::LogitEdit> edits;
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::vector<kernels::LogitEdit>& of_row = choices[i]->edits;
    sampled.push_back(
        {rows[i], static_cast<int32_t>(edits.size()), static_cast<int32_t>(of_row.size()), choices[i]->rule});
    edits.insert(edits.end(), of_row.begin(), of_row.end());
  }
  const cuda::SampledRow* rows_on_device = Upload("Sample", absl::MakeConstSpan(sampled));
  const kernels::LogitEdit* edits_on_device = Upload("Sample", absl::MakeConstSpan(edits));
  const int64_t token_bytes = static_cast<int64_t>(out.size() * sizeof(kernels::SampledToken));
  // Edits grow with the texts: not at every step anew.
  const size_t originals = std::bit_ceil(edits.size()) * sizeof(float);
  void* scratch = Reserve("Sample", token_bytes + static_cast<int64_t>(originals), &sampled_);
  if (!ok()) return;
  auto* tokens = static_cast<kernels::SampledToken*>(scratch);
  Done("Sample", cuda::Sample(DeviceMatrix(logits), rows_on_device, static_cast<int64_t>(rows.size()), edits_on_device,
                              reinterpret_cast<float*>(tokens + out.size()), tokens, stream_));
  CopyToHost(tokens, token_bytes, out.data());
}

void CudaBackend::DoPool(Pooling pooling, bool normalize, absl::Span<const SequenceSpan> sequences, MatrixView x,
                         MatrixView out) {
  if (!ok()) return;
  std::vector<cuda::RowRange> ranges;
  for (const SequenceSpan& s : sequences) {
    const int64_t first = pooling == Pooling::kLast ? s.first_row + s.rows - 1 : s.first_row;
    ranges.push_back({static_cast<int32_t>(first), static_cast<int32_t>(pooling == Pooling::kMean ? s.rows : 1)});
  }
  const cuda::RowRange* on_device = Upload("Pool", absl::MakeConstSpan(ranges));
  if (launches()) Done("Pool", cuda::PoolRows(DeviceMatrix(x), on_device, normalize, DeviceMatrix(out), stream_));
}

}  // namespace lastro::engine
