#include "engine/cpu_backend.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "engine/cpu_weights.h"
#include "engine/onednn_matmul.h"
#include "kernels/cpu_features.h"

namespace lastro::engine {
namespace {

using kernels::ConstRows;
using kernels::MutRows;

// Below this many element operations waking another thread costs more than it saves.
constexpr int64_t kWorkPerThread = 1 << 17;
// Rows that stay in a core's first-level cache from one operation to the next.
constexpr int64_t kRowsInCache = 8;
// Query rows times heads of a group of one attention call where a KV head serves fewer than this.
constexpr int64_t kQueriesPerTask = 64;

class CpuBuffer : public Buffer {
 public:
  explicit CpuBuffer(CpuMemory memory) : memory_(std::move(memory)) {
    data_ = memory_.as<uint8_t>();
    bytes_ = memory_.bytes();
  }

 private:
  CpuMemory memory_;
};

ConstRows In(const MatrixView& m, int64_t row = 0) { return {m.floats() + row * m.stride, m.stride}; }
MutRows Out(const MatrixView& m, int64_t row = 0) { return {m.floats() + row * m.stride, m.stride}; }

// Whether a sequence has more rows in this step than are decoded at once, and enough of them for tiles; `group` query
// heads have one KV head. Asked of the sequence, so that its rows are computed alike however they are cut into tasks.
bool IsPrompt(const SequenceSpan& s, int64_t group) {
  return s.rows > kernels::kMaxGemvRows && s.rows * group >= kernels::kMinSplitQueries;
}

// Whether quantised weights may meet activations of 8 bits.
bool UseFast(const CpuBackendOptions& options, const kernels::Kernels& kernels) {
  return !options.exact && &kernels != &kernels::ReferenceKernels();
}

}  // namespace

CpuBackend::CpuBackend(const CpuBackendOptions& options, const kernels::Kernels& kernels)
    : kernels_(kernels),
      quant_kernels_(UseFast(options, kernels) ? kernels::FastQuantKernels() : kernels::QuantKernelsOf(kernels)),
      gemm_kernels_(kernels::SimdGemmKernels()),
      packed_kernels_(kernels::SimdPackedGemmKernels()),
      bf16_(options.bf16),
      exact_(options.exact),
      deterministic_(options.deterministic),
      kv_type_(options.kv_type),
      pool_(options.threads) {
  CpuBackendOptions of_one = options;
  of_one.threads = 1;
  for (int i = 0; i < pool_.threads() && pool_.threads() > 1; ++i) {
    lanes_.push_back(std::make_unique<CpuBackend>(of_one, kernels));
  }
}

void CpuBackend::OnLanes(absl::FunctionRef<void(size_t lane)> body) {
  auto some = [&](int64_t begin, int64_t end) {
    for (int64_t lane = begin; lane < end; ++lane) body(static_cast<size_t>(lane));
  };
  pool_.ParallelFor(static_cast<int64_t>(lanes_.size()), 1, std::ref(some));
}

std::string CpuBackend::Description() const {
  const bool scalar = &kernels_ == &kernels::ReferenceKernels();
  const char* const problem = scalar ? nullptr : kernels::TilesProblem();
  return absl::StrCat("cpu, ", pool_.threads(), pool_.threads() == 1 ? " thread, " : " threads, ",
                      bf16_ ? "bf16" : "fp32", " (", scalar ? "scalar" : GetOneDnnSupport().isa, ")",
                      problem == nullptr ? "" : absl::StrCat("; AMX is not used: ", problem));
}

absl::StatusOr<std::unique_ptr<Buffer>> CpuBackend::Allocate(int64_t bytes) {
  LASTRO_ASSIGN_OR_RETURN(CpuMemory memory, CpuMemory::Allocate(bytes));
  return std::make_unique<CpuBuffer>(std::move(memory));
}

absl::Status CpuBackend::CopyToDevice(const void* host, int64_t bytes, void* device) {
  std::memcpy(device, host, static_cast<size_t>(bytes));
  return absl::OkStatus();
}
void CpuBackend::CopyToHost(const void* device, int64_t bytes, void* host) {
  std::memcpy(host, device, static_cast<size_t>(bytes));
}

int64_t CpuBackend::default_kv_bytes() const {
  return static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE) / 4;
}

absl::StatusOr<std::unique_ptr<KvStore>> CpuBackend::AllocateKv(const KvShape& shape) {
  return CpuKvStore::Create(shape, KvTypeOf(shape));
}

