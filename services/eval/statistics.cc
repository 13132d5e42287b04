#include "services/eval/statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "base/check.h"

namespace lastro::services::eval {
namespace {

// Means of resamples of `values`. The generator's raw output is scaled by multiplication (Lemire 2019; the bias is
// below 2^-32 for any number of questions here): the standard distributions differ from library to library.
std::vector<double> ResampledMeans(absl::Span<const double> values, uint64_t seed, int samples) {
  std::mt19937_64 random(seed);
  std::vector<double> means(static_cast<size_t>(samples));
  const uint64_t count = values.size();
  for (double& mean : means) {
    double sum = 0;
    for (uint64_t i = 0; i < count; ++i) sum += values[((random() >> 32) * count) >> 32];
    mean = sum / static_cast<double>(count);
  }
  return means;
}

Interval MiddleOf(const std::vector<double>& means) { return {Quantile(means, 0.025), Quantile(means, 0.975)}; }

}  // namespace

double Mean(absl::Span<const double> values) {
  if (values.empty()) return 0;
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double Quantile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const double at = share * static_cast<double>(values.size() - 1);
  const size_t below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (at - static_cast<double>(below)) * (values[above] - values[below]);
}

Interval MeanInterval(absl::Span<const double> values, uint64_t seed, int samples) {
  if (values.empty()) return {};
  return MiddleOf(ResampledMeans(values, seed, samples));
}

PairedComparison ComparePaired(absl::Span<const double> a, absl::Span<const double> b, uint64_t seed, int samples) {
  LASTRO_CHECK(a.size() == b.size() && !a.empty(), "pairs of values");
  std::vector<double> differences(a.size());
  for (size_t i = 0; i < a.size(); ++i) differences[i] = b[i] - a[i];
  PairedComparison result;
  result.difference = Mean(differences);
  const std::vector<double> means = ResampledMeans(differences, seed, samples);
  // A resample of the shifted differences has the mean of the resample less the difference.
  constexpr double kRounding = 1e-12;
  const auto as_large = std::count_if(means.begin(), means.end(), [&](double mean) {
    return std::abs(mean - result.difference) >= std::abs(result.difference) - kRounding;
  });
  result.p = static_cast<double>(as_large + 1) / static_cast<double>(samples + 1);
  result.interval = MiddleOf(means);
  return result;
}

}  // namespace lastro::services::eval
