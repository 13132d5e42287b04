#include "retrieval/vector_index.h"

#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>
#include <faiss/impl/AuxIndexStructures.h>
#include <faiss/impl/DistanceComputer.h>
#include <faiss/impl/HNSW.h>

#include <algorithm>
#include <exception>
#include <limits>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "retrieval/dot_product.h"

namespace lastro::retrieval {
namespace {

constexpr int kLinks = 32;              // per node and level (twice that on the ground level)
constexpr int kBuildBreadth = 120;      // efConstruction
constexpr size_t kSearchBreadth = 128;  // least efSearch

// Inner products with a query over the rows of a flat index, from our own SIMD loop.
class DotComputer : public faiss::FlatCodesDistanceComputer {
 public:
  DotComputer(const float* vectors, size_t dimension)
      : FlatCodesDistanceComputer(reinterpret_cast<const uint8_t*>(vectors), dimension * sizeof(float)),
        vectors_(vectors),
        dimension_(dimension) {}
  void set_query(const float* query) override { query_ = query; }
  float distance_to_code(const uint8_t* code) override {
    return DotProduct(query_, reinterpret_cast<const float*>(code), dimension_);
  }
  float symmetric_dis(idx_t i, idx_t j) override {
    return DotProduct(vectors_ + static_cast<size_t>(i) * dimension_, vectors_ + static_cast<size_t>(j) * dimension_,
                      dimension_);
  }

 private:
  const float* const vectors_;
  const size_t dimension_;
  const float* query_ = nullptr;
};

// What the graph search minimises: the negated inner product.
class NegatedDot : public faiss::DistanceComputer {
 public:
  NegatedDot(const float* vectors, size_t dimension, const float* query) : dot_(vectors, dimension) {
    dot_.set_query(query);
  }
  void set_query(const float* query) override { dot_.set_query(query); }
  float operator()(idx_t i) override { return -dot_(i); }
  float symmetric_dis(idx_t i, idx_t j) override { return -dot_.symmetric_dis(i, j); }

