#include "retrieval/quantized_vectors.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"

namespace lastro::retrieval {
namespace {

constexpr int kZeroCode = 128;

size_t StrideOf(int dimension) {
  return (static_cast<size_t>(dimension) + kCodeAlignment - 1) / kCodeAlignment * kCodeAlignment;
}

float LargestMagnitude(absl::Span<const float> vector) {
  float largest = 0;
  for (float x : vector) largest = std::max(largest, std::abs(x));
  return largest;
}

// The most that a lane sums up (see CoarseOperand), of either sign.
float LargestLaneSum(absl::Span<const float> vector) {
  float largest = 0;
  for (size_t group = 0; group < vector.size(); group += kCoarseGroup) {
    float positive[kCoarseVector / 2] = {}, negative[kCoarseVector / 2] = {};
    for (size_t i = group; i < std::min(group + kCoarseGroup, vector.size()); ++i) {
      float* sums = vector[i] > 0 ? positive : negative;
      sums[i % kCoarseVector / 2] += std::abs(vector[i]);
    }
    largest = std::max({largest, LargestMagnitude(positive), LargestMagnitude(negative)});
  }
  return largest;
}

// Sums of n products in floats are off by n epsilon at most (Higham, 2002, section 3.1), and the product of the scales
// by a few.
double Roundings(size_t n) { return static_cast<double>(n + 8) * std::numeric_limits<float>::epsilon(); }

// The next float above, for bounds that were computed in doubles.
float RoundedUp(double value) { return std::nextafter(static_cast<float>(value), std::numeric_limits<float>::max()); }

}  // namespace

QuantizedVectors::QuantizedVectors(int dimension) : dimension_(dimension), stride_(StrideOf(dimension)) {}

size_t QuantizedVectors::BytesPerRow(int dimension) { return StrideOf(dimension) + 2 * sizeof(float); }

void QuantizedVectors::Reserve(size_t rows) {
  codes_.Reserve(rows * stride_);
  scales_.Reserve(rows);
  errors_.Reserve(rows);
}

void QuantizedVectors::Append(const float* vector) {
  const size_t n = static_cast<size_t>(dimension_);
  const float largest = LargestMagnitude({vector, n});
  const float scale = largest / 127;
  const float factor = scale > 0 ? 1 / scale : 0;
  codes_.Resize(codes_.size() + stride_);
  uint8_t* codes = codes_.data() + codes_.size() - stride_;
  double square = 0;
  for (size_t i = 0; i < n; ++i) {
    const int code = std::clamp(static_cast<int>(std::lrintf(vector[i] * factor)), -127, 127);
    codes[i] = static_cast<uint8_t>(code + kZeroCode);
    const double rest = static_cast<double>(vector[i]) - static_cast<double>(scale) * code;
    square += rest * rest;
  }
  std::fill(codes + n, codes + stride_, static_cast<uint8_t>(kZeroCode));
  scales_.Append(scale);
  errors_.Append(RoundedUp(std::sqrt(square)));
}

void QuantizedVectors::Append(const QuantizedVectors& other, size_t begin, size_t end) {
  LASTRO_CHECK(other.dimension_ == dimension_);
  codes_.Append(other.codes(begin), (end - begin) * stride_);
  scales_.Append(other.scales_.data() + begin, end - begin);
  errors_.Append(other.errors_.data() + begin, end - begin);
}

void QuantizedVectors::Decode(size_t row, float* vector) const {
  for (size_t i = 0; i < static_cast<size_t>(dimension_); ++i) {
    vector[i] = scales_[row] * static_cast<float>(codes(row)[i] - kZeroCode);
  }
}

void QuantizedVectors::Write(IndexSink sink) const {
  WriteNumbers(sink, codes_.data(), codes_.size());
  WriteNumbers(sink, scales_.data(), scales_.size());
  WriteNumbers(sink, errors_.data(), errors_.size());
}

absl::Status QuantizedVectors::Read(IndexReader* reader, size_t rows, QuantizedVectors* out) {
  if (rows > std::numeric_limits<size_t>::max() / out->stride_) {
    return absl::InvalidArgumentError("vector index: too many rows");
  }
  for (absl::Status status : {reader->Read(rows * out->stride_, &out->codes_), reader->Read(rows, &out->scales_),
                              reader->Read(rows, &out->errors_)}) {
    if (!status.ok()) return status;
  }
  // A vector of length one has no number above one, and what is left over is no longer than the vector.
  auto bad = [](float x, float limit) { return !(x >= 0 && x <= limit); };
  for (size_t row = 0; row < rows; ++row) {
    if (bad(out->scales_[row], 1.001f / 127) || bad(out->errors_[row], 1.001f)) {
      return absl::InvalidArgumentError("vector index: a scale or an error is out of range");
    }
  }
  return absl::OkStatus();
}

QueryVector::QueryVector(absl::Span<const float> unit_vector)
    : values_(unit_vector.begin(), unit_vector.end()),
      wide_(StrideOf(static_cast<int>(unit_vector.size()))),
      high_(wide_.size()),
      low_(wide_.size()) {
  scale_ = LargestMagnitude(unit_vector) / kMaxWide;
  const float factor = scale_ > 0 ? 1 / scale_ : 0;
  double square = 0;
  for (size_t i = 0; i < values_.size(); ++i) {
    const int wide = std::clamp(static_cast<int>(std::lrintf(values_[i] * factor)), -kMaxWide, kMaxWide);
    wide_[WideAt(i)] = static_cast<int16_t>(wide);
    high_[i] = static_cast<int8_t>((wide + 64) >> 7);
    low_[i] = static_cast<int8_t>(wide - 128 * high_[i]);
    sum_ += wide;
    const double rest = static_cast<double>(values_[i]) - static_cast<double>(scale_) * wide;
    square += rest * rest;
  }
  // What is left over of the query meets rows of length two at most.
  error_ = RoundedUp(2 * std::sqrt(square) + Roundings(values_.size()));
  MakeCoarse();
}

void QueryVector::MakeCoarse() {
  constexpr int kNumbers = kCoarseGroup / kCoarseVector * 2;  // that a lane sums up
  coarse_scale_ = std::max(LargestMagnitude(values_) / 127,
                           LargestLaneSum(values_) / (kMaxCoarseSum - 0.5f * kNumbers));  // roundings are half at most
  const float factor = coarse_scale_ > 0 ? 1 / coarse_scale_ : 0;
  coarse_.resize(wide_.size());
  double square = 0;
  for (size_t i = 0; i < values_.size(); ++i) {
    coarse_[i] = static_cast<int8_t>(std::clamp(static_cast<int>(std::lrintf(values_[i] * factor)), -127, 127));
    coarse_sum_ += coarse_[i];
    const double rest =
        static_cast<double>(scale_) * wide_[WideAt(i)] - static_cast<double>(coarse_scale_) * coarse_[i];
    square += rest * rest;
  }
  // The codes of a row are as long as the row and its error together at most.
  coarse_rest_ = RoundedUp(std::sqrt(square));
  coarse_error_ = RoundedUp(double{coarse_rest_} * kNormSlack + error_ + Roundings(values_.size()));
}

CodeOperand QueryVector::operand() const { return {wide_.data(), high_.data(), low_.data(), sum_, scale_}; }

RowOperand::RowOperand(const QuantizedVectors& vectors)
    : vectors_(vectors), wide_(StrideOf(vectors.dimension())), high_(wide_.size()) {}

CodeOperand RowOperand::Of(size_t row) {
  const uint8_t* codes = vectors_.codes(row);
  int32_t sum = 0;
  for (size_t i = 0; i < high_.size(); ++i) {
    const int code = codes[i] - kZeroCode;
    high_[i] = static_cast<int8_t>(code);
    sum += code;
  }
  const size_t half = wide_.size() / 2;
  for (size_t i = 0; i < half; ++i) {
    wide_[i] = static_cast<int16_t>(128 * high_[2 * i]);
    wide_[half + i] = static_cast<int16_t>(128 * high_[2 * i + 1]);
  }
  return {wide_.data(), high_.data(), nullptr, int64_t{128} * sum, vectors_.scale(row) / 128};
}

}  // namespace lastro::retrieval