absl::StatusOr<std::unique_ptr<TableWeight>> CpuBackend::LoadTable(const HostMatrix& table) {
  return CpuTable::Create(table);
}

absl::StatusOr<std::unique_ptr<LinearWeight>> CpuBackend::DoLoadLinear(absl::Span<const HostMatrix> parts,
                                                                       absl::Span<const float> bias,
                                                                       LinearHints hints) {
  if (deterministic_) hints = {.few_rows = true, .many_rows = false};
  // Without AMX our integers are faster than oneDNN's bf16, and more precise; with it our tiles need no second copy of
  // weights whose rows are at hand.
  const bool tiles = hints.few_rows && kernels::TilesInUse() != kernels::TileUse::kNone;
  const bool bf16_by_onednn = GetOneDnnSupport().amx && !tiles;
  CpuLinear::Form form = CpuLinear::Form::kRows;
  if (&kernels_ != &kernels::ReferenceKernels()) {
    if (!bf16_ || bf16_by_onednn) {
      form = CpuLinear::Form::kOneDnn;
    } else if (hints.many_rows && !hints.few_rows) {
      form = CpuLinear::Form::kPanels;
    }
  }
  return CpuLinear::Create(parts, bias, hints, bf16_ ? DataType::kBF16 : DataType::kF32, form, kernels_);
}

template <class Body>
void CpuBackend::ForRows(int64_t rows, int64_t work, const Body& body) {
  const int64_t grain = std::max<int64_t>(1, kWorkPerThread / std::max<int64_t>(1, work));
  pool_.ParallelFor(rows, grain, std::ref(body));
}

void CpuBackend::DoEmbed(const TableWeight& table, absl::Span<const int32_t> ids, bool accumulate, MatrixView out) {
  const CpuTable& rows = static_cast<const CpuTable&>(table);
  for (size_t i = 0; i < ids.size(); ++i) {
    rows.Read(ids[i], accumulate, kernels_, Out(out, static_cast<int64_t>(i)).data);
  }
}

void CpuBackend::NormRows(const NormParams& params, MatrixView x, MatrixView out) const {
  if (params.rms) {
    kernels_.rms_norm(In(x), params.weight, params.eps, x.rows, x.cols, Out(out));
  } else {
    kernels_.layer_norm(In(x), params.weight, params.bias, params.eps, x.rows, x.cols, Out(out));
  }
}

void CpuBackend::DoNorm(const NormParams& params, MatrixView x, MatrixView out) {
  ForRows(x.rows, 4 * x.cols, [&](int64_t begin, int64_t end) {
    NormRows(params, x.Rows(begin, end - begin), out.Rows(begin, end - begin));
  });
}

void CpuBackend::DoAddNorm(MatrixView branch, const NormParams& params, MatrixView hidden, MatrixView out) {
  ForRows(hidden.rows, 5 * hidden.cols, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row += kRowsInCache) {
      const int64_t rows = std::min(kRowsInCache, end - row);
      kernels_.add(In(branch, row), rows, hidden.cols, Out(hidden, row));
      NormRows(params, hidden.Rows(row, rows), out.Rows(row, rows));
    }
  });
}

void CpuBackend::DoNormHeads(const NormParams& params, int64_t width, MatrixView x) {
  ForRows(x.rows, 4 * x.cols, [&](int64_t begin, int64_t end) {
    for (int64_t column = 0; column < x.cols; column += width) {
      const MatrixView head = x.Rows(begin, end - begin).Columns(column, width);
      NormRows(params, head, head);
    }
  });
}

void CpuBackend::DoRotaryAngles(absl::Span<const int32_t> positions, absl::Span<const float> frequencies, double factor,
                                MatrixView cos, MatrixView sin) {
  ForRows(cos.rows, 64 * cos.cols, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      float *to_cos = Out(cos, row).data, *to_sin = Out(sin, row).data;
      const float position = static_cast<float>(positions[static_cast<size_t>(row)]);
      for (size_t i = 0; i < frequencies.size(); ++i) {
        const double angle = static_cast<double>(position * frequencies[i]);
        to_cos[i] = static_cast<float>(std::cos(angle) * factor);
        to_sin[i] = static_cast<float>(std::sin(angle) * factor);
      }
    }
  });
}

