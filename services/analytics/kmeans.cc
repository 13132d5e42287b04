#include "services/analytics/kmeans.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"

namespace lastro::services {
namespace {

constexpr int kMaxIterations = 60;
constexpr int64_t kGrainRows = 256;

// Uniform in [0, 1); std::uniform_real_distribution differs between standard libraries.
double UniformDouble(std::mt19937_64& random) { return static_cast<double>(random() >> 11) * 0x1.0p-53; }

int UniformInt(std::mt19937_64& random, int bound) {
  return std::min(static_cast<int>(UniformDouble(random) * bound), bound - 1);
}

void ForRows(ThreadPool* pool, int64_t count, const std::function<void(int64_t, int64_t)>& body) {
  if (pool != nullptr) {
    pool->ParallelFor(count, kGrainRows, body);
  } else {
    body(0, count);
  }
}

bool NormalizeRow(float* row, int n) {
  double squares = 0;
  for (int j = 0; j < n; ++j) squares += static_cast<double>(row[j]) * row[j];
  if (!std::isfinite(squares)) return false;
  if (squares == 0) return true;
  double inverse = 1.0 / std::sqrt(squares);
  for (int j = 0; j < n; ++j) row[j] = static_cast<float>(row[j] * inverse);
  return true;
}

// Greedy k-means++: each new centre is the best of a few rows drawn with probability proportional to their squared
// distance (2 - 2 cos) from the nearest centre so far.
class Seeder {
 public:
  Seeder(const UnitRows& rows, int k, uint64_t seed, ThreadPool* pool)
      : rows_(rows), k_(k), trials_(2 + static_cast<int>(std::log(k))), random_(seed), pool_(pool) {}

  absl::StatusOr<std::vector<int>> Run(const CallContext& context) {
    nearest_.assign(rows_.count, 2.0f);
    taken_.assign(rows_.count, false);
    Take(UniformInt(random_, rows_.count));
    while (static_cast<int>(chosen_.size()) < k_) {
      LASTRO_RETURN_IF_ERROR(context.Check());
      Take(BestOfTrials());
    }
    return chosen_;
  }

 private:
  // nearest_ as it would be with row `candidate` as one more centre.
  std::vector<float> With(int candidate) const {
    std::vector<float> result(rows_.count);
    const float* centre = rows_.row(candidate);
    ForRows(pool_, rows_.count, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        float distance = 2.0f - 2.0f * Dot(rows_.row(i), centre, rows_.dimension);
        result[i] = std::clamp(distance, 0.0f, nearest_[i]);
      }
    });
    return result;
  }

  void Take(int candidate) {
    nearest_ = With(candidate);
    nearest_[candidate] = 0;
    taken_[candidate] = true;
    chosen_.push_back(candidate);
  }

  // A row drawn by its weight in nearest_; when all rest is zero (identical rows), the first row not taken.
  int Draw(double total) {
    double target = UniformDouble(random_) * total;
    int last = -1;
    for (int i = 0; i < rows_.count; ++i) {
      if (taken_[i] || nearest_[i] <= 0) continue;
      last = i;
      target -= nearest_[i];
      if (target < 0) return i;
    }
    if (last >= 0) return last;
    return static_cast<int>(std::find(taken_.begin(), taken_.end(), false) - taken_.begin());
  }

  int BestOfTrials() {
    double total = std::accumulate(nearest_.begin(), nearest_.end(), 0.0);
    int best = -1;
    double best_cost = 0;
    for (int trial = 0; trial < trials_; ++trial) {
      int candidate = Draw(total);
      std::vector<float> nearest = With(candidate);
      double cost = std::accumulate(nearest.begin(), nearest.end(), 0.0);
      if (best < 0 || cost < best_cost) {
        best = candidate;
        best_cost = cost;
      }
    }
    return best;
  }

  const UnitRows& rows_;
  const int k_;
  const int trials_;
  std::mt19937_64 random_;
  ThreadPool* const pool_;
  std::vector<float> nearest_;  // [count] squared distance to the nearest chosen row
  std::vector<bool> taken_;
  std::vector<int> chosen_;
};

// Lloyd's iterations.
class Refiner {
 public:
  Refiner(const UnitRows& rows, absl::Span<const int> seeds, ThreadPool* pool)
      : rows_(rows), k_(static_cast<int>(seeds.size())), pool_(pool) {
    result_.assignments.assign(rows.count, -1);
    result_.similarity.assign(rows.count, 0);
    for (int seed : seeds) {
      result_.centres.insert(result_.centres.end(), rows.row(seed), rows.row(seed) + rows.dimension);
    }
  }

