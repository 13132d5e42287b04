#include "services/eval/abstention_metrics.h"

#include <algorithm>

namespace lastro::services::eval {
namespace {

double Share(size_t part, size_t whole, double of_none) {
  return whole == 0 ? of_none : static_cast<double>(part) / static_cast<double>(whole);
}

// Adds up attempts by falling confidence.
class Counts {
 public:
  explicit Counts(absl::Span<const Attempt> attempts) : all_(attempts.size()) {
    for (const Attempt& attempt : attempts) unanswerable_ += !attempt.answerable;
  }
  void Answer(const Attempt& attempt) {
    ++answered_;
    wrong_ += !attempt.correct;
    answered_unanswerable_ += !attempt.answerable;
  }
  OperatingPoint At(double threshold) const {
    return {threshold, Share(answered_, all_, 0), Share(wrong_, answered_, 0),
            1 - Share(answered_unanswerable_, unanswerable_, 0)};
  }

 private:
  size_t all_ = 0;
  size_t unanswerable_ = 0;
  size_t answered_ = 0;
  size_t wrong_ = 0;
  size_t answered_unanswerable_ = 0;
};

std::vector<Attempt> AnsweredByConfidence(absl::Span<const Attempt> attempts) {
  std::vector<Attempt> sorted;
  std::copy_if(attempts.begin(), attempts.end(), std::back_inserter(sorted),
               [](const Attempt& attempt) { return attempt.confidence >= 0; });
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Attempt& a, const Attempt& b) { return a.confidence > b.confidence; });
  return sorted;
}

}  // namespace

std::vector<OperatingPoint> RiskCoverageCurve(absl::Span<const Attempt> attempts) {
  const std::vector<Attempt> sorted = AnsweredByConfidence(attempts);
  Counts counts(attempts);
  std::vector<OperatingPoint> curve;
  for (size_t i = 0; i < sorted.size(); ++i) {
    counts.Answer(sorted[i]);
    const bool last_of_ties = i + 1 == sorted.size() || sorted[i + 1].confidence < sorted[i].confidence;
    if (last_of_ties) curve.push_back(counts.At(sorted[i].confidence));
  }
  return curve;
}

double AreaUnderRiskCoverage(absl::Span<const Attempt> attempts) {
  double area = 0;
  double before = 0;
  for (const OperatingPoint& point : RiskCoverageCurve(attempts)) {
    area += (point.coverage - before) * point.risk;
    before = point.coverage;
  }
  return before > 0 ? area / before : 0;
}

OperatingPoint PointAtPrecision(absl::Span<const Attempt> attempts, double precision) {
  OperatingPoint best{2, 0, 0, 1};
  for (const OperatingPoint& point : RiskCoverageCurve(attempts)) {
    if (point.risk <= 1 - precision + 1e-12) best = point;
  }
  return best;
}

OperatingPoint PointAtThreshold(absl::Span<const Attempt> attempts, double threshold) {
  Counts counts(attempts);
  for (const Attempt& attempt : attempts) {
    if (attempt.confidence >= std::max(0.0, threshold)) counts.Answer(attempt);
  }
  return counts.At(threshold);
}

}  // namespace lastro::services::eval
