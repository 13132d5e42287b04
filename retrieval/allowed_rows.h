// The rows of an index that a filtered search may find. Immutable.
#pragma once

#include <cstdint>
#include <vector>

#include "retrieval/row_ids.h"

namespace lastro::retrieval {

// A bit a row.
class RowBitmap {
 public:
  RowBitmap(size_t rows, const std::vector<RowRange>& ranges) : words_((rows + 63) / 64) {
    for (const RowRange& range : ranges) {
      for (uint32_t row = range.begin; row < range.end;) {
        if (row % 64 == 0 && range.end - row >= 64) {
          words_[row / 64] = ~uint64_t{0};
          row += 64;
        } else {
          words_[row / 64] |= uint64_t{1} << (row % 64);
          ++row;
        }
      }
    }
  }
  bool Contains(uint32_t row) const { return (words_[row / 64] >> (row % 64)) & 1; }
  const std::vector<uint64_t>& words() const { return words_; }

 private:
  std::vector<uint64_t> words_;
};

inline size_t CountRows(const std::vector<RowRange>& ranges) {
  size_t count = 0;
  for (const RowRange& range : ranges) count += range.end - range.begin;
  return count;
}

struct AllowedRows {
  explicit AllowedRows(std::vector<RowRange> rows) : ranges(std::move(rows)), count(CountRows(ranges)) {}

  const std::vector<RowRange> ranges;  // ascending, apart
  const size_t count;
};

}  // namespace lastro::retrieval
