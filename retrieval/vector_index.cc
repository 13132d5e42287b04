#include "retrieval/vector_index.h"

#include <optional>
#include <utility>

#include "absl/time/clock.h"
#include "base/check.h"
#include "base/status_macros.h"

namespace lastro::retrieval {
namespace {

// As many rows the CPU scans in the time that it takes to ask a device.
constexpr size_t kFewRows = 4096;
// How long rows that are to leave a device are waited for.
constexpr absl::Duration kLongestScan = absl::Seconds(1), kLook = absl::Milliseconds(1);

}  // namespace

VectorIndex::VectorIndex(int dimension, const Position& position, RowIds ids, std::unique_ptr<RowIndex> rows)
    : dimension_(dimension), position_(position), ids_(std::move(ids)), rows_(std::move(rows)) {
  LASTRO_CHECK(ids_.size() == rows_->size());
}

std::shared_ptr<const VectorIndex> VectorIndex::Build(IndexKind kind, const Position& position, VectorRows rows,
                                                      int threads) {
  const int dimension = rows.vectors.dimension();
  std::unique_ptr<RowIndex> index = BuildRowIndex(kind, std::move(rows.vectors), threads);
  return std::shared_ptr<const VectorIndex>(
      new VectorIndex(dimension, position, std::move(rows.ids), std::move(index)));
}

std::shared_ptr<const VectorIndex> VectorIndex::Updated(const Position& position, const std::vector<RowRange>& kept,
                                                        const VectorRows& added, int threads) const {
  RowIds ids;
  for (const RowRange& range : kept) ids.Append(ids_, range);
  ids.Append(added.ids, {0, static_cast<uint32_t>(added.ids.size())});
  return std::shared_ptr<const VectorIndex>(
      new VectorIndex(dimension_, position, std::move(ids), rows_->Updated(kept, added.vectors, threads)));
}

absl::StatusOr<std::shared_ptr<const VectorIndex>> VectorIndex::Read(IndexKind kind, int dimension, size_t rows,
                                                                     const Position& position,
                                                                     absl::string_view bytes) {
  IndexReader reader(bytes);
  RowIds ids;
  LASTRO_RETURN_IF_ERROR(RowIds::Read(&reader, rows, &ids));
  LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<RowIndex> index, ReadRowIndex(kind, dimension, rows, &reader));
  LASTRO_RETURN_IF_ERROR(reader.Finish());
  return std::shared_ptr<const VectorIndex>(new VectorIndex(dimension, position, std::move(ids), std::move(index)));
}

void VectorIndex::Write(IndexSink sink) const {
  ids_.Write(sink);
  rows_->Write(sink);
}

void VectorIndex::PutOn(RowDevice* device) const {
  if (kind() != IndexKind::kExact) return;
  std::shared_ptr<const DeviceRows> rows = device->Load(*rows_->vectors());
  absl::MutexLock lock(&mutex_);
  on_device_ = std::move(rows);
}

void VectorIndex::LeaveDevice() const {
  std::weak_ptr<const DeviceRows> rows;
  {
    absl::MutexLock lock(&mutex_);
    rows = std::exchange(on_device_, nullptr);
  }
  for (absl::Duration waited; !rows.expired() && waited < kLongestScan; waited += kLook) absl::SleepFor(kLook);
}

std::shared_ptr<const DeviceRows> VectorIndex::on_device() const {
  absl::MutexLock lock(&mutex_);
  return on_device_;
}

RowIndex::Found VectorIndex::Search(const QueryVector& query, const DocumentSet* allowed, TopCandidates* top) const {
  std::optional<AllowedRows> rows;
  if (allowed != nullptr) rows.emplace(ids_.RowsOfDocuments(*allowed));
  const AllowedRows* found_among = rows.has_value() ? &*rows : nullptr;
  const bool few = (rows.has_value() ? rows->count : size()) <= kFewRows;
  const std::shared_ptr<const DeviceRows> there = few ? nullptr : on_device();
  TopRows best(top->k());
  RowIndex::Found found = RowIndex::Found::kCertain;
  if (there == nullptr || !there->Scan(query, found_among, &best)) found = rows_->Search(query, found_among, &best);
  for (const ScoredRow& row : best.TakeSorted()) {
    const RowIds::Run& run = ids_.RunOf(row.row);
    top->Add({run.chunk + (row.row - run.row), run.document, row.score});
  }
  return found;
}

}  // namespace lastro::retrieval
