#include "retrieval/product_quantizer.h"

#include <algorithm>
#include <cmath>

#include "base/status_macros.h"
#include "retrieval/row_threads.h"

namespace lastro::retrieval {
namespace {

constexpr size_t kNumbers = ProductQuantizer::kNumbers;
constexpr size_t kParts = ProductQuantizer::kParts;
constexpr int kIterations = 10;

// k-means of x: [count, kNumbers] into parts: [kNumbers, kParts].
void Cluster(const std::vector<float>& x, size_t count, float* parts) {
  for (size_t i = 0; i < kParts; ++i) {
    for (size_t k = 0; k < kNumbers; ++k) parts[k * kParts + i] = x[i * count / kParts * kNumbers + k];
  }
  for (int iteration = 0; iteration < kIterations; ++iteration) {
    std::vector<double> sums(kNumbers * kParts);
    std::vector<size_t> sizes(kParts);
    for (size_t row = 0; row < count; ++row) {
      const uint32_t part = NearestColumn(&x[row * kNumbers], parts);
      ++sizes[part];
      for (size_t k = 0; k < kNumbers; ++k) sums[k * kParts + part] += x[row * kNumbers + k];
    }
    for (size_t i = 0; i < kParts; ++i) {
      if (sizes[i] == 0) continue;  // stays where it is
      for (size_t k = 0; k < kNumbers; ++k) {
        parts[k * kParts + i] = static_cast<float>(sums[k * kParts + i] / static_cast<double>(sizes[i]));
      }
    }
  }
}

}  // namespace

ProductQuantizer::ProductQuantizer(int dimension)
    : code_bytes_((static_cast<size_t>(dimension) + kNumbers - 1) / kNumbers) {
  parts_.Resize(code_bytes_ * kNumbers * kParts);
  std::fill_n(parts_.data(), parts_.size(), 0.0f);
}

ProductQuantizer ProductQuantizer::Train(int dimension, size_t count, absl::FunctionRef<void(size_t, float*)> vector,
                                         int threads) {
  ProductQuantizer quantizer(dimension);
  if (count == 0) return quantizer;
  std::vector<float> sample(count * quantizer.padded_dimension());
  for (size_t i = 0; i < count; ++i) vector(i, &sample[i * quantizer.padded_dimension()]);
  std::atomic<size_t> next{0};
  OnThreads(threads, [&] {
    std::vector<float> x(count * kNumbers);
    for (size_t part; (part = next++) < quantizer.code_bytes_;) {
      for (size_t i = 0; i < count; ++i) {
        std::copy_n(&sample[i * quantizer.padded_dimension() + part * kNumbers], kNumbers, &x[i * kNumbers]);
      }
      Cluster(x, count, &quantizer.parts_[part * kNumbers * kParts]);
    }
  });
  return quantizer;
}

void ProductQuantizer::Encode(const float* vector, uint8_t* code) const {
  for (size_t part = 0; part < code_bytes_; ++part) {
    code[part] = static_cast<uint8_t>(NearestColumn(vector + part * kNumbers, &parts_[part * kNumbers * kParts]));
  }
}

void ProductQuantizer::Decode(const uint8_t* code, float* vector) const {
  for (size_t i = 0; i < padded_dimension(); ++i) vector[i] = parts_[i * kParts + code[i / kNumbers]];
}

void ProductQuantizer::Products(const float* query, float* products) const {
  std::fill_n(products, code_bytes_ * kParts, 0.0f);
  for (size_t i = 0; i < padded_dimension(); ++i) {
    float* out = products + i / kNumbers * kParts;
    const float* row = &parts_[i * kParts];
    for (size_t j = 0; j < kParts; ++j) out[j] += query[i] * row[j];
  }
}

void ProductQuantizer::Write(IndexSink sink) const { WriteNumbers(sink, parts_.data(), parts_.size()); }

absl::StatusOr<ProductQuantizer> ProductQuantizer::Read(int dimension, IndexReader* reader) {
  ProductQuantizer quantizer(dimension);
  LASTRO_RETURN_IF_ERROR(reader->Read(quantizer.parts_.size(), &quantizer.parts_));
  auto bad = [](float x) { return !(std::abs(x) <= 4); };  // differences of vectors of length one
  if (std::any_of(quantizer.parts_.begin(), quantizer.parts_.end(), bad)) {
    return absl::InvalidArgumentError("vector index: a part of a product is out of range");
  }
  return quantizer;
}

}  // namespace lastro::retrieval
