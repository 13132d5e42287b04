// RowIds: which chunk and which document each row of an index is, at some 24 bytes a document. Writers are alone;
// readers may be many.
//
// Rows are in the order of their chunk ids, and a document's chunks are added at once: ids and documents ascend, and a
// document is a run of rows (more than one only if other ids lie between).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "retrieval/index_bytes.h"
#include "retrieval/top_candidates.h"

namespace lastro::retrieval {

struct RowRange {
  uint32_t begin = 0;
  uint32_t end = 0;
};

class RowIds {
 public:
  // Rows from `row` on, up to the next run: chunks `chunk`, `chunk` + 1, ...
  struct Run {
    int64_t document = 0;
    int64_t chunk = 0;
    uint32_t row = 0;
  };

  static constexpr size_t kMaxRows = size_t{1} << 31;

  size_t size() const { return size_; }
  absl::Span<const Run> runs() const { return runs_; }
  RowRange RowsOf(size_t run) const {
    return {runs_[run].row, run + 1 < runs_.size() ? runs_[run + 1].row : static_cast<uint32_t>(size_)};
  }
  // The run of a row.
  const Run& RunOf(uint32_t row) const;
  int64_t ChunkOf(uint32_t row) const;
  // The row of a chunk; none when there is none.
  std::optional<uint32_t> Find(int64_t chunk) const;

  // REQUIRES: `chunk` is greater than any before, `document` not less, and there are fewer than kMaxRows.
  void Append(int64_t chunk, int64_t document);
  void Append(const RowIds& other, RowRange rows);

  // The rows of `documents`: ascending, no two ranges touch.
  std::vector<RowRange> RowsOfDocuments(const DocumentSet& documents) const;

  void Write(IndexSink sink) const;
  static absl::Status Read(IndexReader* reader, size_t rows, RowIds* out);

 private:
  std::vector<Run> runs_;
  size_t size_ = 0;
};

}  // namespace lastro::retrieval