void CpuBackend::DoRope(MatrixView cos, MatrixView sin, int64_t head_dim, MatrixView x) {
  ForRows(x.rows, 2 * x.cols, [&](int64_t begin, int64_t end) {
    kernels_.rope(In(cos, begin).data, In(sin, begin).data, end - begin, x.cols / head_dim, head_dim, 2 * cos.cols,
                  Out(x, begin));
  });
}

void CpuBackend::DoStoreKv(absl::Span<const SequenceSpan> sequences, MatrixView k, MatrixView v, int64_t layer,
                           KvStore& store) {
  const kernels::KvView cache = static_cast<const CpuKvStore&>(store).Layer(layer);
  const int64_t average = std::max<int64_t>(1, k.rows / std::max<int64_t>(1, static_cast<int64_t>(sequences.size())));
  ForRows(static_cast<int64_t>(sequences.size()), 4 * average * k.cols, [&](int64_t begin, int64_t end) {
    for (const SequenceSpan& s : sequences.subspan(begin, end - begin)) {
      kernels_.store_kv(In(k, s.first_row), In(v, s.first_row), s.rows, s.blocks.data(), s.position, cache);
    }
  });
}

void CpuBackend::DoCopyKvBlock(int32_t from, int32_t to, KvStore& store) {
  static_cast<CpuKvStore&>(store).CopyBlock(from, to);
}

void CpuBackend::DoMoveKv(const KvMove& move, MatrixView cos, MatrixView sin, int64_t layer, KvStore& store) {
  const CpuKvStore& blocks = static_cast<const CpuKvStore&>(store);
  const kernels::KvView cache = blocks.Layer(layer);
  const int64_t width = cache.kv_heads * cache.head_dim;
  ForRows(move.tokens, 16 * width, [&](int64_t begin, int64_t end) {
    std::vector<float> keys(static_cast<size_t>(width)), values(keys.size());
    for (int64_t token = begin; token < end; ++token) {
      const int64_t slot = move.from_slot + token;
      blocks.Read(layer, move.from[static_cast<size_t>(slot / kernels::kKvBlock)], slot % kernels::kKvBlock,
                  keys.data(), values.data());
      kernels_.rope(In(cos, token).data, In(sin, token).data, 1, cache.kv_heads, cache.head_dim, 2 * cos.cols,
                    {keys.data(), width});
      kernels_.store_kv({keys.data(), width}, {values.data(), width}, 1, move.to.data(), move.to_slot + token, cache);
    }
  });
}

void CpuBackend::DoAttention(const AttentionOptions& options, absl::Span<const SequenceSpan> sequences, MatrixView q,
                             int64_t layer, const KvStore& store, MatrixView out) {
  const kernels::KvView cache = static_cast<const CpuKvStore&>(store).Layer(layer);
  const int64_t heads = q.cols / cache.head_dim, group = heads / cache.kv_heads;
  const bool may_split = bf16_ && !deterministic_ && kernels::TilesInUse() != kernels::TileUse::kNone;
  attention_tasks_.clear();
  int64_t work = 0;
  for (size_t i = 0; i < sequences.size(); ++i) {
    const SequenceSpan& s = sequences[i];
    const int64_t length = options.memory ? s.memory_tokens : s.position + s.rows;
    work += s.rows * length * q.cols / 4;
    const bool split = may_split && IsPrompt(s, group);
    // On tiles, keys and values take much of the time to unpack.
    const int64_t queries = split ? kernels::kMaxAttentionQueries : kQueriesPerTask;
    const int64_t rows_per_task = std::max<int64_t>(1, queries / group);
    for (int64_t g = 0; g < cache.kv_heads; ++g) {
      for (int64_t row = 0; row < s.rows; row += rows_per_task) {
        attention_tasks_.push_back({static_cast<int64_t>(i), g, row, std::min(rows_per_task, s.rows - row), split});
      }
    }
  }
  const int64_t tasks = static_cast<int64_t>(attention_tasks_.size());
  ForRows(tasks, work / std::max<int64_t>(1, tasks), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const AttentionTask& task = attention_tasks_[t];
      const SequenceSpan& s = sequences[task.sequence];
      const int64_t row = s.first_row + task.row;
      const int64_t length = options.memory ? s.memory_tokens : s.position + s.rows;
      const int32_t* blocks = options.memory ? s.memory_blocks.data() : s.blocks.data();
      kernels_.attention({cache, blocks, task.kv_head, heads, In(q, row), Out(out, row), task.rows,
                          s.position + task.row, length, options.causal, options.scale, options.softcap, options.bias,
                          options.bias_stride, options.bias_absolute, options.window, options.sinks, task.split});
    }
  });
}