  absl::StatusOr<KMeansResult> Run(const CallContext& context) {
    for (int iteration = 0; iteration < kMaxIterations; ++iteration) {
      LASTRO_RETURN_IF_ERROR(context.Check());
      std::vector<int32_t> before = result_.assignments;
      Assign();
      FillEmpty();
      if (before == result_.assignments) break;
      MoveCentres();
    }
    Measure();
    return std::move(result_);
  }

 private:
  float* centre(int c) { return result_.centres.data() + static_cast<size_t>(c) * rows_.dimension; }

  void Assign() {
    ForRows(pool_, rows_.count, [this](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) AssignRow(i);
    });
  }

  void AssignRow(int64_t i) {
    int best = 0;
    float best_similarity = Dot(rows_.row(i), centre(0), rows_.dimension);
    for (int c = 1; c < k_; ++c) {
      float similarity = Dot(rows_.row(i), centre(c), rows_.dimension);
      if (similarity > best_similarity) {
        best = c;
        best_similarity = similarity;
      }
    }
    result_.assignments[i] = best;
    result_.similarity[i] = best_similarity;
  }

  // Gives each empty cluster the row that is farthest from its own centre, among clusters with rows to spare.
  void FillEmpty() {
    std::vector<int> sizes(k_, 0);
    for (int32_t c : result_.assignments) ++sizes[c];
    for (int c = 0; c < k_; ++c) {
      if (sizes[c] > 0) continue;
      int row = FarthestSpareRow(sizes);
      --sizes[result_.assignments[row]];
      ++sizes[c];
      result_.assignments[row] = c;
      result_.similarity[row] = 1;
    }
  }

  int FarthestSpareRow(absl::Span<const int> sizes) const {
    int farthest = -1;
    for (int i = 0; i < rows_.count; ++i) {
      if (sizes[result_.assignments[i]] < 2) continue;
      if (farthest < 0 || result_.similarity[i] < result_.similarity[farthest]) farthest = i;
    }
    LASTRO_CHECK(farthest >= 0, "k exceeds the number of rows");
    return farthest;
  }

  void MoveCentres() {
    std::vector<double> sums(static_cast<size_t>(k_) * rows_.dimension, 0.0);
    for (int i = 0; i < rows_.count; ++i) {
      double* sum = sums.data() + static_cast<size_t>(result_.assignments[i]) * rows_.dimension;
      const float* row = rows_.row(i);
      for (int j = 0; j < rows_.dimension; ++j) sum[j] += row[j];
    }
    for (int c = 0; c < k_; ++c) {
      for (int j = 0; j < rows_.dimension; ++j) {
        centre(c)[j] = static_cast<float>(sums[static_cast<size_t>(c) * rows_.dimension + j]);
      }
      NormalizeRow(centre(c), rows_.dimension);
    }
  }

  void Measure() {
    result_.objective = 0;
    for (int i = 0; i < rows_.count; ++i) {
      result_.similarity[i] = Dot(rows_.row(i), centre(result_.assignments[i]), rows_.dimension);
      result_.objective += result_.similarity[i];
    }
  }

  const UnitRows& rows_;
  const int k_;
  ThreadPool* const pool_;
  KMeansResult result_;
};

}  // namespace

float Dot(const float* a, const float* b, int n) {
  constexpr int kLanes = 16;
  float lanes[kLanes] = {};
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] += a[i + lane] * b[i + lane];
  }
  float sum = 0;
  for (float lane : lanes) sum += lane;
  for (; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

absl::StatusOr<std::vector<float>> NormalizeRows(absl::Span<const float> values, int dimension) {
  LASTRO_CHECK(dimension > 0 && values.size() % dimension == 0);
  std::vector<float> rows(values.begin(), values.end());
  for (size_t i = 0; i * dimension < rows.size(); ++i) {
    if (!NormalizeRow(rows.data() + i * dimension, dimension)) {
      return absl::InvalidArgumentError(absl::StrCat("the vector of item ", i, " is not finite"));
    }
  }
  return rows;
}

absl::StatusOr<KMeansResult> SphericalKMeans(const UnitRows& rows, int k, uint64_t seed, const CallContext& context,
                                             ThreadPool* pool) {
  LASTRO_CHECK(k >= 1 && k <= rows.count);
  LASTRO_ASSIGN_OR_RETURN(std::vector<int> seeds, Seeder(rows, k, seed, pool).Run(context));
  return Refiner(rows, seeds, pool).Run(context);
}

std::vector<int> SampleIndexes(int total, int count, uint64_t seed) {
  std::vector<int> indexes(total);
  std::iota(indexes.begin(), indexes.end(), 0);
  if (count >= total) return indexes;
  std::mt19937_64 random(seed);
  for (int i = 0; i < count; ++i) std::swap(indexes[i], indexes[i + UniformInt(random, total - i)]);
  indexes.resize(count);
  std::sort(indexes.begin(), indexes.end());
  return indexes;
}

}  // namespace lastro::services
