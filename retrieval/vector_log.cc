#include "retrieval/vector_log.h"

#include <cstring>

#include "retrieval/dot_product.h"

namespace lastro::retrieval {
namespace {
constexpr size_t kSlabRows = 512;
}  // namespace

// Rows below the size a reader saw are never written again; memory is reserved once, so that nothing moves.
struct VectorLog::Slab {
  explicit Slab(int dimension) : vectors(new float[kSlabRows * static_cast<size_t>(dimension)]) {}
  int64_t chunks[kSlabRows];
  int64_t documents[kSlabRows];
  const std::unique_ptr<float[]> vectors;  // [kSlabRows, dimension]
};

void VectorLog::Append(int64_t chunk, int64_t document, const float* vector) {
  absl::MutexLock lock(&mutex_);
  size_t row = size_ % kSlabRows;
  if (row == 0) slabs_.push_back(std::make_shared<Slab>(dimension_));
  Slab& slab = *slabs_.back();
  slab.chunks[row] = chunk;
  slab.documents[row] = document;
  std::memcpy(&slab.vectors[row * dimension_], vector, sizeof(float) * static_cast<size_t>(dimension_));
  ++size_;
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
const float* VectorLog::View::vector(size_t row) const {
  return &slabs_[row / kSlabRows]->vectors[(row % kSlabRows) * static_cast<size_t>(dimension_)];
}

void VectorLog::View::Scan(const float* query, const DocumentSet* allowed, TopCandidates* top) const {
  for (size_t row = 0; row < size_; ++row) {
    if (allowed != nullptr && !allowed->contains(document(row))) continue;
    top->Add({chunk(row), document(row), DotProduct(query, vector(row), static_cast<size_t>(dimension_))});
  }
}

VectorLog::View VectorLog::View::UpTo(int64_t last_chunk) const {
  View view = *this;
  while (view.size_ > 0 && view.chunk(view.size_ - 1) > last_chunk) --view.size_;
  return view;
}

}  // namespace lastro::retrieval
