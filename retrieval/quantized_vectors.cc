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
    wide_[i % 2 * (wide_.size() / 2) + i / 2] = static_cast<int16_t>(wide);
    high_[i] = static_cast<int8_t>((wide + 64) >> 7);
    low_[i] = static_cast<int8_t>(wide - 128 * high_[i]);
    sum_ += wide;
    const double rest = static_cast<double>(values_[i]) - static_cast<double>(scale_) * wide;
    square += rest * rest;
  }
  // What is left over of the query meets rows of length two at most; sums of n products in floats are off by n epsilon
  // at most (Higham, 2002, section 3.1), and the product of the scales by a few.
  const double roundings = static_cast<double>(values_.size() + 8) * std::numeric_limits<float>::epsilon();
  error_ = RoundedUp(2 * std::sqrt(square) + roundings);
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
