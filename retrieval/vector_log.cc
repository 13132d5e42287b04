#include "retrieval/vector_log.h"

#include <algorithm>

namespace lastro::retrieval {
namespace {
constexpr size_t kSlabRows = 512;
}  // namespace

// Rows below the size a reader saw are never written again; memory is reserved once, so that nothing moves.
struct VectorLog::Slab {
  explicit Slab(int dimension) : vectors(dimension) { vectors.Reserve(kSlabRows); }
  int64_t chunks[kSlabRows];
  int64_t documents[kSlabRows];
  QuantizedVectors vectors;
};

VectorLog::Slab* VectorLog::Room() {
  if (size_ % kSlabRows == 0) slabs_.push_back(std::make_shared<Slab>(dimension_));
  return slabs_.back().get();
}

void VectorLog::Append(int64_t chunk, int64_t document, const float* vector) {
  absl::MutexLock lock(&mutex_);
  Slab& slab = *Room();
  slab.chunks[size_ % kSlabRows] = chunk;
  slab.documents[size_ % kSlabRows] = document;
  slab.vectors.Append(vector);
  ++size_;
}

void VectorLog::Append(const View& view, int64_t after) {
  absl::MutexLock lock(&mutex_);
  for (size_t row = 0; row < view.size(); ++row) {
    if (view.chunk(row) <= after) continue;
    Slab& slab = *Room();
    slab.chunks[size_ % kSlabRows] = view.chunk(row);
    slab.documents[size_ % kSlabRows] = view.document(row);
    slab.vectors.Append(view.slabs_[row / kSlabRows]->vectors, row % kSlabRows, row % kSlabRows + 1);
    ++size_;
  }
}

VectorLog::View VectorLog::Snapshot() const {
  View view;
  absl::MutexLock lock(&mutex_);
  view.slabs_.assign(slabs_.begin(), slabs_.end());
  view.size_ = size_;
  view.dimension_ = dimension_;
  return view;
}

size_t VectorLog::size() const {
  absl::MutexLock lock(&mutex_);
  return size_;
}

int64_t VectorLog::View::chunk(size_t row) const { return slabs_[row / kSlabRows]->chunks[row % kSlabRows]; }
int64_t VectorLog::View::document(size_t row) const { return slabs_[row / kSlabRows]->documents[row % kSlabRows]; }

void VectorLog::View::Search(const QueryVector& query, const DocumentSet* allowed, TopCandidates* top) const {
  float scores[kSlabRows];
  for (size_t begin = 0; begin < size_; begin += kSlabRows) {
    const Slab& slab = *slabs_[begin / kSlabRows];
    const size_t count = std::min(kSlabRows, size_ - begin);
    ScoreRange(query.operand(), slab.vectors.rows(), 0, count, scores);
    for (size_t i = 0; i < count; ++i) {
      const float bound = scores[i] + query.ErrorOf(slab.vectors.error(i));
      if (bound < top->worst() || (allowed != nullptr && !allowed->contains(slab.documents[i]))) continue;
      top->Add({slab.chunks[i], slab.documents[i], bound});
    }
  }
}

VectorRows VectorLog::View::RowsOf(const DocumentSet& live) const {
  VectorRows rows(dimension_);
  rows.vectors.Reserve(size_);
  for (size_t row = 0; row < size_; ++row) {
    if (!live.contains(document(row))) continue;
    rows.ids.Append(chunk(row), document(row));
    rows.vectors.Append(slabs_[row / kSlabRows]->vectors, row % kSlabRows, row % kSlabRows + 1);
  }
  return rows;
}

VectorLog::View VectorLog::View::UpTo(int64_t last_chunk) const {
  View view = *this;
  while (view.size_ > 0 && view.chunk(view.size_ - 1) > last_chunk) --view.size_;
  return view;
}

}  // namespace lastro::retrieval
