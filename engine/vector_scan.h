// VectorScan: rows of byte codes (retrieval/quantized_vectors.h) in the memory of a GPU, which finds the best of them
// for a query by reading them all, at the speed of its memory. Thread-safe; outlives its Rows.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace lastro::engine {

// Not owned; read while they are loaded only.
struct ScanCodes {
  const uint8_t* codes = nullptr;  // [rows, stride]: numbers in [-127, 127], plus 128
  const float* scales = nullptr;   // [rows]
  const float* errors = nullptr;   // [rows], not negative
  int64_t rows = 0;                // fewer than 2^32
  int64_t stride = 0;              // a multiple of 16
};

// A query of numbers 128 high + low. A row's bound is (scale * scales[row]) * product + (errors[row] * slack + error),
// in floats, with the whole-number product exact.
struct ScanQuery {
  absl::Span<const int8_t> high, low;  // [stride]
  float scale = 0, slack = 0, error = 0;
  absl::Span<const uint64_t> allowed;  // a bit a row, of those that may be found; empty: all
  size_t wanted = 0;
};

struct ScannedRow {
  float bound = 0;
  uint32_t row = 0;
};

class VectorScan {
 public:
  // More wanted rows than these are not found on the device.
  static constexpr size_t kMostWanted = 1u << 16;

  class Rows {
   public:
    virtual ~Rows() = default;
    virtual int64_t bytes() const = 0;
    // The query.wanted rows of the highest bounds, of equal ones those of lower numbers, or as many as there are, in
    // any order. Callers that come while a scan runs share the next one. OUT_OF_RANGE: more than kMostWanted; else
    // errors of the device, with the operation.
    virtual absl::StatusOr<std::vector<ScannedRow>> Best(const ScanQuery& query) = 0;
  };

  // `device` as in RuntimeOptions, with `bytes` of its memory at most. INVALID_ARGUMENT for what this build does not
  // have, FAILED_PRECONDITION where the machine has no such GPU,
  // RESOURCE_EXHAUSTED where that has less free. "auto" is the first GPU.
  static absl::StatusOr<std::unique_ptr<VectorScan>> Create(const std::string& device, int64_t bytes);
  virtual ~VectorScan() = default;

  // What so many rows take, with what scanning them needs.
  virtual int64_t BytesOf(int64_t rows, int64_t stride) const = 0;
  virtual int64_t free_bytes() const = 0;
  // RESOURCE_EXHAUSTED where there is no room for them.
  virtual absl::StatusOr<std::unique_ptr<Rows>> Load(const ScanCodes& codes) = 0;
};

}  // namespace lastro::engine
