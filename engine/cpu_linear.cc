// CpuBackend::Linear: which of the matrix products runs. Few rows: our matrix-vector product over the rows of W, split
// by output features. More: panels of integers (kernels/gemm.h) for quantised and BF16 weights, split likewise; oneDNN
// over pieces of rows, one thread each, for fp32, and for BF16 where the CPU has AMX. Weights that never meet few rows
// alone are packed at load where they would be BF16 without AMX (kernels/packed_gemm.h).
#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>

#include "base/check.h"
#include "engine/cpu_backend.h"
#include "engine/cpu_weights.h"

namespace lastro::engine {
namespace {

// Products below which another thread is not woken: about 20 microseconds of one core.
constexpr int64_t kGemvWorkPerThread = 1 << 18;
// The same of products of integers.
constexpr int64_t kPackedWorkPerThread = 1 << 21;
// Rows of one oneDNN call. The small piece divides short batches between threads; the large one reuses weights that do
// not fit in a core's cache.
constexpr int64_t kSmallPiece = 32;
constexpr int64_t kLargePiece = 128;
// Rows from which quantised weights are turned into floats where x must keep its precision.
constexpr int64_t kTiledRows = 28;
// Floats of one such tile: half of a core's second-level cache of 1 MiB.
constexpr int64_t kTileFloats = int64_t{1} << 17;
// Numbers of x whose rounding is worth another thread.
constexpr int64_t kRoundWorkPerThread = 1 << 15;
constexpr size_t kCacheLine = 64;

// Every row of `out` [rows, count] becomes `bias`.
void FillColumns(const float* bias, int64_t count, int64_t rows, int64_t stride, float* out) {
  for (int64_t row = 0; row < rows; ++row) std::copy(bias, bias + count, out + row * stride);
}

int64_t PanelsOf(int64_t n) { return (n + kernels::kPackedColumns - 1) / kernels::kPackedColumns; }

bool HasPanels(const CpuLinear& linear) {
  return std::all_of(linear.parts().begin(), linear.parts().end(), [](const CpuLinear::Part& part) {
    return part.type == DataType::kBF16 || kernels::IsQuantized(part.type);
  });
}

}  // namespace

void CpuBackend::DoLinear(const LinearWeight& weight, MatrixView x, MatrixView out) {
  const CpuLinear& linear = static_cast<const CpuLinear&>(weight);
  if (linear.panels() != nullptr) return LinearByPackedPanels(linear, x, out);
  const bool few = x.rows <= kernels::kMaxGemvRows && linear.few_rows();
  const bool reference = &kernels_ == &kernels::ReferenceKernels();
  if (deterministic_ || few || reference) return LinearByRows(linear, x, out);
  if (linear.matmul() != nullptr) {
    if (LinearByOneDnn(linear, x, out)) return;
    LASTRO_CHECK(!linear.parts().empty(), "oneDNN failed on a product it could do at load");
  } else if (exact_ && linear.quantized()) {
    if (x.rows >= kTiledRows && LinearByTiles(linear, x, out)) return;
  } else if (HasPanels(linear)) {
    return LinearByPanels(linear, x, out);
  }
  LinearByRows(linear, x, out);
}

void CpuBackend::LinearByRows(const CpuLinear& linear, MatrixView x, MatrixView out) {
  LASTRO_CHECK(!linear.parts().empty(), "the weights' rows were not kept at load");
  const bool split = exact_ && linear.quantized();
  const int64_t step = split ? kernels::kMaxGemvRows / 2 : kernels::kMaxGemvRows;
  for (int64_t row = 0; row < x.rows; row += step) {
    const MatrixView some = x.Rows(row, std::min(step, x.rows - row)), to = out.Rows(row, some.rows);
    split ? ExactLinearOfFewRows(linear, some, to) : LinearOfFewRows(linear, some, to);
  }
}

// x as what 16 bits hold of it and what they leave over, which 16 bits hold in turn: 2 R rows in one product, which
// reads the weights once all the same; their results are added.
void CpuBackend::ExactLinearOfFewRows(const CpuLinear& linear, MatrixView x, MatrixView out) {
  const int64_t rows = x.rows, k = x.cols, n = out.cols;
  split_rows_.resize(static_cast<size_t>(2 * rows * k));
  split_products_.resize(static_cast<size_t>(2 * rows * n));
  const kernels::QuantizedRows rounded = QuantizeRows(x);
  for (int64_t row = 0; row < rows; ++row) {
    const float* from = x.floats() + row * x.stride;
    float* left_over = split_rows_.data() + (rows + row) * k;
    std::copy(from, from + k, split_rows_.data() + row * k);
    for (int64_t i = 0; i < k; ++i) {
      const int64_t at = row * rounded.padded_k + i;
      left_over[i] = from[i] - rounded.scales[at / kernels::kQuantGroup] * static_cast<float>(row_codes_[at]);
    }
  }
  const MatrixView products = {split_products_.data(), 2 * rows, n, n};
  LinearOfFewRows(linear, {split_rows_.data(), 2 * rows, k, k}, products);
  for (int64_t row = 0; row < rows; ++row) {
    const float *high = split_products_.data() + row * n, *low = high + rows * n;
    float* to = out.floats() + row * out.stride;
    for (int64_t i = 0; i < n; ++i) to[i] = high[i] + (linear.bias() != nullptr ? low[i] - linear.bias()[i] : low[i]);
  }
}

// Features [begin, end) of the product, which may lie in several parts of the weights.
void CpuBackend::LinearOfFewRows(const CpuLinear& linear, MatrixView x, MatrixView out) {
  kernels::QuantizedRows quantized = {};
  if (linear.quantized()) quantized = QuantizeRows(x);
  auto body = [&](int64_t begin, int64_t end) {
    for (const CpuLinear::Part& part : linear.parts()) {
      const int64_t from = std::max(begin, part.first) - part.first;
      const int64_t to = std::min(end, part.first + part.count) - part.first;
      if (from >= to) continue;
      const float* bias = linear.bias() != nullptr ? linear.bias() + part.first : nullptr;
      const kernels::MutRows part_out = {out.floats() + part.first, out.stride};
      if (kernels::IsQuantized(part.type)) {
        quant_kernels_.quant_gemv({part.rows, part.type, bias, quantized, part_out, x.rows, x.cols}, from, to);
      } else {
        kernels_.gemv({part.rows, part.type, bias, {x.floats(), x.stride}, part_out, x.rows, x.cols}, from, to);
      }
    }
  };
  pool_.ParallelFor(linear.n(), std::max<int64_t>(8, kGemvWorkPerThread / x.cols), std::ref(body));
}

kernels::QuantizedRows CpuBackend::QuantizeRows(MatrixView x) {
  const int64_t padded = kernels::PaddedK(x.cols);
  const size_t values = static_cast<size_t>(x.rows * padded);
  row_codes_.resize(values);
  row_starts_.resize(values / 4);
  row_scales_.resize(values / kernels::kQuantGroup);
  row_sums_.resize(values / kernels::kQuantSumGroup);
  const kernels::QuantizedRows rows = {row_codes_.data(), row_starts_.data(), row_scales_.data(), row_sums_.data(),
                                       padded};
  quant_kernels_.quantize_rows({x.floats(), x.stride}, x.rows, x.cols, rows);
  return rows;
}

// Each panel of weights is unpacked by one thread and meets all rows.
void CpuBackend::LinearByPanels(const CpuLinear& linear, MatrixView x, MatrixView out) {
  std::optional<kernels::RowCode> rounded;
  for (const CpuLinear::Part& part : linear.parts()) {
    const kernels::RowCode code = gemm_kernels_.code_for(part.type);
    if (rounded != code) RoundRows(x, code);
    rounded = code;
    const float* bias = linear.bias() != nullptr ? linear.bias() + part.first : nullptr;
    const kernels::GemmArgs args = {part.rows, part.type,  bias,  gemm_rows_, {out.floats() + part.first, out.stride},
                                    x.rows,    part.count, x.cols};
    const int64_t panels = (part.count + kernels::kGemmColumns - 1) / kernels::kGemmColumns;
    auto body = [&](int64_t begin, int64_t end) { gemm_kernels_.gemm(args, begin, end); };
    const int64_t grain = std::clamp<int64_t>(panels / pool_.threads(), 1, gemm_kernels_.panels_together);
    pool_.ParallelFor(panels, grain, std::ref(body));
  }
}

// x into gemm_rows_.
void CpuBackend::RoundRows(MatrixView x, kernels::RowCode code) {
  const int64_t block = kernels::RowsTogether(code);
  const int64_t blocks = (x.rows + block - 1) / block, padded = kernels::PaddedK(x.cols);
  const size_t values = static_cast<size_t>(blocks * block * padded);
  const size_t bytes = values * static_cast<size_t>(kernels::BytesOf(code));
  row_codes_.resize((bytes + kCacheLine) / sizeof(int16_t));
  void* codes = row_codes_.data();
  size_t room = row_codes_.size() * sizeof(int16_t);
  codes = std::align(kCacheLine, bytes, codes, room);  // for tiles, whose rows are as long
  row_scales_.resize(values / kernels::kQuantGroup);
  row_sums_.resize(values / kernels::kQuantSumGroup);
  gemm_rows_ = {codes, row_scales_.data(), row_sums_.data(), padded};
  auto body = [&](int64_t begin, int64_t end) {
    const int64_t row = begin * block, rows = std::min(end * block, x.rows) - row;
    gemm_kernels_.round_rows({x.floats() + row * x.stride, x.stride}, rows, x.cols, code,
                             kernels::FromBlock(gemm_rows_, begin, code));
  };
  pool_.ParallelFor(blocks, std::max<int64_t>(1, kRoundWorkPerThread / (block * padded)), std::ref(body));
}

void CpuBackend::LinearByPackedPanels(const CpuLinear& linear, MatrixView x, MatrixView out) {
  MultiplyPacked(linear, RoundPackedRows(x), out);
}

void CpuBackend::MultiplyPacked(const CpuLinear& linear, const kernels::PackedRows& x, MatrixView out) {
  const kernels::PackedGemmArgs args = {linear.panels(), linear.bias(), x, {out.floats(), out.stride},
                                        out.rows,        linear.n()};
  auto body = [&](int64_t begin, int64_t end) { packed_kernels_.gemm(args, begin, end); };
  const int64_t work = kernels::kPackedColumns * linear.k() * out.rows;
  pool_.ParallelFor(PanelsOf(linear.n()), std::max<int64_t>(1, kPackedWorkPerThread / work), std::ref(body));
}

kernels::PackedRows CpuBackend::ReservePacked(int64_t rows, int64_t k, std::vector<int16_t>* codes,
                                              std::vector<float>* scales) {
  const int64_t blocks = (rows + kernels::kPackedRows - 1) / kernels::kPackedRows, groups = kernels::PackedGroups(k);
  scales->resize(static_cast<size_t>(blocks * groups * kernels::kPackedRows));
  codes->resize(scales->size() * kernels::kPackedGroup);
  return {codes->data(), scales->data(), groups};
}

// x into the scratch of the current product.
kernels::PackedRows CpuBackend::RoundPackedRows(MatrixView x) {
  const kernels::PackedRows to = ReservePacked(x.rows, x.cols, &row_codes_, &row_scales_);
  auto body = [&](int64_t begin, int64_t end) {
    const int64_t row = begin * kernels::kPackedRows, rows = std::min(end * kernels::kPackedRows, x.rows) - row;
    packed_kernels_.round_rows({x.floats() + row * x.stride, x.stride}, rows, x.cols, FromBlock(to, begin));
  };
  const int64_t blocks = (x.rows + kernels::kPackedRows - 1) / kernels::kPackedRows;
  const int64_t grain = kRoundWorkPerThread / (kernels::kPackedRows * x.cols);
  pool_.ParallelFor(blocks, std::max<int64_t>(1, grain), std::ref(body));
  return to;
}

void CpuBackend::DoMlp(const LinearWeight& w1, ActivationKind kind, bool gated, const LinearWeight& w2, MatrixView x,
                       MatrixView mlp, MatrixView activated, MatrixView out) {
  const CpuLinear &first = static_cast<const CpuLinear&>(w1), &second = static_cast<const CpuLinear&>(w2);
  // Of gated maps the second half must begin with a panel.
  const bool apart = !gated || second.k() % kernels::kPackedColumns == 0;
  if (first.panels() == nullptr || second.panels() == nullptr || !apart) {
    DoLinear(w1, x, mlp);
    DoActivation(kind, gated, mlp, activated);
    return DoLinear(w2, activated, out);
  }
  MultiplyPacked(second, ActivateFeatures(first, kind, gated, RoundPackedRows(x), mlp), out);
}

// The activated product, rounded: a group of features at a time, which does not leave the core's cache in between.
// `mlp` is room for some of them.
kernels::PackedRows CpuBackend::ActivateFeatures(const CpuLinear& linear, ActivationKind kind, bool gated,
                                                 const kernels::PackedRows& x, MatrixView mlp) {
  const int64_t parts = gated ? 2 : 1, rows = mlp.rows, features = linear.n() / parts;
  const kernels::PackedRows to = ReservePacked(rows, features, &activated_codes_, &activated_scales_);
  auto body = [&](int64_t begin, int64_t end) {
    float* room = mlp.floats() + begin * kernels::kPackedGroup * parts * rows;
    for (int64_t group = begin; group < end; ++group) {
      const int64_t at = group * kernels::kPackedGroup, count = std::min(kernels::kPackedGroup, features - at);
      for (int64_t part = 0; part < parts; ++part) {
        const int64_t first = part * features + at;
        packed_kernels_.gemm({linear.panels() + first / kernels::kPackedColumns * x.groups,
                              linear.bias() != nullptr ? linear.bias() + first : nullptr,
                              x,
                              {room + part * rows * count, count},
                              rows,
                              count},
                             0, PanelsOf(count));
      }
      for (int64_t row = 0; row < rows; row += kernels::kPackedRows) {
        const int64_t some = std::min(kernels::kPackedRows, rows - row);
        float *gate = room + row * count, *up = gated ? gate + rows * count : nullptr;
        kernels_.activate(kind, {gate, count}, {up, count}, some, count, {gate, count});
        packed_kernels_.round_rows({gate, count}, some, count,
                                   FromGroup(FromBlock(to, row / kernels::kPackedRows), group));
      }
    }
  };
  const int64_t work = parts * kernels::kPackedGroup * linear.k() * rows;
  pool_.ParallelFor(to.groups, std::max<int64_t>(1, kPackedWorkPerThread / work), std::ref(body));
  return to;
}

// Many rows: the arithmetic outweighs the weights' bytes, so a tile of weights is turned into floats, which stay in the
// core's cache while they meet all rows of x.
bool CpuBackend::LinearByTiles(const CpuLinear& linear, MatrixView x, MatrixView out) {
  const int64_t k = x.cols, slots = pool_.threads();
  const int64_t tile_rows = std::max<int64_t>(8, kTileFloats / k);
  tiles_.resize(static_cast<size_t>(slots * tile_rows * k));
  std::atomic<bool> ok = true;
  auto body = [&](int64_t begin, int64_t end) {
    for (int64_t slot = begin; slot < end; ++slot) {
      float* tile = tiles_.data() + slot * tile_rows * k;
      for (const CpuLinear::Part& part : linear.parts()) {
        const int64_t from = part.count * slot / slots, to = part.count * (slot + 1) / slots;
        for (int64_t n = from; n < to; n += tile_rows) {
          const int64_t count = std::min(tile_rows, to - n);
          ReadRows(part, n, count, k, tile);
          float* to_columns = out.floats() + part.first + n;
          if (linear.bias() != nullptr)
            FillColumns(linear.bias() + part.first + n, count, x.rows, out.stride, to_columns);
          if (!Sgemm(x.floats(), x.rows, tile, count, k, linear.bias() != nullptr, out.stride, to_columns)) ok = false;
        }
      }
    }
  };
  pool_.ParallelFor(slots, 1, std::ref(body));
  return ok;
}

void CpuBackend::ReadRows(const CpuLinear::Part& part, int64_t first, int64_t count, int64_t k, float* out) const {
  const uint8_t* rows = part.rows + first * kernels::RowBytes(part.type, k);
  if (kernels::IsQuantized(part.type)) {
    quant_kernels_.dequantize(rows, part.type, count * k, false, out);
  } else {
    kernels_.to_f32(rows, part.type, count * k, false, out);
  }
}

bool CpuBackend::LinearByOneDnn(const CpuLinear& linear, MatrixView x, MatrixView out) {
  const bool round = linear.type() == DataType::kBF16;
  if (round && !ReserveRounded(x.rows * x.cols)) return false;
  const int64_t piece = x.rows >= kLargePiece * pool_.threads() ? kLargePiece : kSmallPiece;
  std::atomic<bool> ok = true;
  auto body = [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      const int64_t row = p * piece, rows = std::min(piece, x.rows - row);
      const void* left = x.floats() + row * x.cols;
      if (round) {
        uint16_t* rounded = rounded_.as<uint16_t>() + row * x.cols;
        kernels_.to_bf16({x.floats() + row * x.cols, x.cols}, rows, x.cols, rounded);
        left = rounded;
      }
      if (!linear.matmul()->Run(left, rows, out.floats() + row * out.cols)) ok = false;
    }
  };
  pool_.ParallelFor((x.rows + piece - 1) / piece, 1, std::ref(body));
  return ok;
}

bool CpuBackend::ReserveRounded(int64_t count) {
  const int64_t bytes = count * static_cast<int64_t>(sizeof(uint16_t));
  if (bytes <= rounded_.bytes()) return true;
  absl::StatusOr<CpuMemory> memory = CpuMemory::Allocate(bytes);
  if (!memory.ok()) return false;
  rounded_ = *std::move(memory);
  return true;
}

}  // namespace lastro::engine
