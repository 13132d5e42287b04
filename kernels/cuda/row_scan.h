// Exact search by reading all rows: the best of many vectors for up to kScanQueries queries in one pass over their
// codes, which are those of retrieval/quantized_vectors.h. See matrix.h for what holds of every launcher.
//
// A row's bound is (scale * scales[row]) * product + (errors[row] * slack + error), rounded after every operation, with
// the whole-number product exact: the same float on the CPU.
#pragma once

#include <cstdint>

#include "kernels/cuda/stream.h"

namespace lastro::kernels::cuda {

inline constexpr int kScanQueries = 8;
inline constexpr int64_t kScanPart = 16;  // bytes of a row that one thread reads at once

// Device memory.
struct CodedRows {
  const uint8_t* codes = nullptr;  // [rows, stride]: numbers in [-127, 127], plus 128
  const float* scales = nullptr;   // [rows]
  const float* errors = nullptr;   // [rows], not negative
  int64_t rows = 0;                // fewer than 2^32
  int64_t stride = 0;              // a multiple of kScanPart
};

struct ScanQuery {
  const int8_t* numbers = nullptr;    // [2, stride]: 128 times the number of the first row plus that of the second
  const uint64_t* allowed = nullptr;  // a bit a row, of those that may be found; null: all
  float scale = 0, slack = 0, error = 0;
  uint32_t wanted = 0;
};
struct ScanQueries {
  ScanQuery of[kScanQueries];
  int count = 0;
};

// What is known of the best rows of one query while they are told apart. Begins as {}.
struct ScanSelection {
  unsigned long long least = 0;  // the digits that are known of the least key that is kept
  uint32_t wanted_here = 0;      // of the keys that begin like it
  uint32_t passes = 0, done = 0, blocks = 0, written = 0;
  uint32_t counts[256] = {};
};

// Writes to keys + q * wanted_most the keys (elements.cuh's KeyOf of bound and row) of the queries.of[q].wanted best
// rows, or of as many as there are, in any order, and their number to selections[q].written. `bounds` is scratch:
// [kScanQueries, rows]. Each `wanted` is at least 1 and at most wanted_most.
cudaError_t ScanBestRows(const CodedRows& rows, const ScanQueries& queries, float* bounds, ScanSelection* selections,
                         unsigned long long* keys, int64_t wanted_most, Stream stream);

}  // namespace lastro::kernels::cuda
