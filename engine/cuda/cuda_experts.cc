// CudaBackend::MixExperts: a mixture of experts for few rows. Each pair of a row and one of its experts is a product of
// its own with the rows of W as they are stored; many rows that share experts are cheaper routed by the host.
#include <algorithm>
#include <limits>

#include "engine/cuda/cuda_backend.h"
#include "engine/cuda/cuda_matrix.h"
#include "kernels/cuda/experts.h"
#include "kernels/cuda/row_kernels.h"

namespace lastro::engine {
namespace {

namespace cuda = kernels::cuda;

constexpr int64_t kScratchAlignment = 256;

using ExpertMapOf = std::unique_ptr<LinearWeight> ExpertWeights::*;  // in or out

const CudaLinear& LinearOf(const ExpertWeights& expert, ExpertMapOf map) {
  return static_cast<const CudaLinear&>(*(expert.*map));
}

bool AreAlike(const CudaLinear& a, const CudaLinear& b) {
  return a.n() == b.n() && a.k() == b.k() && (a.bias() == nullptr) == (b.bias() == nullptr) &&
         std::equal(a.parts().begin(), a.parts().end(), b.parts().begin(), b.parts().end(),
                    [](const CudaLinear::Part& one, const CudaLinear::Part& other) {
                      return one.first == other.first && one.rows.type == other.rows.type &&
                             one.rows.rows == other.rows.rows;
                    });
}

// Part `part` of a map of all experts; `on_device` is where their rows are listed.
cuda::ExpertMap MapOf(absl::Span<const ExpertWeights> experts, ExpertMapOf map, size_t part,
                      const cuda::ExpertRows* on_device) {
  const cuda::StoredRows& first = LinearOf(experts[0], map).parts()[part].rows;
  bool vectors = kernels::RowBytes(first.type, first.cols) % 16 == 0;
  for (const ExpertWeights& expert : experts) {
    vectors &= reinterpret_cast<uintptr_t>(LinearOf(expert, map).parts()[part].rows.data) % 16 == 0;
  }
  return {on_device, first.type, first.rows, first.cols, vectors};
}

std::vector<cuda::ExpertRows> RowsOf(absl::Span<const ExpertWeights> experts, ExpertMapOf map, size_t part) {
  std::vector<cuda::ExpertRows> rows;
  for (const ExpertWeights& expert : experts) {
    const CudaLinear& linear = LinearOf(expert, map);
    const CudaLinear::Part& of_part = linear.parts()[part];
    rows.push_back({of_part.rows.data, linear.bias() != nullptr ? linear.bias() + of_part.first : nullptr});
  }
  return rows;
}

}  // namespace

int64_t CudaBackend::most_mixed_rows(absl::Span<const ExpertWeights> experts) const {
  for (const ExpertWeights& expert : experts) {
    for (const ExpertMapOf map : {&ExpertWeights::in, &ExpertWeights::out}) {
      if (!AreAlike(LinearOf(expert, map), LinearOf(experts[0], map))) return 0;
    }
  }
  return deterministic_ ? std::numeric_limits<int64_t>::max() : cuda::kMaxFewRows;
}

void CudaBackend::DoMixExperts(MatrixView logits, int64_t per_token, absl::Span<const ExpertWeights> experts,
                               ActivationKind kind, bool gated, MatrixView x, MatrixView out) {
  if (!ok()) return;
  const auto upload = [&](ExpertMapOf map) {
    std::vector<cuda::ExpertMap> maps;
    for (size_t part = 0; part < LinearOf(experts[0], map).parts().size(); ++part) {
      maps.push_back(MapOf(experts, map, part, Upload("MixExperts", absl::MakeConstSpan(RowsOf(experts, map, part)))));
    }
    return maps;
  };
  const std::vector<cuda::ExpertMap> in = upload(&ExpertWeights::in), out_of = upload(&ExpertWeights::out);
  if (!launches() || x.rows == 0) return;
  const auto converted = Converted("MixExperts", x);
  if (!converted.ok()) return;

  const int64_t pairs = x.rows * per_token, inner = experts[0].out->k();
  int64_t used = pairs * static_cast<int64_t>(sizeof(cuda::ExpertRoute));
  const auto reserve = [&](int64_t cols) {
    const int64_t begin = (used + kScratchAlignment - 1) / kScratchAlignment * kScratchAlignment;
    used = begin + pairs * kernels::RowBytes(type_, cols);
    return begin;
  };
  const int64_t mlp_at = reserve(experts[0].in->n()), activated_at = reserve(inner), y_at = reserve(out.cols);
  uint8_t* scratch = static_cast<uint8_t*>(Reserve("MixExperts", used, &mixed_));
  if (scratch == nullptr) return;
  auto* routes = reinterpret_cast<cuda::ExpertRoute*>(scratch);
  const auto matrix = [&](int64_t at, int64_t cols) { return MatrixView{scratch + at, pairs, cols, cols, type_}; };
  const MatrixView mlp = matrix(mlp_at, experts[0].in->n()), activated = matrix(activated_at, inner);
  const MatrixView y = matrix(y_at, out.cols);
  const auto product = [&](const std::vector<cuda::ExpertMap>& maps, int64_t pairs_per_row, MatrixView from,
                           MatrixView to) {
    int64_t first = 0;
    for (const cuda::ExpertMap& map : maps) {
      Done("MixExperts", cuda::ExpertProduct(map, routes, pairs_per_row, DeviceMatrix(from),
                                             DeviceMatrix(to.Columns(first, map.rows)), stream_));
      first += map.rows;
    }
  };
  Done("MixExperts", cuda::Route(DeviceMatrix(logits), per_token, routes, stream_));
  product(in, per_token, *converted, mlp);
  Done("MixExperts", cuda::Activate(kind, gated, DeviceMatrix(mlp), DeviceMatrix(activated), stream_));
  product(out_of, 1, activated, y);
  Done("MixExperts", cuda::SumPairs(DeviceMatrix(y), routes, per_token, DeviceMatrix(out), stream_));
}

}  // namespace lastro::engine
