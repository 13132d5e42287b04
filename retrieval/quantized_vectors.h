// QuantizedVectors: unit vectors in memory at one byte a number; the vectors themselves stay in SQLite. Writers are
// alone; readers of rows that are there may be many.
//
// A vector x is kept as codes c = round(x / s) in [-127, 127] with the scale s = max |x| / 127, and the length of what
// that leaves over, error = |x - s c|. For a query q the product q . (s c) differs from q . x by at most |q| error
// (Cauchy-Schwarz). This bound is what makes exact search over codes possible: see dense_search.h. With 384 numbers it
// is about 0.007; the difference itself is mostly below a tenth of that.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "retrieval/dot_product.h"
#include "retrieval/huge_array.h"
#include "retrieval/index_bytes.h"

namespace lastro::retrieval {

class QuantizedVectors {
 public:
  explicit QuantizedVectors(int dimension);

  int dimension() const { return dimension_; }
  size_t size() const { return scales_.size(); }
  CodeRows rows() const { return {codes_.data(), scales_.data(), stride_}; }
  const uint8_t* codes(size_t row) const { return codes_.data() + row * stride_; }
  float scale(size_t row) const { return scales_[row]; }
  float error(size_t row) const { return errors_[row]; }
  const float* errors() const { return errors_.data(); }  // [size]
  // Of one row, counted with what belongs to it.
  static size_t BytesPerRow(int dimension);

  void Reserve(size_t rows);
  void Append(const float* vector);  // [dimension], of length one or less
  // Rows [begin, end) of `other`. REQUIRES: the same dimension.
  void Append(const QuantizedVectors& other, size_t begin, size_t end);
  void Decode(size_t row, float* vector) const;  // vector: [dimension]

  void Write(IndexSink sink) const;
  // INVALID_ARGUMENT unless all numbers are what they can be.
  static absl::Status Read(IndexReader* reader, size_t rows, QuantizedVectors* out);

 private:
  int dimension_;
  size_t stride_;             // codes of a row: the dimension rounded up; the codes beyond it are zero
  HugeArray<uint8_t> codes_;  // [size, stride]
  HugeArray<float> scales_, errors_;
};

// A query against such rows. Not thread-safe while made, then immutable.
class QueryVector {
 public:
  explicit QueryVector(absl::Span<const float> unit_vector);

  const float* values() const { return values_.data(); }
  size_t dimension() const { return values_.size(); }
  // In 15 bits a number.
  CodeOperand operand() const;
  // How far the score of a row with `row_error` may be from its DotProduct with the query, roundings included.
  float ErrorOf(float row_error) const { return row_error * kNormSlack + error_; }
  float error() const { return error_; }
  // In seven bits or so a number. Scores by these with CoarseErrorOf added are never below those of above with ErrorOf.
  CoarseOperand coarse_operand() const { return {coarse_.data(), coarse_sum_, coarse_scale_}; }
  float CoarseErrorOf(float row_error) const { return row_error * (kNormSlack + coarse_rest_) + coarse_error_; }
  float coarse_error() const { return coarse_error_; }

  static constexpr float kNormSlack = 1.00002f;  // UnitVector takes lengths up to 1 + 1e-5 as one

 private:
  void MakeCoarse();
  size_t WideAt(size_t i) const { return i % 2 * (wide_.size() / 2) + i / 2; }

  std::vector<float> values_;
  std::vector<int16_t> wide_;
  std::vector<int8_t> high_, low_;
  int64_t sum_ = 0;
  float scale_ = 0;
  float error_ = 0;
  std::vector<int8_t> coarse_;
  int64_t coarse_sum_ = 0;
  float coarse_scale_ = 0;
  float coarse_rest_ = 0;   // how far these numbers are from the wide ones, as the length of a vector
  float coarse_error_ = 0;  // of a row without an error
};

// A row as the operand against others; reused for one row after the other. Not thread-safe.
class RowOperand {
 public:
  explicit RowOperand(const QuantizedVectors& vectors);
  CodeOperand Of(size_t row);

 private:
  const QuantizedVectors& vectors_;
  std::vector<int16_t> wide_;
  std::vector<int8_t> high_;
};

}  // namespace lastro::retrieval
