// CpuBackend::Linear: which of the matrix products runs. Few rows: our matrix-vector product over the rows of W, split
// by output features. More: oneDNN over pieces of rows, one thread each.
#include <algorithm>
#include <atomic>
#include <functional>

#include "base/check.h"
#include "engine/cpu_backend.h"
#include "engine/cpu_weights.h"

namespace lastro::engine {
namespace {

// Products below which another thread is not woken: about 20 microseconds of one core.
constexpr int64_t kGemvWorkPerThread = 1 << 18;
// Rows of one oneDNN call. The small piece divides short batches between threads; the large one reuses weights that do
// not fit in a core's cache.
constexpr int64_t kSmallPiece = 32;
constexpr int64_t kLargePiece = 128;

}  // namespace

void CpuBackend::DoLinear(const LinearWeight& weight, MatrixView x, MatrixView out) {
  const CpuLinear& linear = static_cast<const CpuLinear&>(weight);
  const bool few = x.rows <= kernels::kMaxGemvRows && linear.rows() != nullptr;
  if (few || linear.matmul() == nullptr) return LinearByRows(linear, x, out);
  if (LinearByOneDnn(linear, x, out)) return;
  LASTRO_CHECK(linear.rows() != nullptr, "oneDNN failed on a product it could do at load");
  LinearByRows(linear, x, out);
}

void CpuBackend::LinearByRows(const CpuLinear& linear, MatrixView x, MatrixView out) {
  for (int64_t row = 0; row < x.rows; row += kernels::kMaxGemvRows) {
    const int64_t rows = std::min(kernels::kMaxGemvRows, x.rows - row);
    const kernels::LinearArgs args = {linear.rows(),
                                      linear.type(),
                                      linear.bias(),
                                      {x.data + row * x.stride, x.stride},
                                      {out.data + row * out.stride, out.stride},
                                      rows,
                                      x.cols};
    auto body = [&](int64_t begin, int64_t end) { kernels_.gemv(args, begin, end); };
    pool_.ParallelFor(linear.n(), std::max<int64_t>(8, kGemvWorkPerThread / x.cols), std::ref(body));
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
      const void* left = x.data + row * x.cols;
      if (round) {
        uint16_t* rounded = rounded_.as<uint16_t>() + row * x.cols;
        kernels_.to_bf16({x.data + row * x.cols, x.cols}, rows, x.cols, rounded);
        left = rounded;
      }
      if (!linear.matmul()->Run(left, rows, out.data + row * out.cols)) ok = false;
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
