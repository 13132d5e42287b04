#include "retrieval/row_ids.h"

#include <algorithm>

#include "base/check.h"
#include "base/status_macros.h"

namespace lastro::retrieval {
namespace {

// Up to this share of all runs documents are looked up one by one.
constexpr size_t kLookUpShare = 16;

void Join(RowRange range, std::vector<RowRange>* ranges) {
  if (!ranges->empty() && ranges->back().end == range.begin) {
    ranges->back().end = range.end;
  } else {
    ranges->push_back(range);
  }
}

}  // namespace

const RowIds::Run& RowIds::RunOf(uint32_t row) const {
  auto after = std::upper_bound(runs_.begin(), runs_.end(), row, [](uint32_t r, const Run& run) { return r < run.row; });
  return *(after - 1);
}

int64_t RowIds::ChunkOf(uint32_t row) const {
  const Run& run = RunOf(row);
  return run.chunk + (row - run.row);
}

std::optional<uint32_t> RowIds::Find(int64_t chunk) const {
  auto after =
      std::upper_bound(runs_.begin(), runs_.end(), chunk, [](int64_t c, const Run& run) { return c < run.chunk; });
  if (after == runs_.begin()) return std::nullopt;
  const Run& run = *(after - 1);
  const RowRange rows = RowsOf(static_cast<size_t>(after - runs_.begin()) - 1);
  if (chunk - run.chunk >= rows.end - rows.begin) return std::nullopt;
  return run.row + static_cast<uint32_t>(chunk - run.chunk);
}

void RowIds::Append(int64_t chunk, int64_t document) {
  LASTRO_CHECK(size_ < kMaxRows);
  const uint32_t row = static_cast<uint32_t>(size_++);
  if (!runs_.empty()) {
    const Run& last = runs_.back();
    const int64_t next = last.chunk + (row - last.row);
    LASTRO_CHECK(chunk >= next && document >= last.document);
    if (chunk == next && document == last.document) return;
  }
  runs_.push_back({document, chunk, row});
}

void RowIds::Append(const RowIds& other, RowRange rows) {
  for (uint32_t row = rows.begin; row < rows.end; ++row) {
    const Run& run = other.RunOf(row);
    Append(run.chunk + (row - run.row), run.document);
  }
}

std::vector<RowRange> RowIds::RowsOfDocuments(const DocumentSet& documents) const {
  std::vector<RowRange> ranges;
  if (documents.size() > runs_.size() / kLookUpShare) {
    for (size_t run = 0; run < runs_.size(); ++run) {
      if (documents.contains(runs_[run].document)) Join(RowsOf(run), &ranges);
    }
    return ranges;
  }
  std::vector<int64_t> sorted(documents.begin(), documents.end());
  std::sort(sorted.begin(), sorted.end());
  for (int64_t document : sorted) {
    auto first = std::lower_bound(runs_.begin(), runs_.end(), document,
                                  [](const Run& run, int64_t wanted) { return run.document < wanted; });
    for (; first != runs_.end() && first->document == document; ++first) {
      Join(RowsOf(static_cast<size_t>(first - runs_.begin())), &ranges);
    }
  }
  return ranges;
}

void RowIds::Write(IndexSink sink) const {
  WriteNumber<uint64_t>(sink, runs_.size());
  for (const Run& run : runs_) {
    WriteNumber(sink, run.document);
    WriteNumber(sink, run.chunk);
    WriteNumber(sink, run.row);
  }
}

absl::Status RowIds::Read(IndexReader* reader, size_t rows, RowIds* out) {
  const absl::Status bad = absl::InvalidArgumentError("vector index: the ids are not in ascending order");
  uint64_t runs = 0;
  LASTRO_RETURN_IF_ERROR(reader->Read(&runs));
  if (rows > kMaxRows || runs > rows || (rows > 0 && runs == 0)) return bad;
  for (uint64_t i = 0; i < runs; ++i) {
    Run run;
    LASTRO_RETURN_IF_ERROR(reader->Read(&run.document));
    LASTRO_RETURN_IF_ERROR(reader->Read(&run.chunk));
    LASTRO_RETURN_IF_ERROR(reader->Read(&run.row));
    if (run.chunk < 0 || run.chunk > INT64_MAX - static_cast<int64_t>(kMaxRows)) return bad;
    if (i == 0) {
      if (run.row != 0) return bad;
    } else {
      const Run& last = out->runs_.back();
      if (run.row <= last.row || run.chunk < last.chunk + (run.row - last.row) || run.document < last.document) {
        return bad;
      }
    }
    if (run.row >= rows) return bad;
    out->runs_.push_back(run);
  }
  out->size_ = rows;
  return absl::OkStatus();
}

}  // namespace lastro::retrieval