int64_t CpuBackend::most_row_attention(const AttentionOptions& options, int64_t head_dim) const {
  if (!bf16_ || &kernels_ == &kernels::ReferenceKernels() || !kernels::HasRowAttention(head_dim)) return 0;
  const bool plain = options.softcap == 0 && options.bias == nullptr && options.window == 0 && options.sinks == nullptr;
  return plain && !options.causal && !options.memory && options.scale > 0 ? kernels::kMaxRowAttention : 0;
}

void CpuBackend::DoRowAttention(const AttentionOptions& options, absl::Span<const SequenceSpan> sequences,
                                int64_t kv_heads, int64_t head_dim, MatrixView qkv, MatrixView out) {
  const int64_t group = out.cols / (kv_heads * head_dim), tasks = static_cast<int64_t>(sequences.size()) * kv_heads;
  int64_t work = 0;
  for (const SequenceSpan& s : sequences) work += s.rows * s.rows * out.cols / 8;
  ForRows(tasks, work / std::max<int64_t>(1, tasks), [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const SequenceSpan& s = sequences[static_cast<size_t>(task / kv_heads)];
      const int64_t head = task % kv_heads, q_column = head * group * head_dim, k_column = out.cols + head * head_dim;
      const MatrixView k = qkv.Columns(k_column, head_dim), v = qkv.Columns(k_column + kv_heads * head_dim, head_dim);
      packed_kernels_.row_attention({In(qkv.Columns(q_column, group * head_dim), s.first_row), In(k, s.first_row),
                                     In(v, s.first_row), Out(out.Columns(q_column, group * head_dim), s.first_row),
                                     s.rows, group, head_dim, options.scale});
    }
  });
}

void CpuBackend::DoActivation(ActivationKind kind, bool gated, MatrixView x, MatrixView out) {
  ForRows(x.rows, 16 * out.cols, [&](int64_t begin, int64_t end) {
    ConstRows up = gated ? In(x.Columns(out.cols, out.cols), begin) : ConstRows{nullptr, 0};
    kernels_.activate(kind, In(x, begin), up, end - begin, out.cols, Out(out, begin));
  });
}

void CpuBackend::DoClear(MatrixView x) {
  for (int64_t row = 0; row < x.rows; ++row) std::fill_n(Out(x, row).data, x.cols, 0.0f);
}

void CpuBackend::DoAdd(MatrixView x, MatrixView inout) {
  ForRows(x.rows, x.cols,
          [&](int64_t begin, int64_t end) { kernels_.add(In(x, begin), end - begin, x.cols, Out(inout, begin)); });
}

void CpuBackend::DoMap(MapKind kind, float parameter, MatrixView x) {
  ForRows(x.rows, 4 * x.cols,
          [&](int64_t begin, int64_t end) { kernels_.map(kind, parameter, end - begin, x.cols, Out(x, begin)); });
}

void CpuBackend::DoGatherRows(MatrixView x, absl::Span<const int32_t> rows, MatrixView out) {
  for (size_t i = 0; i < rows.size(); ++i) {
    std::memcpy(Out(out, static_cast<int64_t>(i)).data, In(x, rows[i]).data,
                static_cast<size_t>(x.cols) * sizeof(float));
  }
}

void CpuBackend::DoAddScaledRows(MatrixView x, absl::Span<const int32_t> rows, absl::Span<const float> factors,
                                 MatrixView out) {
  for (size_t i = 0; i < rows.size(); ++i) {
    const int64_t row = static_cast<int64_t>(i);
    kernels_.map(MapKind::kScale, factors[i], 1, x.cols, Out(x, row));
    kernels_.add(In(x, row), 1, x.cols, Out(out, rows[i]));
  }
}

void CpuBackend::DoPool(Pooling pooling, bool normalize, absl::Span<const SequenceSpan> sequences, MatrixView x,
                        MatrixView out) {
  for (size_t i = 0; i < sequences.size(); ++i) {
    const SequenceSpan& s = sequences[i];
    const int64_t rows = pooling == Pooling::kMean ? s.rows : 1;
    const int64_t first = pooling == Pooling::kLast ? s.first_row + s.rows - 1 : s.first_row;
    kernels_.mean_rows(In(x, first), rows, x.cols, Out(out, static_cast<int64_t>(i)).data);
  }
  if (normalize) kernels_.l2_normalize(out.rows, out.cols, Out(out));
}

}  // namespace lastro::engine
