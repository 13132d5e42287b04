// Selective answering measured: what is gained by leaving questions unanswered whose evidence is weak. Pure functions,
// thread-safe.
#pragma once

#include <vector>

#include "absl/types/span.h"

namespace lastro::services::eval {

// One question: how sure the program was of its answer, and whether it was right. A question without any answer has the
// confidence -1 and is never answered.
struct Attempt {
  double confidence = 0;
  bool correct = false;  // never for an unanswerable question
  bool answerable = true;
};

// What a threshold gives: questions with at least that confidence are answered.
struct OperatingPoint {
  double threshold = 0;
  double coverage = 0;              // share of all questions that are answered
  double risk = 0;                  // share of those that are answered wrongly; 0 when none is
  double refused_unanswerable = 1;  // share of the unanswerable that are refused; 1 when there is none
};

// The points at every distinct confidence from 0 on, by falling threshold and so by growing coverage.
std::vector<OperatingPoint> RiskCoverageCurve(absl::Span<const Attempt> attempts);

// The mean, over the questions that are answered at all, of the risk at the question's own confidence: AURC of Geifman
// and El-Yaniv, "Selective Classification for Deep Neural Networks", 2017. 0 for no question.
double AreaUnderRiskCoverage(absl::Span<const Attempt> attempts);

// The point of the widest coverage whose risk is at most 1 - precision; coverage 0 and a threshold of 2, above any
// confidence, when there is none.
OperatingPoint PointAtPrecision(absl::Span<const Attempt> attempts, double precision);

OperatingPoint PointAtThreshold(absl::Span<const Attempt> attempts, double threshold);

}  // namespace lastro::services::eval