 private:
  DotComputer dot_;
};

// Flat storage whose distances are ours, also while FAISS builds the graph.
struct SimdFlat : faiss::IndexFlat {
  explicit SimdFlat(idx_t dimension) : IndexFlat(dimension, faiss::METRIC_INNER_PRODUCT) {}
  faiss::FlatCodesDistanceComputer* get_FlatCodesDistanceComputer() const override {
    return new DotComputer(get_xb(), static_cast<size_t>(d));
  }
};

std::unique_ptr<SimdFlat> NewFlat(int dimension, const faiss::IndexFlat* rows) {
  auto flat = std::make_unique<SimdFlat>(dimension);
  if (rows != nullptr) {
    flat->codes = rows->codes;
    flat->ntotal = rows->ntotal;
  }
  return flat;
}

std::unique_ptr<faiss::IndexHNSWFlat> NewGraph(int dimension, const faiss::IndexFlat* rows) {
  auto graph = std::make_unique<faiss::IndexHNSWFlat>(dimension, kLinks, faiss::METRIC_INNER_PRODUCT);
  delete graph->storage;
  graph->storage = NewFlat(dimension, rows).release();
  graph->own_fields = true;
  graph->ntotal = graph->storage->ntotal;
  graph->hnsw.efConstruction = kBuildBreadth;
  return graph;
}

absl::Status FaissError(const std::exception& error) {
  return absl::InternalError(absl::StrCat("vector index: FAISS: ", error.what()));
}

// The links of a graph from a file must stay within it, whatever its checksum says.
absl::Status ValidateGraph(const faiss::IndexHNSW& graph, size_t rows) {
  const faiss::HNSW& hnsw = graph.hnsw;
  absl::Status bad = absl::InvalidArgumentError("vector index: the graph is malformed");
  if (hnsw.levels.size() != rows || hnsw.offsets.size() != rows + 1) return bad;
  if (hnsw.entry_point < 0 || static_cast<size_t>(hnsw.entry_point) >= rows) return bad;
  size_t levels = hnsw.cum_nneighbor_per_level.size();
  if (levels == 0 || hnsw.offsets[0] != 0 || hnsw.offsets[rows] != hnsw.neighbors.size()) return bad;
  if (hnsw.cum_nneighbor_per_level[0] != 0 ||
      !std::is_sorted(hnsw.cum_nneighbor_per_level.begin(), hnsw.cum_nneighbor_per_level.end())) {
    return bad;
  }
  for (size_t i = 0; i < rows; ++i) {
    int level = hnsw.levels[i];
    if (level < 1 || static_cast<size_t>(level) >= levels || hnsw.offsets[i + 1] < hnsw.offsets[i]) return bad;
    if (hnsw.offsets[i + 1] - hnsw.offsets[i] != static_cast<size_t>(hnsw.cum_nneighbor_per_level[level])) return bad;
  }
  if (hnsw.max_level < 0 || hnsw.max_level >= hnsw.levels[hnsw.entry_point] || hnsw.upper_beam != 1) return bad;
  auto outside = [&](int32_t neighbor) { return neighbor < -1 || neighbor >= static_cast<int64_t>(rows); };
  return std::any_of(hnsw.neighbors.begin(), hnsw.neighbors.end(), outside) ? bad : absl::OkStatus();
}

const faiss::IndexFlat* FlatOf(const faiss::Index* index) {
  const auto* graph = dynamic_cast<const faiss::IndexHNSW*>(index);
  return dynamic_cast<const faiss::IndexFlat*>(graph != nullptr ? graph->storage : index);
}

absl::Status ValidateRead(int dimension, size_t rows, const faiss::Index* index) {
  const faiss::IndexFlat* flat = FlatOf(index);
  if (flat == nullptr || index->d != dimension || flat->d != dimension || index->ntotal != flat->ntotal ||
      flat->ntotal != static_cast<int64_t>(rows) || index->metric_type != faiss::METRIC_INNER_PRODUCT ||
      flat->codes.size() != rows * static_cast<size_t>(dimension) * sizeof(float)) {
    return absl::InvalidArgumentError("vector index: not an inner-product index of the expected size");
  }
  const auto* graph = dynamic_cast<const faiss::IndexHNSW*>(index);
  return graph == nullptr ? absl::OkStatus() : ValidateGraph(*graph, rows);
}

}  // namespace

VectorIndex::VectorIndex(int dimension, const Position& position, std::vector<int64_t> chunks,
                         std::vector<int64_t> documents, std::unique_ptr<faiss::Index> index)
    : dimension_(dimension),
      position_(position),
      chunks_(std::move(chunks)),
      documents_(std::move(documents)),
      index_(std::move(index)),
      graph_(dynamic_cast<const faiss::IndexHNSW*>(index_.get())),
      flat_(FlatOf(index_.get())) {
  LASTRO_CHECK(flat_ != nullptr && chunks_.size() == documents_.size());
  LASTRO_CHECK(flat_->ntotal == static_cast<int64_t>(chunks_.size()));
}

VectorIndex::~VectorIndex() = default;

absl::StatusOr<std::shared_ptr<const VectorIndex>> VectorIndex::Build(int dimension, Kind kind,
                                                                      const Position& position, VectorRows rows) {
  try {
    std::unique_ptr<faiss::Index> index;
    if (kind == Kind::kHnsw) {
      index = NewGraph(dimension, nullptr);
    } else {
      index = NewFlat(dimension, nullptr);
    }
    if (!rows.chunks.empty()) index->add(static_cast<int64_t>(rows.chunks.size()), rows.vectors.data());
    return std::shared_ptr<const VectorIndex>(
        new VectorIndex(dimension, position, std::move(rows.chunks), std::move(rows.documents), std::move(index)));
  } catch (const std::exception& error) {
    return FaissError(error);
  }
}

absl::StatusOr<std::shared_ptr<const VectorIndex>> VectorIndex::Extend(const VectorIndex& base,
                                                                       const Position& position, VectorRows rows) {
  LASTRO_CHECK(base.graph_ != nullptr);
  try {
    auto graph = NewGraph(base.dimension_, base.flat_);
    graph->hnsw = base.graph_->hnsw;
    graph->add(static_cast<int64_t>(rows.chunks.size()), rows.vectors.data());
    std::vector<int64_t> chunks = base.chunks_;
    chunks.insert(chunks.end(), rows.chunks.begin(), rows.chunks.end());
    std::vector<int64_t> documents = base.documents_;
    documents.insert(documents.end(), rows.documents.begin(), rows.documents.end());
    return std::shared_ptr<const VectorIndex>(
        new VectorIndex(base.dimension_, position, std::move(chunks), std::move(documents), std::move(graph)));
  } catch (const std::exception& error) {
    return FaissError(error);
  }
}

absl::StatusOr<std::shared_ptr<const VectorIndex>> VectorIndex::Wrap(int dimension, const Position& position,
                                                                     std::vector<int64_t> chunks,
                                                                     std::vector<int64_t> documents,
                                                                     std::unique_ptr<faiss::Index> index) {
  LASTRO_RETURN_IF_ERROR(ValidateRead(dimension, chunks.size(), index.get()));
  if (documents.size() != chunks.size() ||
      std::adjacent_find(chunks.begin(), chunks.end(), std::greater_equal<>()) != chunks.end()) {
    return absl::InvalidArgumentError("vector index: chunk ids are not in ascending order");
  }
  // From a file FAISS makes its own storage, with its own slow distances: take the rows over.
  if (auto* graph = dynamic_cast<faiss::IndexHNSW*>(index.get())) {
    auto ours = std::make_unique<SimdFlat>(dimension);
    auto* theirs = dynamic_cast<faiss::IndexFlat*>(graph->storage);
    ours->codes.swap(theirs->codes);
    ours->ntotal = theirs->ntotal;
    if (graph->own_fields) delete graph->storage;
    graph->storage = ours.release();
    graph->own_fields = true;
  }
  return std::shared_ptr<const VectorIndex>(
      new VectorIndex(dimension, position, std::move(chunks), std::move(documents), std::move(index)));
}

const float* VectorIndex::vector(size_t row) const { return flat_->get_xb() + row * static_cast<size_t>(dimension_); }

void VectorIndex::Scan(const float* query, const DocumentSet* allowed, TopCandidates* top) const {
  for (size_t row = 0; row < chunks_.size(); ++row) {
    if (allowed != nullptr && !allowed->contains(documents_[row])) continue;
    top->Add({chunks_[row], documents_[row], DotProduct(query, vector(row), static_cast<size_t>(dimension_))});
  }
}

absl::Status VectorIndex::SearchNearest(const float* query, size_t k, TopCandidates* top) const {
  if (graph_ == nullptr || k >= size()) {
    Scan(query, nullptr, top);
    return absl::OkStatus();
  }
  try {
    std::vector<int64_t> rows(k, -1);
    std::vector<float> distances(k, std::numeric_limits<float>::max());
    faiss::VisitedTable visited(static_cast<int>(size()));
    NegatedDot distance(flat_->get_xb(), static_cast<size_t>(dimension_), query);
    faiss::SearchParametersHNSW parameters;
    parameters.efSearch = static_cast<int>(std::max(kSearchBreadth, 2 * k));
    graph_->hnsw.search(distance, static_cast<int>(k), rows.data(), distances.data(), visited, &parameters);
    for (size_t i = 0; i < k; ++i) {
      if (rows[i] >= 0) top->Add({chunks_[rows[i]], documents_[rows[i]], -distances[i]});
    }
    return absl::OkStatus();
  } catch (const std::exception& error) {
    return FaissError(error);
  }
}

}  // namespace lastro::retrieval
