// CudaBackend::MixExperts. Of few rows each pair of a row and one of its experts is a product of its own with the rows
// of W as they are stored; of many the pairs are gathered by expert first, all of it on the device.
#include <algorithm>
#include <limits>

#include "engine/cuda/cuda_backend.h"
#include "engine/cuda/cuda_matrix.h"
#include "kernels/cuda/expert_groups.h"
#include "kernels/cuda/experts.h"
#include "kernels/cuda/row_kernels.h"

namespace lastro::engine {
namespace {

namespace cuda = kernels::cuda;

// Of what the experts of one piece of the rows compute.
constexpr int64_t kPieceBytes = int64_t{256} << 20;

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

// Parts of one allocation, whose size is known once all have been added.
class ScratchLayout {
 public:
  int64_t Add(int64_t bytes) {
    const int64_t at = bytes_;
    bytes_ = DeviceAligned(at + bytes);
    return at;
  }
  int64_t bytes() const { return bytes_; }

 private:
  int64_t bytes_ = 0;
};

}  // namespace

struct CudaBackend::ExpertMaps {
  std::vector<cuda::ExpertMap> in, out;  // their parts
  int64_t mlp_columns = 0, inner_columns = 0;
  int64_t experts = 0;
};

int64_t CudaBackend::most_mixed_rows(absl::Span<const ExpertWeights> experts) const {
  for (const ExpertWeights& expert : experts) {
    for (const ExpertMapOf map : {&ExpertWeights::in, &ExpertWeights::out}) {
      if (!AreAlike(LinearOf(expert, map), LinearOf(experts[0], map))) return 0;
    }
  }
  return deterministic_ || MayGroup(experts) ? std::numeric_limits<int64_t>::max() : cuda::kMaxFewRows;
}

bool CudaBackend::MayGroup(absl::Span<const ExpertWeights> experts) const {
  const auto fits = [](int64_t columns) { return columns % cuda::kGroupedMultiple == 0; };
  return !deterministic_ && type_ != DataType::kF32 && fits(experts[0].in->k()) && fits(experts[0].out->k()) &&
         static_cast<int64_t>(experts.size()) <= cuda::kMostGroupedExperts;
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
  const ExpertMaps maps = {upload(&ExpertWeights::in), upload(&ExpertWeights::out), experts[0].in->n(),
                           experts[0].out->k(), static_cast<int64_t>(experts.size())};
  if (!launches() || x.rows == 0) return;
  const auto converted = Converted("MixExperts", x);
  if (!converted.ok()) return;
  x = *converted;
  const bool group = x.rows > cuda::kMaxFewRows && MayGroup(experts) && cuda::CanGroup(DeviceMatrix(x));
  const int64_t pair_bytes = kernels::RowBytes(type_, maps.mlp_columns + maps.inner_columns + out.cols);
  const int64_t most_pairs = std::min(kPieceBytes / pair_bytes, cuda::kMostGroupedPairs);
  const int64_t piece = std::max<int64_t>(most_pairs / per_token, cuda::kMaxFewRows);
  for (int64_t row = 0; row < x.rows && ok(); row += piece) {
    const int64_t count = std::min(piece, x.rows - row);
    MixSome(logits.Rows(row, count), per_token, maps, kind, gated, group, x.Rows(row, count), out.Rows(row, count));
  }
}

void CudaBackend::MixSome(MatrixView logits, int64_t per_token, const ExpertMaps& maps, ActivationKind kind, bool gated,
                          bool group, MatrixView x, MatrixView out) {
  const int64_t pairs = x.rows * per_token, tiles = group ? cuda::MostTiles(pairs, maps.experts) : 0;
  ScratchLayout layout;
  const auto add = [&](int64_t columns) { return layout.Add(pairs * kernels::RowBytes(type_, columns)); };
  const int64_t mlp_at = add(maps.mlp_columns), activated_at = add(maps.inner_columns), y_at = add(out.cols);
  const int64_t routes_at = layout.Add(pairs * static_cast<int64_t>(sizeof(cuda::ExpertRoute)));
  const int64_t order_at = layout.Add(group ? pairs * static_cast<int64_t>(sizeof(int32_t)) : 0);
  const int64_t tiles_at = layout.Add(tiles * static_cast<int64_t>(sizeof(cuda::ExpertTile)));
  uint8_t* scratch = static_cast<uint8_t*>(Reserve("MixExperts", layout.bytes(), &mixed_));
  if (scratch == nullptr) return;
  const auto matrix = [&](int64_t at, int64_t cols) { return MatrixView{scratch + at, pairs, cols, cols, type_}; };
  const MatrixView mlp = matrix(mlp_at, maps.mlp_columns), activated = matrix(activated_at, maps.inner_columns);
  const MatrixView y = matrix(y_at, out.cols);
  auto* routes = reinterpret_cast<cuda::ExpertRoute*>(scratch + routes_at);
  const cuda::PairGroups groups = {reinterpret_cast<int32_t*>(scratch + order_at),
                                   reinterpret_cast<cuda::ExpertTile*>(scratch + tiles_at), tiles};

  const auto product = [&](const std::vector<cuda::ExpertMap>& parts, int64_t pairs_per_row, MatrixView from,
                           MatrixView to) {
    int64_t first = 0;
    for (const cuda::ExpertMap& part : parts) {
      const cuda::Matrix columns = DeviceMatrix(to.Columns(first, part.rows));
      Done("MixExperts", group
                             ? cuda::GroupedProduct(part, groups, pairs_per_row, DeviceMatrix(from), columns, stream_)
                             : cuda::ExpertProduct(part, routes, pairs_per_row, DeviceMatrix(from), columns, stream_));
      first += part.rows;
    }
  };
  Done("MixExperts", cuda::Route(DeviceMatrix(logits), per_token, routes, stream_));
  if (group) Done("MixExperts", cuda::GroupPairs(routes, pairs, maps.experts, groups, stream_));
  product(maps.in, per_token, x, mlp);
  Done("MixExperts", cuda::Activate(kind, gated, DeviceMatrix(mlp), DeviceMatrix(activated), stream_));
  product(maps.out, 1, activated, y);
  Done("MixExperts", cuda::SumPairs(DeviceMatrix(y), routes, per_token, DeviceMatrix(out), stream_));
}

}  // namespace lastro::engine
