// ProductQuantizer: a vector as one byte for each 8 numbers, the nearest of 256 parts that were learnt for these numbers
// (Jégou, Douze and Schmid, 2011, "Product quantization for nearest neighbor search"). Immutable once made; thread-safe.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "retrieval/dot_product.h"
#include "retrieval/huge_array.h"
#include "retrieval/index_bytes.h"

namespace lastro::retrieval {

class ProductQuantizer {
 public:
  static constexpr size_t kNumbers = kPartNumbers;  // of a part; the last part is filled up with zeros
  static constexpr size_t kParts = kPartColumns;

  // By k-means over `count` vectors, vector(i, out) each: out is [padded_dimension()], zeros beyond the dimension.
  static ProductQuantizer Train(int dimension, size_t count, absl::FunctionRef<void(size_t, float*)> vector,
                                int threads);

  size_t code_bytes() const { return code_bytes_; }
  size_t padded_dimension() const { return code_bytes_ * kNumbers; }
  size_t bytes() const { return parts_.capacity() * sizeof(float); }

  // vector: [padded_dimension()], code: [code_bytes()]
  void Encode(const float* vector, uint8_t* code) const;
  void Decode(const uint8_t* code, float* vector) const;
  // products[p * kParts + i]: that of numbers 8 p to 8 p + 7 of `query`, [padded_dimension()], with part i.
  void Products(const float* query, float* products) const;

  void Write(IndexSink sink) const;
  static absl::StatusOr<ProductQuantizer> Read(int dimension, IndexReader* reader);

 private:
  explicit ProductQuantizer(int dimension);

  size_t code_bytes_;
  HugeArray<float> parts_;  // [code_bytes, kNumbers, kParts]: number k of every part side by side
};

}  // namespace lastro::retrieval
