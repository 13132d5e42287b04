// Quantiles, and what the bootstrap (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993) says about means
// and their differences. Deterministic for a seed on every machine. Pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace lastro::services::eval {

double Mean(absl::Span<const double> values);  // 0 of none

// Between the two nearest order statistics, linearly (type 7 of Hyndman and Fan 1996); 0 of none. `share` in [0, 1].
double Quantile(std::vector<double> values, double share);

struct Interval {
  double low = 0;
  double high = 0;
};

inline constexpr int kIntervalSamples = 1'000;
inline constexpr int kComparisonSamples = 10'000;

// 95 % by the percentile method, questions drawn with replacement.
Interval MeanInterval(absl::Span<const double> values, uint64_t seed, int samples = kIntervalSamples);

struct PairedComparison {
  double difference = 0;  // mean of b - a
  Interval interval;      // 95 %, of the difference
  // Two-sided: how often a difference at least this large comes about by drawing when there is none (the differences
  // are shifted to a mean of 0); at least 1 / (samples + 1).
  double p = 1;
};

// `a` and `b`: the same questions in the same order, by two systems. REQUIRES: the same number, at least one.
PairedComparison ComparePaired(absl::Span<const double> a, absl::Span<const double> b, uint64_t seed,
                               int samples = kComparisonSamples);

}  // namespace lastro::services::eval
